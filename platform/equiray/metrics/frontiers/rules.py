"""Rules that decide by group, the frontier they form on the split that chose them, and how they did on another."""

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

from equiray.metrics.estimates import Status

Kind = Literal["thresholds", "randomised"]


class Step(NamedTuple):
    """Decide a row positively where its score >= `threshold`, with this probability."""

    threshold: float
    probability: float


Rule = tuple[tuple[Step, ...], ...]
"""For each group its steps, whose probabilities add up to 1; one step is an ordinary threshold."""


class Trade(NamedTuple):
    """How far apart the groups are, and the share of all rows decided as they are labelled."""

    disparity: float
    accuracy: float


class Chosen(NamedTuple):
    """A rule and what it does on the very rows that chose it: optimistic, by construction."""

    rule: Rule
    on_choice: Trade


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """The best accuracy at every level of disparity on one split; `read_frontier` says what it is worth on another.

    `kind` tells thresholds alone (each point attained, nothing between them is) from randomised ones (a straight line
    between two neighbours is attained too, by drawing one of the two). `points` rise in disparity and accuracy; there
    are none where the frontier is not estimable.
    """

    metric: str
    attribute: str
    groups: tuple[str, ...]
    kind: Kind
    chosen_on: str
    fingerprint: str
    points: tuple[Chosen, ...]
    status: Status
    reason: str


class Read(NamedTuple):
    """One rule of a frontier on rows that had no part in its choice, with limits for that rule alone.

    `low` and `high` are None where rows are weighted: counts of scores do not tell how far their weights differ.
    """

    rule: Rule
    on_choice: Trade
    on_read: Trade
    low: Trade | None
    high: Trade | None


@dataclass(frozen=True, kw_only=True)
class FrontierReading:
    """A frontier chosen on one split and read on another, whose rows with a score are `n`.

    The rules stay in the order of their choice; read elsewhere, a rule that was to be fairer need not be.
    """

    metric: str
    attribute: str
    groups: tuple[str, ...]
    kind: Kind
    chosen_on: str
    read_on: str
    n: int
    confidence: float
    points: tuple[Read, ...]
    status: Status
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The record of frontiers.json; JSON has no infinity, so nobody is ``"inf"`` there and everybody ``"-inf"``."""
        points = [
            {
                "rule": [[[_json_float(step.threshold), step.probability] for step in steps] for steps in point.rule],
                **{name: getattr(point, name) for name in ("on_choice", "on_read", "low", "high")},
            }
            for point in self.points
        ]
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"points": points}


def _json_float(threshold: float) -> float | str:
    return threshold if math.isfinite(threshold) else str(threshold)
