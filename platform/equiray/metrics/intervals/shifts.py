"""Intervals of mean shifts: values within -1 and 1 most of which are 0, gains and losses."""

import numpy as np
from numpy.typing import ArrayLike

from equiray.metrics.intervals.binomial import needs_exact
from equiray.metrics.intervals.curves import Curves, counted_curves, curves_of, normal_quantile, signed_products
from equiray.metrics.intervals.limits import Counted, Interval, Moments


def shift_interval(of: Moments, absolute: ArrayLike, confidence: float) -> Interval:
    """Interval of a mean shift, arrays that broadcast; NaN without rows.

    The mean is delta (2 pi - 1), with delta the mean absolute shift and pi the share that shifts upward have of it.
    Where shifts either way are of like size the estimates of both are nearly independent, and their limits combine as
    those of a paired change do (`curves.signed_products`). Kish's effective number of shifts, (sum |x|)^2 / sum x^2,
    tells how well pi is known. A mean as such (`means.mean_interval`) does not see how few of its values are not 0: of
    50 rows with 5 shifts its 95 % interval covers less than 90 %.

    Parameters
    ----------
    of : Moments
        Of the shifts.
    absolute : sum of the absolute shifts
    """
    z = normal_quantile(confidence)
    rows, total, squares, absolute = np.broadcast_arrays(
        *(np.asarray(part, dtype=np.float64) for part in (*of[:3], absolute))
    )
    size = curves_of(Moments(rows, absolute, squares, 0, 1), z)
    with np.errstate(invalid="ignore", divide="ignore"):
        trials = np.where(absolute > 0, absolute**2 / squares, 0)
        events = np.where(absolute > 0, np.clip((1 + total / absolute) / 2, 0, 1), 0) * trials
    upward = counted_curves(Counted(events, trials), z, needs_exact(events, trials, confidence, rows=rows))
    # Where nothing shifts nothing is known about where it would go.
    upward = Curves(np.where(trials > 0, upward.low, 0), np.where(trials > 0, upward.high, 1))
    found = signed_products(size, upward)
    return Interval(found.low[-1], found.high[-1])
