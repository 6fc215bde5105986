"""Effective numbers of events and trials of weighted rows, which any interval takes in place of counts.

Notable: n rows with weights know less than n rows without. An effective number of trials is that of unweighted rows
with which the rate would vary as much; with it come the interval's asymmetry and its limits at 0 and 1 (Korn and
Graubard 1998, who take exact intervals of effective numbers for survey rates).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from equiray.metrics.intervals.limits import Array, Counted


class Weights(NamedTuple):
    """Sums of w and of w^2 over some rows of each group, [..., G]."""

    total: Array
    squared: Array


def effective(events: Weights, others: Weights) -> Counted:
    """Effective events and trials of a weighted rate, [..., G].

    The smaller of two effective numbers of trials: Kish's (sum w)^2 / sum w^2 (Kish 1965), which supposes that weights
    have nothing to do with events, and p (1 - p) over the rate's linearised variance, which does not, but knows
    nothing about weights of events while there are none.

    Parameters
    ----------
    events, others : weights of the rows with the event, and of those without
    """
    whole = events.total + others.total
    with np.errstate(invalid="ignore", divide="ignore"):
        p = np.where(whole > 0, events.total / whole, np.nan)
        kish = whole**2 / (events.squared + others.squared)
        linearised = p * (1 - p) * whole**2 / ((1 - p) ** 2 * events.squared + p**2 * others.squared)
    trials = np.where(whole > 0, np.where((p > 0) & (p < 1), np.fmin(kish, linearised), kish), 0)
    return Counted(np.where(whole > 0, p, 0) * trials, trials)


def effective_share(of: Weights, deviation: ArrayLike, axis: int | tuple[int, ...] = -1) -> Array:
    """Effective rows for every unit of weight, by which sums of w are turned into effective numbers.

    Again the smaller of two: Kish's sum w / sum w^2, which supposes that weights have nothing to do with values, and
    sum w d^2 / sum w^2 d^2, with which a mean varies as much as its linearisation (the ratio estimator of survey
    sampling, Cochran 1977, 6.3).

    Parameters
    ----------
    of : Weights
        Of the rows with each value, arrays of one shape.
    deviation : array that broadcasts to it
        d, of each value from the weighted mean.
    axis : the axes that are summed over

    Returns
    -------
    Array
        0 without weights.
    """
    square = np.square(deviation)
    with np.errstate(invalid="ignore", divide="ignore"):
        kish, linearised = (
            (of.total * part).sum(axis) / (of.squared * part).sum(axis) for part in (np.ones_like(square), square)
        )
    return np.nan_to_num(np.fmin(kish, linearised))
