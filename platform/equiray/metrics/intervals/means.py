r"""Intervals of means: scores, squared errors, score shifts, absolute errors.

Notable: a mean of many values within bounds is treated as a rate of as many trials as make it vary as much, so that its
limits are asymmetric near the bounds and never beyond. Few values, or a mean so near a bound that few of them make it,
suppose too much of that: then the limits are Gaffke's, which count one more value at the bound and suppose nothing of
their law. In between, a law with a heavy tail still costs some coverage: of lognormal values (sigma 1) with 50 rows a
95 % interval covers 92 %. Values without any bound have Student's limits, which skewed ones mislead more; errors, at
least 0, have limits as if their sum had a Gamma law.
"""

from math import isinf

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from equiray.metrics.intervals import binomial
from equiray.metrics.intervals.binomial import FEWEST_TRIALS, HIGHEST_CONFIDENCE, lower_limit
from equiray.metrics.intervals.limits import Array, Counted, Interval, Moments, mean

FEWEST_EVENTS = 15
"""With fewer effective events, or fewer others, the limits of a bounded mean are Gaffke's.

So they are with fewer than `FEWEST_TRIALS` rows, and where values from 0 to 1 add up to less than
`binomial.FEWEST_EVENTS`, or fall short of all ones by less: large values that a sample lacks do not show in its
variance.
"""


_ROUNDED = 16 * np.finfo(np.float64).eps
"""A variance that is a smaller share of the mean square is that of equal values, but for rounding."""

TAILS = 2
"""How much further than a Gamma law's the squared coefficient of variation of unbounded values may be off."""


def mean_interval(of: Moments, confidence: float) -> Interval:
    """Interval of a mean; NaN without rows, and where a mean without bounds has but one."""
    return mean_limits(of, np.array((1 - confidence) / 2), confidence)


def mean_limits(of: Moments, tail: Array, confidence: float) -> Interval:
    """Limits that err with probability `tail` each; tails broadcast against the means.

    `confidence` decides, for all these limits alike, whether they must be Gaffke's: above `HIGHEST_CONFIDENCE` they
    are.
    """
    if of.least == 0 and isinf(of.most):
        return _gamma_limits(of, tail)
    if isinf(of.least) or isinf(of.most):
        half = -special.stdtrit(np.maximum(np.asarray(of.rows) - 1, 1), tail) * _standard_error(of)
        return Interval(mean(of) - half, mean(of) + half)
    unit = _onto_unit(of)
    events, trials, tail = np.broadcast_arrays(*effective_trials(unit, tail), tail)
    rows, total = np.asarray(unit.rows), np.asarray(unit.total)
    few = (np.minimum(events, trials - events) < FEWEST_EVENTS) | (rows < FEWEST_TRIALS)
    few = few | (np.minimum(total, rows - total) < binomial.FEWEST_EVENTS) | (confidence > HIGHEST_CONFIDENCE)
    low, others = (_gaffke_low(values, tail) for values in (unit, _mirrored(unit)))
    many, exact = ~few, np.zeros(int((~few).sum()), dtype=bool)
    low[many] = lower_limit(events[many], trials[many], tail[many], exact)
    others[many] = lower_limit((trials - events)[many], trials[many], tail[many], exact)
    width = of.most - of.least
    return Interval(of.least + width * low, of.most - width * others)


def effective_trials(of: Moments, tail: ArrayLike) -> Counted:
    r"""Events and trials of a rate that varies like the mean of values within 0..1.

    .. math:: n_{eff} = n \frac{m (1 - m)}{s^2} \left( \frac{z}{t_{n-1}} \right)^2

    with mean m and variance s^2. The last factor, of normal to t quantiles at `tail`, allows for a variance that is
    itself an estimate (Korn and Graubard 1998). 0 trials where the values do not vary.
    """
    rows, m = np.asarray(of.rows, dtype=np.float64), mean(of)
    error = _standard_error(of)
    with np.errstate(invalid="ignore", divide="ignore"):
        shrunk = (special.ndtri(tail) / special.stdtrit(np.maximum(rows - 1, 1), tail)) ** 2
        trials = np.where(error > 0, np.maximum(m * (1 - m) / error**2, rows) * shrunk, 0)
    return Counted(np.where(trials > 0, m, 0) * trials, trials)


def _gamma_limits(of: Moments, tail: Array) -> Interval:
    """Of a mean of values of at least 0 without an upper bound: as if their sum had a Gamma law.

    Its shape is n / c^2, with c the values' coefficient of variation, reduced by the squared ratio of normal to t
    quantiles at n / (1 + `TAILS` c^2) - 1 degrees of freedom, three at least: of Gamma values, the estimate of c^2
    varies like a chi-squared divided by n / (1 + c^2). NaN where so little is known that there is no upper limit.
    """
    rows, m, error = np.asarray(of.rows, dtype=np.float64), mean(of), _standard_error(of)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        relative = np.where(error > 0, (error / m) ** 2, np.nan)
        freedom = np.maximum(rows / (1 + TAILS * rows * relative) - 1, np.minimum(rows - 1, 3))
        shape = (special.ndtri(tail) / special.stdtrit(np.maximum(freedom, 1), tail)) ** 2 / relative
        turning = np.maximum(shape, 1.5 * tail)  # below it upper quantiles fall again
        low, high = m * turning / special.gammainccinv(turning, tail), m * shape / special.gammaincinv(shape, tail)
    still = error == 0  # equal values have no coefficient
    low = np.where(np.isfinite(high), low, np.nan)
    return Interval(np.where(still, m, low), np.where(still, m, np.where(np.isfinite(high), high, np.nan)))


def _gaffke_low(of: Moments, tail: Array) -> Array:
    """Lower limit of the mean of values within 0..1, whatever their law (Gaffke 2005).

    A quantile of their mean with one more value at 0 and random weights, uniform on the simplex; for events it is that
    of Clopper and Pearson. The law of that mean is taken to be the Beta with its two moments, which for events it is.
    """
    rows, total, squares = (np.asarray(part, dtype=np.float64) for part in of[:3])
    with np.errstate(invalid="ignore", divide="ignore"):
        m = total / (rows + 1)
        variance = (squares / (rows + 1) - m**2) / (rows + 2)
        weight = m * (1 - m) / variance - 1
    some = (rows > 0) & (total > 0)
    low = special.betaincinv(np.where(some, m * weight, 1), np.where(some, (1 - m) * weight, 1), tail)
    return np.where(rows > 0, np.where(some, low, 0), np.nan)


def _onto_unit(of: Moments) -> Moments:
    rows, total, squares = (np.asarray(part, dtype=np.float64) for part in of[:3])
    width = of.most - of.least
    shifted = np.clip(total - rows * of.least, 0, rows * width) / width
    spread = (squares - 2 * of.least * total + rows * of.least**2) / width**2
    return Moments(rows, shifted, _possible(spread, rows, shifted), 0, 1)


def _mirrored(of: Moments) -> Moments:
    rows, total, squares = (np.asarray(part) for part in of[:3])
    return Moments(rows, rows - total, _possible(rows - 2 * total + squares, rows, rows - total), 0, 1)


def _possible(squares: Array, rows: Array, total: Array) -> Array:
    """Sums of squares that values within 0..1 with this total can have; rounding leaves others near a bound."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(squares, np.where(rows > 0, total**2 / rows, 0), total)


def _standard_error(of: Moments) -> Array:
    """Of the mean; NaN with fewer than two rows."""
    rows, squares = (np.asarray(part, dtype=np.float64) for part in (of.rows, of.squares))
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = squares / rows - mean(of) ** 2
        variance = np.where(variance > _ROUNDED * squares / rows, variance, 0)
        return np.where(rows > 1, np.sqrt(variance / (rows - 1)), np.nan)
