"""What thresholds change, gated less base: exactly on the rows at hand, with paired limits.

Notable: both decide the same rows, so these are joint counts like those of any two models, and the engine of paired
estimates gives the limits.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.metrics.intervals.limits import Interval, rate
from equiray.metrics.paired import paired_rate
from equiray.metrics.paired_disparities import disparity_change
from equiray.metrics.rates import ACCURACY, CELL_ACCURACY
from equiray.metrics.tables import UNANSWERED, JointTable, Mass
from equiray.mitigation.gating.outcomes import GatedOutcomes
from equiray.mitigation.gating.thresholds import Cells


class Change(NamedTuple):
    """A change of accuracy among `rows` rows, of which `opened` have an open gate; NaN is not estimable."""

    where: str
    value: float
    low: float
    high: float
    rows: int
    opened: int

    def to_json(self) -> dict[str, Any]:
        """The record; null where it is not estimable."""
        limits = {"value": number(self.value), "low": number(self.low), "high": number(self.high)}
        return {"where": self.where, **limits, "rows": self.rows, "opened": self.opened}


@dataclass(frozen=True, kw_only=True)
class ExactChange:
    """What thresholds change, gated less base, on the same rows.

    `overall` and `worst_cell`, the change of the worst accuracy of any cell label x group, have limits of their own;
    those of `cells` hold for all cells at once.
    """

    overall: Change
    worst_cell: Change
    cells: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        """The record."""
        cells = [cell.to_json() for cell in self.cells]
        return {"overall": self.overall.to_json(), "worst_cell": self.worst_cell.to_json(), "cells": cells}


def joint_table(outcomes: GatedOutcomes, thresholds: ArrayLike, attribute: str) -> JointTable:
    """Counts of the rows decided with every gate shut, first, and under thresholds [A]: for `estimation.changes_of`."""
    cells = Cells.of(outcomes, attribute)
    first = outcomes.probability[:, 0] > 0.5
    second = outcomes.decided(thresholds) > 0.5
    counts = np.bincount((cells.code * 2 + first) * 2 + second, minlength=cells.rows.size * 4)
    unanswered = (0, len(UNANSWERED))
    mass = np.pad(counts.reshape(-1, 2, 2, 2), [(0, 0), (0, 0), unanswered, unanswered])
    return JointTable(attribute=attribute, groups=cells.groups, classes=("0", "1"), mass=Mass(mass))


def exact_change(outcomes: GatedOutcomes, thresholds: ArrayLike, attribute: str, confidence: float) -> ExactChange:
    """The change of accuracy under thresholds [A] of all gates, with paired limits.

    Raises
    ------
    BadInput
        Thresholds do not fit the gates, or there are no groups of that attribute.
    """
    cells, joint = Cells.of(outcomes, attribute), joint_table(outcomes, thresholds, attribute).mass.count
    opened = np.bincount(cells.code[outcomes.opened(thresholds).any(1)], minlength=cells.rows.size)
    compared = slice(2 * cells.compared)
    everyone = paired_rate(ACCURACY, Mass(joint.sum(0, keepdims=True)))
    by_cell = paired_rate(CELL_ACCURACY, Mass(joint[: cells.compared]))
    there = cells.rows.reshape(-1)[compared] > 0
    at_once = by_cell.interval(1 - (1 - confidence) / max(1, int(there.sum())))
    names = [f"{group}, label {label}" for group in cells.groups[: cells.compared] for label in (0, 1)]
    columns = (names, by_cell.change, *at_once, cells.rows.reshape(-1)[compared], opened[compared])
    return ExactChange(
        overall=_change("all rows", everyone.change, everyone.interval(confidence), joint.sum(), opened.sum()),
        worst_cell=_worst(joint[: cells.compared], confidence, opened[compared].sum()),
        cells=tuple(
            Change(name, float(value), float(low), float(high), int(rows), int(count))
            for name, value, low, high, rows, count in zip(*columns, strict=True)
        ),
    )


def _worst(joint: NDArray[np.int64], confidence: float, opened: int) -> Change:
    if not len(joint):
        return Change("worst cell", math.nan, math.nan, math.nan, 0, 0)
    pair = paired_rate(CELL_ACCURACY, Mass(joint))
    first, second = (rate(of).min() for of in (pair.first, pair.second))
    return _change("worst cell", second - first, disparity_change("minimum", [pair], confidence), joint.sum(), opened)


def _change(where: str, value: ArrayLike, limits: Interval, rows: int, opened: int) -> Change:
    """Of arrays that hold one number."""
    change, low, high = (np.asarray(part).item() for part in (value, *limits))
    return Change(where, change, low, high, int(rows), int(opened))


def number(value: float | None) -> float | None:
    """A number as JSON has it: null where it is not estimable."""
    return None if value is None or math.isnan(value) else float(value)
