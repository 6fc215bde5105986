"""Limits of the figures of many models and thresholds on the same rows that hold at once.

Notable: how far they must reach follows from joint resamples, which know that points on the same rows err together; at
that confidence each figure's limits come from its counts by the engine that all estimates have, since no bootstrap
holds for extremes over groups (`intervals.simultaneous`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from equiray.metrics.counting.scores import bin_of, on_grid
from equiray.metrics.fronts.resampled import Replicated, limits, reach
from equiray.metrics.intervals.limits import Interval
from equiray.metrics.intervals.scores import ece_interval
from equiray.metrics.paired import paired_rate
from equiray.metrics.paired_disparities import disparity_change
from equiray.metrics.rates import ACCURACY
from equiray.metrics.tables import CALIBRATION_BINS, UNANSWERED, Mass, ScoreSums
from equiray.mitigation.gating.bands import limits_of
from equiray.mitigation.gating.outcomes import GatedOutcomes
from equiray.mitigation.gating.replicates import check_same_rows
from equiray.mitigation.gating.thresholds import DISPARITIES, Cells, Masses

_SMOOTH = ("activation_rate", "ece")
"""No extremes over groups: their differences are resampled."""


def limits_at_once(
    points: Sequence[tuple[GatedOutcomes, ArrayLike]],
    attribute: str,
    metrics: Sequence[str],
    replicated: Replicated,
    confidence: float,
) -> Interval:
    """Limits [P, M] of what `replicated_outcomes` has replicated of the same points, attribute and metrics.

    They allow for whatever group the rows of no known group belong to. NaN where a figure is not estimable.

    Raises
    ------
    BadInput
        The points are not of the same rows, or there are no such groups.
    """
    cells = check_same_rows(points, attribute)
    each = float(1 - 2 * ndtr(-reach(replicated, confidence)))
    decided = [outcomes.decided(thresholds) for outcomes, thresholds in points]
    positive = np.stack([np.bincount(cells.code[score > 0.5], minlength=cells.rows.size) for score in decided], axis=1)
    opened = np.array([np.count_nonzero(outcomes.opened(thresholds).any(1)) for outcomes, thresholds in points])
    masses = Masses(np.empty((len(points), 0), np.float32), cells.mass(positive), opened)
    found = [
        _ece_limits(decided, cells, each) if metric == "ece" else limits_of(metric, masses, cells, each)
        for metric in metrics
    ]
    return Interval(*(np.stack(side, axis=-1) for side in zip(*found, strict=True)))


def differences_at_once(
    pairs: Sequence[tuple[int, int]],
    points: Sequence[tuple[GatedOutcomes, ArrayLike]],
    attribute: str,
    metrics: Sequence[str],
    replicated: Replicated,
    confidence: float,
) -> Interval:
    """Limits [len(pairs), M] of each pair's first point less its second on the same rows; all hold at once.

    `replicated` holds these differences. Rows of no known group are left out of what compares groups.

    Raises
    ------
    BadInput
        The points are not of the same rows, or there are no such groups.
    """
    cells = check_same_rows(points, attribute)
    each = float(1 - 2 * ndtr(-reach(replicated, confidence)))
    positive = [outcomes.decided(thresholds) > 0.5 for outcomes, thresholds in points]
    joint = Mass(np.stack([_joint(cells, positive[other], positive[one]) for one, other in pairs]))
    found = [
        Interval(*(limit[:, column] for limit in limits(replicated, confidence)))
        if metric in _SMOOTH
        else _change_limits(metric, joint, cells, each)
        for column, metric in enumerate(metrics)
    ]
    return Interval(*(np.stack(side, axis=-1) for side in zip(*found, strict=True)))


def _joint(cells: Cells, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Counts [G, 2, P, P] by group, label and both decisions."""
    counts = np.bincount((cells.code * 2 + first) * 2 + second, minlength=cells.rows.size * 4)
    unanswered = (0, len(UNANSWERED))
    return np.pad(counts.reshape(-1, 2, 2, 2), [(0, 0), (0, 0), unanswered, unanswered])


def _change_limits(metric: str, joint: Mass, cells: Cells, confidence: float) -> Interval:
    if metric == "accuracy":
        everyone = paired_rate(ACCURACY, Mass(joint.count.sum(1, keepdims=True)))
        return Interval(*(limit[:, 0] for limit in everyone.interval(confidence)))
    of, compared = DISPARITIES[metric], Mass(joint.count[:, : cells.compared])
    return disparity_change(of.combined, [paired_rate(rate, compared) for rate in of.rates], confidence)


def _ece_limits(decided: Sequence[NDArray[np.float32]], cells: Cells, confidence: float) -> Interval:
    label, parts = cells.code % 2, []
    for score in (each.astype(np.float64) for each in decided):
        key = label * CALIBRATION_BINS + bin_of(on_grid(score))
        sums = [np.bincount(key, weight, 2 * CALIBRATION_BINS) for weight in (None, score, score * score)]
        parts.append(np.reshape(sums, (3, 1, 2, CALIBRATION_BINS)))
    return Interval(*(limit[:, 0] for limit in ece_interval(ScoreSums(*np.stack(parts, axis=1)), confidence)))
