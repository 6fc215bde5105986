"""One decision threshold for each group: the best worst-cell accuracy that thresholds can give at a price in accuracy.

Exact: a level of worst-cell accuracy can be had if every group has a threshold at which both of its cells reach it, and
of those each group takes the most accurate; the price only rises with the level, so the best level is found by halving.
What no training and no model call is needed for is the least that any mitigation has to beat. It needs the group at
decision time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class GroupThresholds:
    """A row of group g is decided positively where its score is above ``thresholds[g]``."""

    thresholds: Array

    def decide(self, score: Array, group: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Decisions [N] of rows with scores [N] and groups [N]."""
        return score > self.thresholds[group]


def fit_group_thresholds(
    score: Array, label: NDArray[np.int64], group: NDArray[np.int64], groups: int, max_accuracy_loss: float
) -> GroupThresholds:
    """Thresholds with the best worst-cell accuracy on validation rows.

    Parameters
    ----------
    score : float64 [N]
    label : int [N], 0 or 1
    group : int64 [N]
        0 to `groups` - 1; a group without rows of both labels keeps the threshold .5.
    groups : int
    max_accuracy_loss : float
        Share of rows that the thresholds may cost against .5 for all; of equally good ones the most accurate are taken.

    Returns
    -------
    GroupThresholds
    """
    curves = [_curve(score[group == g], label[group == g]) for g in range(groups)]
    there = [g for g, curve in enumerate(curves) if curve is not None]
    thresholds = np.full(groups, 0.5)
    known = [curve for curve in curves if curve is not None]
    if not known:
        return GroupThresholds(thresholds=thresholds)
    base = sum(int(((score[group == g] > 0.5) == (label[group == g] == 1)).sum()) for g in there)
    least = base - max_accuracy_loss * len(score)
    levels = np.unique(np.concatenate([curve.worst for curve in known]))
    low, high = 0, len(levels)  # level `low` can be had, `high` cannot
    while high - low > 1:
        middle = (low + high) // 2
        right = [curve.right[place] for curve, place in zip(known, _places(known, levels[middle]), strict=True)]
        affordable = -1 not in _places(known, levels[middle]) and sum(right) >= least
        low, high = (middle, high) if affordable else (low, middle)
    for g, curve, place in zip(there, known, _places(known, levels[low]), strict=True):
        thresholds[g] = curve.threshold[place]
    return GroupThresholds(thresholds=thresholds)


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """What each threshold of a group does: rows decided right, and the lower of its two cells' accuracies."""

    threshold: Array
    right: NDArray[np.int64]
    worst: Array


def _curve(score: Array, label: NDArray[np.int64]) -> _Curve | None:
    positives, negatives = int((label == 1).sum()), int((label == 0).sum())
    if not positives or not negatives:
        return None
    values = np.unique(score)
    # halfway between scores, so that what lies on neither side on validation does not hang on rounding
    threshold = np.concatenate([[-np.inf], (values[1:] + values[:-1]) / 2, [np.inf]])
    below = np.stack([_below(score[label == of], threshold) for of in (0, 1)])
    true_negative, true_positive = below[0], positives - below[1]
    worst = np.minimum(true_negative / negatives, true_positive / positives)
    return _Curve(threshold=threshold, right=true_negative + true_positive, worst=worst)


def _below(scores: Array, threshold: Array) -> NDArray[np.int64]:
    return np.sort(scores).searchsorted(threshold, "right")


def _places(curves: list[_Curve], level: float) -> list[int]:
    """Each group's most accurate threshold among those that reach the level, -1 where none does."""
    found = []
    for curve in curves:
        reached = curve.worst >= level
        found.append(int(np.where(reached, curve.right, -1).argmax()) if reached.any() else -1)
    return found
