"""What a sweep is judged by: objectives with a direction and a reference, and constraints."""

import math
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, FiniteFloat, model_validator

from equiray.specs.documents import Document

Direction = Literal["higher", "lower"]
Kind = Literal["fairnet", "unlearning", "combined"]

_OF_DECISIONS = (
    "accuracy",
    "worst_group_accuracy_cells",
    "worst_group_accuracy_groups",
    "equalized_odds_difference_max",
    "equalized_odds_difference_mean",
    "equalized_odds_difference_sum",
    "equal_opportunity_difference",
    "demographic_parity_difference",
)
_OF_MODELS = ("intrinsic_gap", "perplexity_ratio")

METRICS: Mapping[Kind, tuple[str, ...]] = {
    "fairnet": (*_OF_DECISIONS, "ece", "activation_rate"),
    "unlearning": _OF_MODELS,
    "combined": (*_OF_DECISIONS, *_OF_MODELS),
}
"""What a sweep of a kind can be judged by."""

_HIGHER = ("accuracy", "worst_group_accuracy_cells", "worst_group_accuracy_groups")


def direction_of(metric: str) -> Direction:
    """Which way of a metric is better."""
    return "higher" if metric in _HIGHER else "lower"


class ObjectiveSpec(Document):
    """One axis of the front; hypervolume is counted beyond `reference`."""

    metric: str
    reference: FiniteFloat

    @property
    def direction(self) -> Direction:
        """Which way is better."""
        return direction_of(self.metric)


class ConstraintSpec(Document):
    """A bound that every point of a front keeps on validation rows: one of the three."""

    metric: str
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None
    max_loss: FiniteFloat | None = Field(default=None, ge=0, description="how much worse than the base it may be")

    @model_validator(mode="after")
    def _one_bound(self) -> "ConstraintSpec":
        if sum(bound is not None for bound in (self.min, self.max, self.max_loss)) != 1:
            raise ValueError(f"the constraint on `{self.metric}` needs one of `min`, `max`, `max_loss`")
        return self

    @property
    def name(self) -> str:
        """In words."""
        if self.max_loss is not None:
            sign = "≥ base −" if self.metric in _HIGHER else "≤ base +"
            return f"{self.metric} {sign} {self.max_loss:g}"
        return f"{self.metric} ≥ {self.min:g}" if self.min is not None else f"{self.metric} ≤ {self.max:g}"

    def bounds(self, base: float | None) -> dict[str, float | None]:
        """`min` and `max` as numbers, the base's figure known."""
        if self.max_loss is None or base is None:
            return {"min": self.min, "max": self.max}
        higher = self.metric in _HIGHER
        return {"min": base - self.max_loss if higher else None, "max": None if higher else base + self.max_loss}

    def excess(self, value: float, base: float | None) -> float:
        """By how much a value breaks it, above 0; what is not estimable breaks it."""
        if math.isnan(value):
            return math.inf
        if self.max_loss is not None:
            assert base is not None, "the base is measured before any trial"
            return (base - value if self.metric in _HIGHER else value - base) - self.max_loss
        if self.min is not None:
            return self.min - value
        assert self.max is not None
        return value - self.max
