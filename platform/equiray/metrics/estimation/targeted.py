"""Limits of errors and means of real-valued predictions.

Notable: such values have no bounds, so limits suppose something of their law (`intervals.means`), which heavy tails
mislead, and rows of no known group leave a comparison of means open. Weighted rows count as their effective number, as
scores do.
"""

from math import inf

import numpy as np

from equiray.metrics.estimation.read import Read
from equiray.metrics.intervals.limits import Array, Interval, Moments
from equiray.metrics.intervals.means import mean_interval
from equiray.metrics.intervals.simultaneous import largest_difference
from equiray.metrics.rates import divide


def target_limits(read: Read, confidence: float) -> Interval:
    """Limits of each group's figure [G], or of the attribute's []; NaN where nothing bounds it."""
    sums = read.table.targets
    assert sums is not None
    scale = np.nan_to_num(divide(sums.rows, sums.weight_squared))

    def moments(total: Array, squares: Array, least: float = -inf) -> Moments:
        return Moments(sums.rows * scale, total * scale, squares * scale, least)

    if read.metric.id == "mean_prediction_difference":
        if read.joining is not None:
            return Interval(np.array(np.nan), np.array(np.nan))
        return largest_difference([moments(sums.prediction, sums.prediction_squared)], confidence)
    if read.metric.id == "mean_prediction":
        return mean_interval(moments(sums.prediction, sums.prediction_squared), confidence)
    if read.metric.id == "mae":
        return mean_interval(moments(sums.absolute_error, sums.squared_error, least=0), confidence)
    low, high = mean_interval(moments(sums.squared_error, sums.squared_error_squared, least=0), confidence)
    return Interval(np.sqrt(low), np.sqrt(high))  # of the root: RMSE
