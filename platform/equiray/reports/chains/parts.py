"""What runs of reward models and of chains both write: chains counted, real chains step by step, and models."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from equiray.reports.fairnet.trainings import Figure, Part, Share

Temperature = Annotated[float, Field(ge=0)] | Literal["inf"]
Probability = Annotated[float, Field(ge=0, le=1)]


class Outcomes(Part):
    """Chains by what became of them."""

    answered: int = Field(ge=0)
    unparsed: int = Field(ge=0)
    refused: int = Field(ge=0)

    @property
    def chains(self) -> int:
        return self.answered + self.unparsed + self.refused


class ChainCounts(Part):
    """One side's cases and chains; `only_answer` ones say nothing but their answer, `cut` ones ran out of tokens."""

    cases: int = Field(ge=0)
    chains: int = Field(ge=0)
    steps: int = Field(ge=0)
    outcomes: Outcomes
    by_category: dict[str, Outcomes]
    by_group: dict[str, Outcomes]
    only_answer: int = Field(ge=0)
    cut: int = Field(ge=0)
    tokens: int = Field(ge=0)
    steps_a_chain: dict[str, int]


class Step(Part):
    """A step with its probability of being unbiased; label 1 unbiased, 0 biased, null where none was given."""

    text: str
    unbiased: Probability
    label: Literal[0, 1] | None


class ShownChain(Part):
    """A real chain; `right`, `stereotyped` and `answer` are places among the options."""

    case_id: str
    category: str
    context: str | None
    text: str
    options: list[str]
    right: int | None
    stereotyped: int | None
    chain: int
    answer: int
    steps: list[Step] = Field(min_length=1)

    def option(self, place: int) -> str:
        """An option in words; examples of the contract keep the first two alone."""
        return self.options[place] if place < len(self.options) else f"option {place + 1}"


class Calibration(Part):
    method: str
    slope: Figure
    intercept: Figure


class ModelFacts(Part):
    """A reward model: what it was trained on, how it reads a chain, and where training stopped."""

    base: str
    reading: str
    weights_sha256: str
    best_step: int
    stopped_by: str
    calibration: Calibration


def refuse_unknown(names: Sequence[str], known: Sequence[str], where: str) -> None:
    """A name that the document does not declare is refused, with the place where it stands."""
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f"{where} name {unknown[0]!r}, which the document does not declare ({', '.join(known)})")


__all__ = [
    "ChainCounts",
    "Figure",
    "ModelFacts",
    "Outcomes",
    "Part",
    "Share",
    "ShownChain",
    "Step",
    "Temperature",
    "refuse_unknown",
]
