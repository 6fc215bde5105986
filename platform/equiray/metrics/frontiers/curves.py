"""What every threshold of one group does, from counts of scores; and the splits on which that is asked."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.metrics.tables import GroupTable, ScoreCounts

NOBODY, EVERYBODY = math.inf, -math.inf
"""The two thresholds that no score decides: a row is decided positively where its score >= the threshold."""

# What each disparity compares between groups: the largest difference between two of them, in any of these rates.
FRONTIER_METRICS: Mapping[str, tuple[str, ...]] = {
    "demographic_parity_difference": ("selection_rate",),
    "equal_opportunity_difference": ("tpr",),
    "fpr_difference": ("fpr",),
    "equalized_odds_difference_max": ("tpr", "fpr"),
}
_NEEDS = {"selection_rate": "rows", "tpr": "positive rows", "fpr": "negative rows"}


class Split(NamedTuple):
    """A table of counts and the name of the rows it counts, such as ``validation``."""

    name: str
    table: GroupTable

    @property
    def scores(self) -> ScoreCounts:
        """The table's scores.

        Raises
        ------
        BadInput
            The table has none, or it has not two classes.
        """
        scores, place = self.table.scores, f"{self.name} split, attribute {self.table.attribute}"
        if scores is None or len(self.table.classes) != 2:
            problem = "no scores were counted" if scores is None else f"{len(self.table.classes)} classes, not 2"
            fix = "count predictions with a score of the positive class; a threshold decides between two classes"
            raise BadInput(problem, place=place, fix=fix)
        return scores

    @property
    def fingerprint(self) -> str:
        """A sha256 of the counts: two splits with the same one hold the same rows, whatever they are called."""
        scores = self.scores
        digest = hashlib.sha256(repr(self.table.groups).encode())
        for part in (scores.values, scores.count, scores.weight):
            digest.update(b"" if part is None else np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    @property
    def rows(self) -> int:
        """Rows with a score."""
        return int(self.scores.count.sum())

    @property
    def caveats(self) -> list[str]:
        """Why a frontier on this split is partial: rows without a score; scores known up to a grid."""
        mass, found = self.table.mass, []
        without = 0 if mass is None else int(mass.count.sum()) - self.rows
        if without:
            found.append(f"{without:,} of {self.name}'s rows have no score and are left out")
        if not self.scores.exact:
            found.append(f"{self.name}'s scores are counted on a grid, so thresholds stand at its edges alone")
        return found


@dataclass(frozen=True, kw_only=True)
class GroupCurve:
    """One group under each of its T distinct thresholds, from `NOBODY` down to `EVERYBODY`.

    `thresholds` [T] descending; `hits` and `alarms` [T], the positive and the negative rows decided positively (or
    the sums of their weights), from 0 up to `positives` and `negatives`.
    """

    thresholds: NDArray[np.float64]
    hits: NDArray[np.float64]
    alarms: NDArray[np.float64]
    positives: float
    negatives: float

    @property
    def correct(self) -> NDArray[np.float64]:
        """Rows decided as they are labelled, [T]."""
        return self.hits + (self.negatives - self.alarms)

    def rate(self, name: str) -> NDArray[np.float64]:
        """``selection_rate``, ``tpr`` or ``fpr`` under each threshold, [T], never falling; NaN without trials."""
        events, trials = {
            "selection_rate": (self.hits + self.alarms, self.positives + self.negatives),
            "tpr": (self.hits, self.positives),
            "fpr": (self.alarms, self.negatives),
        }[name]
        return events / trials if trials > 0 else np.full(len(events), np.nan)

    def at(self, chosen: NDArray[np.intp]) -> "GroupCurve":
        """The curve at some of its thresholds."""
        picked = {name: getattr(self, name)[chosen] for name in ("thresholds", "hits", "alarms")}
        return GroupCurve(**picked, positives=self.positives, negatives=self.negatives)


def group_curves(split: Split) -> list[GroupCurve]:
    """The curve of every group, in the table's order.

    Counts are whole numbers in float64, exact below 2^53.
    """
    scores = split.scores
    mass = scores.count if scores.weight is None else scores.weight
    curves = []
    for rows, weighed in zip(scores.count, mass, strict=True):
        seen = np.flatnonzero(rows.sum(0))[::-1]
        negative, positive = (np.concatenate([[0.0], np.cumsum(side[seen], dtype=np.float64)]) for side in weighed)
        thresholds = np.concatenate([[NOBODY], scores.values[seen]])
        thresholds[-1] = EVERYBODY if len(seen) else NOBODY
        curves.append(
            GroupCurve(
                thresholds=thresholds,
                hits=positive,
                alarms=negative,
                positives=float(positive[-1]),
                negatives=float(negative[-1]),
            )
        )
    return curves


def check_metric(metric: str) -> tuple[str, ...]:
    """The rates a disparity compares.

    Raises
    ------
    BadInput
        The metric is none that thresholds trade against accuracy here.
    """
    if metric not in FRONTIER_METRICS:
        fix = f"use one of {', '.join(FRONTIER_METRICS)}"
        raise BadInput(f"no frontier of {metric!r}", place="metric of a frontier", fix=fix)
    return FRONTIER_METRICS[metric]


def lacking(split: Split, curves: list[GroupCurve], rates: tuple[str, ...]) -> str | None:
    """Why a disparity in `rates` cannot be had on this split; None where it can."""
    if len(curves) < 2:
        return f"{split.table.attribute} has {len(curves)} group, and a disparity needs two"
    for name in rates:
        for group, curve in zip(split.table.groups, curves, strict=True):
            if np.isnan(curve.rate(name)[0]):
                return f"group {group!r} has no {_NEEDS[name]} with a score in {split.name}"
    return None
