"""Intervals of mean shifts: values within -1 and 1, gains and losses, most of which may be 0."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from equiray.metrics.intervals.binomial import needs_exact
from equiray.metrics.intervals.curves import (
    Curves,
    counted_curves,
    curves_of,
    highest_sum,
    normal_quantile,
    signed_products,
)
from equiray.metrics.intervals.limits import Array, Counted, Interval, Moments, mean


class Shifts(NamedTuple):
    """Sums over `rows` shifts x within -1 and 1: of x, of |x| and of x^2, arrays that broadcast."""

    rows: ArrayLike
    total: ArrayLike
    absolute: ArrayLike
    squares: ArrayLike

    @property
    def mean(self) -> Array:
        return mean(Moments(self.rows, self.total, self.squares))


def shift_interval(of: Shifts, confidence: float) -> Interval:
    """Interval of a mean shift; NaN without rows."""
    found = shift_curves(of, normal_quantile(confidence))
    return Interval(found.low[-1], found.high[-1])


def area_interval(both: Sequence[Shifts], own: Sequence[Shifts], confidence: float) -> Interval:
    """Interval of a number whose error is the sum of two independent ones.

    Parameters
    ----------
    both : two Shifts
        The number is the mean of either.
    own : two Shifts
        The number is the sum of their means; what did not itself shift is 0 in them.
    confidence : float

    Returns
    -------
    Interval
        The outermost limits of two ways to add the errors. `both` has every part of them, but where few rows shift by
        themselves and all others by a little, because of these, it does not see how few: of 100 rows of which one in
        100 is expected to shift, its 95 % interval covers 92 %. `own` sees that.
    """
    z = normal_quantile(confidence)
    twice, once = (_sum_limits([shift_curves(of, z) for of in parts]) for parts in (both, own))
    value = both[0].mean
    return Interval(np.minimum(twice.low - value, once.low), np.maximum(twice.high - value, once.high))


def _sum_limits(curves: Sequence[Curves]) -> Interval:
    return Interval(-highest_sum([-each.low for each in curves]), highest_sum([each.high for each in curves]))


def shift_curves(of: Shifts, z: float) -> Curves:
    """Curves of a mean shift up to the normal quantile z.

    The mean is delta (2 pi - 1), with delta the mean absolute shift and pi the share that shifts upward have of it.
    Where shifts either way are of like size the estimates of both are nearly independent, and their limits combine as
    those of a paired change do (`curves.signed_products`). Kish's effective number of shifts, (sum |x|)^2 / sum x^2,
    tells how well pi is known. A mean as such (`means.mean_interval`) does not see how few of its values are not 0: of
    50 rows with 5 shifts its 95 % interval covers less than 90 %.
    """
    rows, total, absolute, squares = np.broadcast_arrays(*(np.asarray(part, dtype=np.float64) for part in of))
    size = curves_of(Moments(rows, absolute, squares, 0, 1), z)
    with np.errstate(invalid="ignore", divide="ignore"):
        trials = np.where(absolute > 0, absolute**2 / squares, 0)
        events = np.where(absolute > 0, np.clip((1 + total / absolute) / 2, 0, 1), 0) * trials
    exact = needs_exact(events, trials, 1 - 2 * float(ndtr(-z)), rows=rows)
    upward = counted_curves(Counted(events, trials), z, exact)
    # Where nothing shifts nothing is known about where it would go.
    upward = Curves(np.where(trials > 0, upward.low, 0), np.where(trials > 0, upward.high, 1))
    return signed_products(size, upward)
