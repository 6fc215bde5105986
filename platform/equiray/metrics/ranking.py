"""How well scores rank the rows of a group: the area under the ROC curve, from counts by score.

Notable: while distinct scores are kept the area is exact. On a grid, pairs within one bin could have been ranked either
way: `auc_bounds` encloses the area, `auc` counts such pairs half, and its status is ``partial`` (`ScoreCounts.exact`).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.rates import divide
from equiray.metrics.tables import ScoreCounts

Array = NDArray[Any]


class Enclosure(NamedTuple):
    """Smallest and largest value that agree with what was counted, [..., G]; equal where nothing was lost."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


class _Pairs(NamedTuple):
    """Pairs of a positive and a negative row, [..., G]: how many are ranked rightly, how many share a score or bin."""

    ranked: Array
    tied: Array
    all: Array


def auc(scores: ScoreCounts) -> NDArray[np.float64]:
    """P(s of a positive > s of a negative) + P(equal)/2 in g. Range 0..1; higher is better; 0 = all ranked wrongly.

    .5 = scores say nothing about the label. The positive class is the last; all others are negative.

    Returns
    -------
    [..., G]
        NaN for a group without positives or without negatives.
    """
    pairs = _pairs(scores)
    return np.clip(divide(pairs.ranked + pairs.tied / 2, pairs.all), 0, 1)  # clipped: rounding of weights alone


def auc_bounds(scores: ScoreCounts) -> Enclosure:
    """What `auc` can be, [..., G]: on a grid, pairs within one bin all ranked wrongly, or all rightly."""
    if scores.exact:
        return Enclosure(auc(scores), auc(scores))
    pairs = _pairs(scores)
    low, high = (divide(ranked, pairs.all) for ranked in (pairs.ranked, pairs.ranked + pairs.tied))
    return Enclosure(np.clip(low, 0, 1), np.clip(high, 0, 1))


def _pairs(scores: ScoreCounts) -> _Pairs:
    # float64: products of two counts of 1e10 rows leave int64
    mass = np.asarray(scores.count if scores.weight is None else scores.weight, dtype=np.float64)
    positives, negatives = mass[..., -1, :], mass[..., :-1, :].sum(-2)
    below = negatives.cumsum(-1) - negatives
    return _Pairs(
        ranked=(positives * below).sum(-1),
        tied=(positives * negatives).sum(-1),
        all=positives.sum(-1) * negatives.sum(-1),
    )
