"""Errors of real-valued predictions, and means of scores, by group.

Notable: `TargetSums` are [..., G], `ScoreSums` [..., G, K, B]; leading axes are kept.
"""

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.disparities import spread
from equiray.metrics.rates import divide
from equiray.metrics.tables import ScoreSums, TargetSums

Values = NDArray[np.float64]


def mae(sums: TargetSums) -> Values:
    """Mean |f - y| in g. Range 0..inf, in the target's unit; lower is better; 0 = every prediction is exact."""
    return divide(sums.absolute_error, sums.rows)


def rmse(sums: TargetSums) -> Values:
    """sqrt(mean (f - y)²) in g. Range 0..inf, in the target's unit; lower is better; 0 = every prediction is exact."""
    return np.sqrt(divide(sums.squared_error, sums.rows))


def mean_prediction(sums: TargetSums) -> Values:
    """Mean f in g. Range -inf..inf, in the target's unit; descriptive; 0 = predictions average 0."""
    return divide(sums.prediction, sums.rows)


def mean_prediction_difference(sums: TargetSums) -> Values:
    """max_g mean f - min_g mean f. Range 0..inf, in the target's unit; lower is better; 0 = equal mean predictions."""
    return spread(mean_prediction(sums))


def mean_score(sums: ScoreSums) -> Values:
    """Mean s in g. Range 0..1; descriptive; 0 = every score is 0."""
    return divide(sums.score.sum((-1, -2)), sums.rows.sum((-1, -2)))


def mean_score_difference(sums: ScoreSums) -> Values:
    """max_g mean s - min_g mean s. Range 0..1; lower is better; 0 = equal mean scores."""
    return spread(mean_score(sums))
