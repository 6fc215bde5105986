"""Limits of errors and means of real-valued predictions.

Notable: such values have no bounds, so limits suppose something of their law (`intervals.means`), which heavy tails
mislead, and rows of no known group leave a comparison of means open. Weighted rows count as their effective number
(`weighted.effective_share`), here from sums of powers of the values.
"""

from math import inf

import numpy as np

from equiray.metrics.estimation.read import Read
from equiray.metrics.intervals.limits import Array, Interval, Moments
from equiray.metrics.intervals.means import mean_interval
from equiray.metrics.intervals.simultaneous import largest_difference
from equiray.metrics.rates import divide
from equiray.metrics.tables import TargetSums


def target_limits(read: Read, confidence: float) -> Interval:
    """Limits of each group's figure [G], or of the attribute's []; NaN where nothing bounds it."""
    sums = read.table.targets
    assert sums is not None
    if read.metric.id == "mean_prediction_difference":
        if read.joining is not None:
            return Interval(np.array(np.nan), np.array(np.nan))
        return largest_difference([prediction_moments(sums)], confidence)
    if read.metric.id == "mean_prediction":
        return mean_interval(prediction_moments(sums), confidence)
    if read.metric.id == "mae":
        once, twice = (sums.absolute_error, sums.squared_error), (sums.absolute_error_w2, sums.squared_error_w2)
        return mean_interval(_moments(sums, once, twice, least=0), confidence)
    once = (sums.squared_error, sums.squared_error_squared)
    twice = (sums.squared_error_w2, sums.squared_error_squared_w2)
    low, high = mean_interval(_moments(sums, once, twice, least=0), confidence)
    return Interval(np.sqrt(low), np.sqrt(high))  # of the root: RMSE


def prediction_moments(sums: TargetSums, least: float = -inf, most: float = inf) -> Moments:
    """Moments of predictions within `least` and `most`, [G]: of as many rows as the weighted ones count as."""
    once, twice = (sums.prediction, sums.prediction_squared), (sums.prediction_w2, sums.prediction_squared_w2)
    return _moments(sums, once, twice, least, most)


_Sums = tuple[Array, Array]


def _moments(sums: TargetSums, once: _Sums, twice: _Sums, least: float = -inf, most: float = inf) -> Moments:
    """Moments of values x from sums of w x and w x^2, and of w^2 x and w^2 x^2: of as many rows as weigh so."""
    total, squares = once
    centre = divide(total, sums.rows)
    around = squares - centre * total  # sum w (x - centre)^2
    around_w2 = twice[1] - 2 * centre * twice[0] + centre**2 * sums.weight_squared
    with np.errstate(invalid="ignore", divide="ignore"):
        linearised = np.where(around_w2 > 0, around / around_w2, np.inf)
    weighted = (sums.rows != sums.counted) | (sums.weight_squared != sums.counted)
    share = np.where(weighted, np.fmin(divide(sums.rows, sums.weight_squared), linearised), 1)
    share = np.where(sums.rows > 0, share, 0)
    return Moments(sums.rows * share, total * share, squares * share, least, most)
