"""`ChatSettings`: what an operator may change while a model serves."""

from dataclasses import dataclass

from equiray.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class ChatSettings:
    """How chains are drawn and weighed.

    Attributes
    ----------
    tau : float or None
        Of the weights; None: the bundle's.
    round_chains : int
        Drawn at a time.
    risk : float
        Probability with which stopping early may change the answer that wins; 0: it cannot.
    latency_budget_s : float or None
        No round is begun that would end later; the first always is.
    most_tokens : int
        Of a chain, that a caller may ask for.

    Raises
    ------
    BadInput
        A value out of its range.
    """

    tau: float | None = None
    round_chains: int = 4
    risk: float = 0.0
    latency_budget_s: float | None = None
    most_tokens: int = 1024

    def __post_init__(self) -> None:
        for name, fits, fix in (
            ("tau", self.tau is None or self.tau >= 0, "give a number from 0 (best chain) to inf (majority)"),
            ("round_chains", self.round_chains >= 1, "draw at least one chain at a time"),
            ("risk", 0 <= self.risk < 1, "give a probability from 0 to below 1"),
            ("latency_budget_s", self.latency_budget_s is None or self.latency_budget_s > 0, "give seconds above 0"),
            ("most_tokens", self.most_tokens >= 1, "allow at least one"),
        ):
            if not fits:
                raise BadInput(f"{name} {getattr(self, name)}", place=f"chat settings, {name}", fix=fix)
