"""What every threshold of one group does, from counts of scores; and the splits on which that is asked."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.metrics.disparities import (
    DEMOGRAPHIC_PARITY_DIFFERENCE,
    EQUAL_OPPORTUNITY_DIFFERENCE,
    EQUALIZED_ODDS_DIFFERENCE_MAX,
    FPR_DIFFERENCE,
    Disparity,
    without_missing,
)
from equiray.metrics.rates import ACCURACY, FPR, SELECTION_RATE, TPR, Rate
from equiray.metrics.tables import GroupTable, ScoreCounts

NOBODY, EVERYBODY = math.inf, -math.inf
"""The two thresholds that no score decides: a row is decided positively where its score >= the threshold."""

FRONTIER_METRICS: Mapping[str, Disparity] = {
    "demographic_parity_difference": DEMOGRAPHIC_PARITY_DIFFERENCE,
    "equal_opportunity_difference": EQUAL_OPPORTUNITY_DIFFERENCE,
    "fpr_difference": FPR_DIFFERENCE,
    "equalized_odds_difference_max": EQUALIZED_ODDS_DIFFERENCE_MAX,
}
"""Largest differences between two groups in rates that never fall as a threshold falls."""

_NEEDS = {SELECTION_RATE: "rows", TPR: "positive rows", FPR: "negative rows"}


class Split(NamedTuple):
    """A table of counts and the name of the rows it counts, such as ``validation``."""

    name: str
    table: GroupTable

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that have rules: all but that of missing values, which no disparity compares."""
        return without_missing(self.table).groups

    @property
    def scores(self) -> ScoreCounts:
        """The scores of `groups`.

        Raises
        ------
        BadInput
            The table has none, or it has not two classes.
        """
        scores, place = without_missing(self.table).scores, f"{self.name} split, attribute {self.table.attribute}"
        if scores is None or len(self.table.classes) != 2:
            problem = "no scores were counted" if scores is None else f"{len(self.table.classes)} classes, not 2"
            fix = "count predictions with a score of the positive class; a threshold decides between two classes"
            raise BadInput(problem, place=place, fix=fix)
        return scores

    @property
    def fingerprint(self) -> str:
        """A sha256 of the counts: two splits with the same one hold the same rows, whatever they are called."""
        scores = self.scores
        digest = hashlib.sha256(repr(self.groups).encode())
        for part in (scores.values, scores.count, scores.weight):
            digest.update(b"" if part is None else np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    @property
    def rows(self) -> int:
        """Rows of `groups` with a score."""
        return int(self.scores.count.sum())

    @property
    def caveats(self) -> list[str]:
        """Why a frontier on this split is partial: rows that no rule decides; scores known up to a grid."""
        known, whole = without_missing(self.table), self.table.mass
        found = []
        if known.mass is not None and whole is not None:
            unknown = int(whole.count.sum() - known.mass.count.sum())
            unscored = int(known.mass.count.sum()) - self.rows
            left_out = {f"have no {self.table.attribute}": unknown, "have no score": unscored}
            found = [f"{n:,} of {self.name}'s rows {why} and are left out" for why, n in left_out.items() if n]
        if not self.scores.exact:
            found.append(f"{self.name}'s scores are counted on a grid, so thresholds stand at its edges alone")
        return found


@dataclass(frozen=True, kw_only=True)
class GroupCurve:
    """One group under each of its T distinct thresholds, descending from `NOBODY` to `EVERYBODY`.

    `mass` [T, 2, 2] holds its rows (or the sums of their weights) by label and decision.
    """

    thresholds: NDArray[np.float64]
    mass: NDArray[np.float64]

    @property
    def rows(self) -> float:
        return float(self.mass[0].sum())

    @property
    def correct(self) -> NDArray[np.float64]:
        """Rows decided as they are labelled, [T]."""
        return ACCURACY.events(self.mass[:, None])[:, 0]

    def rate(self, rate: Rate) -> NDArray[np.float64]:
        """A rate of the group under each threshold, [T]; NaN without trials."""
        return rate.of(self.mass[:, None])[:, 0]

    def at(self, chosen: NDArray[np.intp]) -> "GroupCurve":
        """The curve at some of its thresholds."""
        return GroupCurve(thresholds=self.thresholds[chosen], mass=self.mass[chosen])


def group_curves(split: Split) -> list[GroupCurve]:
    """The curve of every group, in the order of `Split.groups`.

    Counts are whole numbers in float64, exact below 2^53.
    """
    scores, curves = split.scores, []
    for rows, amount in zip(scores.count, scores.count if scores.weight is None else scores.weight, strict=True):
        seen = np.flatnonzero(rows.sum(0))[::-1]
        selected = np.cumsum(np.pad(amount[:, seen].astype(np.float64), ((0, 0), (1, 0))), axis=1)
        thresholds = np.append(NOBODY, scores.values[seen])
        thresholds[-1] = EVERYBODY if len(seen) else NOBODY
        mass = np.stack([selected[:, -1:] - selected, selected], axis=-1)  # label x threshold x decision
        curves.append(GroupCurve(thresholds=thresholds, mass=mass.swapaxes(0, 1)))
    return curves


def disparity_of(metric: str) -> Disparity:
    """What a metric compares.

    Raises
    ------
    BadInput
        The metric is none that thresholds trade against accuracy here.
    """
    if metric not in FRONTIER_METRICS:
        fix = f"use one of {', '.join(FRONTIER_METRICS)}"
        raise BadInput(f"no frontier of {metric!r}", place="metric of a frontier", fix=fix)
    return FRONTIER_METRICS[metric]


def lacking(split: Split, curves: list[GroupCurve], disparity: Disparity) -> str | None:
    """Why a disparity cannot be had on this split; None where it can."""
    if len(curves) < 2:
        return f"{split.table.attribute} has fewer than the two groups that a disparity needs"
    for rate in disparity.rates:
        for group, curve in zip(split.groups, curves, strict=True):
            if np.isnan(curve.rate(rate)[0]):
                return f"group {group!r} has no {_NEEDS[rate]} with a score in {split.name}"
    return None
