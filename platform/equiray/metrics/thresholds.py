"""Decisions that a threshold on the score would make: a table of counts for each threshold.

Notable: a threshold turns scores into decisions, so what comes out is mass [..., G, 2, 2] again and every rate and
every disparity applies to it: ``TPR.of(curve.mass)`` is the curve of true positive rates.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.disparities import impact_ratios
from equiray.metrics.rates import SELECTION_RATE
from equiray.metrics.tables import ScoreCounts

Array = NDArray[Any]


class ThresholdCurve(NamedTuple):
    """Decisions at T thresholds: `thresholds` float64 [T] ascending, `mass` [..., T, G, 2, 2]."""

    thresholds: NDArray[np.float64]
    mass: Array


class MedianSplit(NamedTuple):
    """Rows split at the overall median: `mass` [..., G, 2, 2], of which `undecided` [..., G] may lie above.

    `undecided` is 0 while scores are exact; on a grid it holds the rows of the median's bin, counted as not above.
    `above` and `open` [..., S] tell which scores these are.
    """

    mass: Array
    undecided: Array
    above: NDArray[np.bool_]
    open: NDArray[np.bool_]


def threshold_curve(scores: ScoreCounts) -> ThresholdCurve:
    """What selecting the rows with ``score >= threshold`` decides, for every distinct score as the threshold.

    One cumulative sum over the scores, no pass over rows. On a grid the thresholds are the lower edges of its bins, at
    which the counts are exact too.

    Returns
    -------
    ThresholdCurve
        T = S + 1: the last threshold is inf, which selects nobody. It holds 4 G (S + 1) numbers: 65,536 scores of ten
        groups take 21 MB.
    """
    mass = _by_label(scores)  # [..., G, 2, S]
    nobody = np.zeros((*mass.shape[:-1], 1), dtype=mass.dtype)
    # summed from the top down, so that where weights round the lowest threshold still selects every row
    selected = np.concatenate([np.flip(np.flip(mass, -1).cumsum(-1), -1), nobody], axis=-1)
    passed = np.concatenate([nobody, mass.cumsum(-1)], axis=-1)
    decided = np.stack([passed, selected], axis=-1)  # [..., G, 2, T, 2]
    return ThresholdCurve(np.append(scores.values, np.inf), np.moveaxis(decided, -2, -4))


def above_median(scores: ScoreCounts) -> MedianSplit:
    """Select the rows whose score lies above the median of all rows, with weights the weighted median.

    Groups that are no part of the sample (`disparities.without_missing`) are to be left out first.
    """
    mass = _by_label(scores)
    below = mass.sum((-2, -3)).cumsum(-1)  # all groups, [..., S]
    half = below[..., -1:] / 2
    # The median is the score at `place`, or where exactly half the rows lie up to there, half way to the next one.
    place = (below >= half).argmax(-1)[..., None]
    above = np.arange(mass.shape[-1]) > place
    selected = np.where(above[..., None, None, :], mass, 0).sum(-1)
    rest = np.where(above[..., None, None, :], 0, mass).sum(-1)
    split = np.take_along_axis(below, place, axis=-1) == half
    at_median = (np.arange(mass.shape[-1]) == place) & ~split & (not scores.exact)
    undecided = np.where(at_median[..., None, None, :], mass, 0).sum((-1, -2))
    return MedianSplit(np.stack([rest, selected], axis=-1), undecided, above, at_median)


def scoring_rate(scores: ScoreCounts) -> NDArray[np.float64]:
    """P(s > median of all rows | g). Range 0..1; descriptive; 0 = nobody in the group scores above the median.

    The scoring rate of New York City's Local Law 144 (6 RCNY 5-300), [..., G].
    """
    return SELECTION_RATE.of(above_median(scores).mass)


def scoring_impact_ratio(scores: ScoreCounts) -> NDArray[np.float64]:
    """Scoring rate of g / max_g' scoring rate of g'. Range 0..1; higher is better; 0 = none scores above the median.

    The law's second form of the impact ratio, [..., G], all groups counted (`impact_ratios`).
    """
    return impact_ratios(scoring_rate(scores))


def _by_label(scores: ScoreCounts) -> Array:
    """Rows by group, label (the positive class against the rest) and score, [..., G, 2, S]."""
    mass = scores.count if scores.weight is None else scores.weight
    return np.stack([mass[..., :-1, :].sum(-2), mass[..., -1, :]], axis=-2)
