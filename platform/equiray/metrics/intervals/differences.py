"""Intervals of the difference of two independent rates."""

import numpy as np

from equiray.metrics.intervals.binomial import wilson
from equiray.metrics.intervals.curves import curves_of, highest_difference, lowest_difference, normal_quantile
from equiray.metrics.intervals.limits import Completed, Counted, Interval, rate


def difference_interval(one: Counted | Completed, other: Counted | Completed, confidence: float) -> Interval:
    """Interval of rate one - rate other, the one to use, of arrays that broadcast.

    The extremes of p - q over the rates that lie together within what both intervals allow (`curves`). Over rates from
    .01 to .99 and 20 to 100,000 trials on either side its 95 % interval covers 93 % or more, and with 50 trials, 10
    events and 10 others expected or more on both sides 97 % or less (tests/test_intervals_differences.py).

    Returns
    -------
    Interval
        Within -1 and 1; NaN where a rate has no trials.
    """
    z = normal_quantile(confidence)
    first, second = curves_of(one, z), curves_of(other, z)
    return Interval(lowest_difference(first, second), highest_difference(first, second))


def newcombe(one: Counted, other: Counted, confidence: float) -> Interval:
    """Newcombe's hybrid score interval (Newcombe 1998, method 10), of arrays that broadcast: what most tools print.

    It squares and adds the arms of two Wilson intervals and inherits their faults: with 20 trials on either side it
    covers 89.9 % at rates .01 and .97, and 92.5 % with 20 against 100,000 (`binomial` says why).
    """
    (low, high), (other_low, other_high) = (wilson(*counted, confidence) for counted in (one, other))
    p, q = rate(one), rate(other)
    return Interval(p - q - np.hypot(p - low, other_high - q), p - q + np.hypot(high - p, q - other_low))
