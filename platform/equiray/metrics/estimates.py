"""`Estimate` and `Verdict`: the two records that leave equiray in results.json (docs/contracts)."""

from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["estimated", "not_estimable", "partial"]
Direction = Literal["lower", "higher", "zero", "half", "none"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One number with what is needed to read it.

    `group` is None for a disparity over groups; `value`, `low` and `high` are None where the metric is not
    estimable. `n` counts the rows (or prompts) in the metric's denominator. `direction` says which way is better:
    ``lower``, ``higher``, ``zero`` (signed, nearest to 0), ``half`` (nearest to .5) or ``none`` (descriptive).
    A paired stage effect is an estimate whose `stage` reads ``"cda-baseline"``: the difference on the same rows.
    """

    task: str
    stage: str
    model: str
    metric: str
    attribute: str | None
    group: str | None
    value: float | None
    low: float | None
    high: float | None
    confidence: float
    n: int
    status: Status
    direction: Direction

    def to_json(self) -> dict[str, Any]:
        """The record of results.json, keys as in the contract."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer to one rule of a policy: PASS, FAIL or INCONCLUSIVE, and why."""

    rule: str
    metric: str
    attribute: str | None
    group: str | None
    bound: float
    value: float | None
    low: float | None
    high: float | None
    alpha: float
    family_size: int
    n: int
    n_needed: int | None
    verdict: Literal["PASS", "FAIL", "INCONCLUSIVE"]
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The record of results.json, keys as in the contract."""
        return dict(vars(self))
