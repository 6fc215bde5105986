r"""Limits of a rate as curves over the confidence, and how curves of independent rates add up.

Notable: limits of p - q, of p / q or of p - q + r - s are the extremes over all rates with

.. math:: z_p^2 + z_q^2 + \ldots \le z^2,

where z_p is the normal quantile at which p is just a limit of its own interval. For normal estimates that is the
familiar square-and-add rule (Newcombe 1998, method 10; Zou and Donner 2008), which takes it for granted that a limit
moves in proportion to z. With exact intervals of few events, or at a high confidence, it does not: square-and-add
then errs up to 30,000 times too often (20 rows each, rates .99 and .01, at 1 - 2e-6). Following the curves themselves,
on a grid of z^2 in which sums of steps are steps, erred at most 1.2 times as often as it may, wherever computed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from equiray.metrics.intervals.binomial import clopper_pearson, limits_at, needs_exact, rate_interval
from equiray.metrics.intervals.limits import Array, Completed, Counted, Interval, Moments, mean, rate
from equiray.metrics.intervals.means import mean_interval, mean_limits

STEPS = 8
"""Steps of z^2 along a curve."""

_FINER = 1 / np.cos(np.arcsin(STEPS**-0.5) / 2)
"""The nearest point of the grid misses the best split of z^2 over two rates by this factor of z at most: 1.017."""


class Curves(NamedTuple):
    """Lower and upper limits [STEPS + 1, ...] at z^2 k / STEPS; at k = 0 both are the estimate."""

    low: Array
    high: Array


def normal_quantile(confidence: float) -> float:
    """How many standard errors a two-sided interval reaches."""
    return float(-ndtri((1 - confidence) / 2))


def curves_of(of: Counted | Completed | Moments, z: float) -> Curves:
    """Curves of a rate or a mean [...] up to the normal quantile z; NaN where there are no trials.

    Exact or mid-P by the rule of `binomial.rate_interval`, applied to z. Those of a partly unknown rate enclose
    whatever it may be.
    """
    if isinstance(of, Completed):
        return Curves(curves_of(of.lowest, z).low, curves_of(of.highest, z).high)
    confidence = 1 - 2 * float(ndtr(-z))
    if isinstance(of, Moments):
        estimate = mean(of)[None]
        low, high = mean_limits(of, tails(z).reshape(-1, *(1,) * (estimate.ndim - 1)), confidence)
        return Curves(np.concatenate([estimate, low]), np.concatenate([estimate, high]))
    events, trials = np.broadcast_arrays(*(np.asarray(part, dtype=np.float64) for part in of))
    return counted_curves(Counted(events, trials), z, needs_exact(events, trials, confidence))


def single_limits(of: Counted | Completed | Moments, z: float, *, exact: bool = False) -> Interval:
    """Limits at the normal quantile z of a rate or mean by itself: the ends of its curves, which need not add up.

    With `exact` those of rates are exact whatever the numbers.
    """
    if isinstance(of, Completed):
        lowest, highest = (single_limits(end, z, exact=exact) for end in of)
        return Interval(lowest.low, highest.high)
    confidence = 1 - 2 * float(ndtr(-z))
    if isinstance(of, Moments):
        return mean_interval(of, confidence)
    return clopper_pearson(*of, confidence) if exact else rate_interval(*of, confidence)


def counted_curves(of: Counted, z: float, exact: NDArray[np.bool_]) -> Curves:
    """Curves of a rate [...] up to the normal quantile z, exact ones or mid-P ones."""
    estimate = rate(of)[None]
    events, trials = (np.asarray(part, dtype=np.float64) for part in of)
    low, high = limits_at(events, trials, tails(z), exact)
    return Curves(np.concatenate([estimate, low]), np.concatenate([estimate, high]))


def tails(z: float) -> Array:
    """With what probability limits err at each step but the first, [STEPS]."""
    return ndtr(-z * _FINER * np.sqrt(np.arange(1, STEPS + 1) / STEPS))


def lowest_difference(one: Curves, other: Curves, step: int = STEPS) -> Array:
    """Lower limit of one - other at a step, of curves that broadcast."""
    return _over_splits(np.subtract, np.fmin, one.low, other.high, step)


def highest_difference(one: Curves, other: Curves, step: int = STEPS) -> Array:
    """Upper limit of one - other at a step, of curves that broadcast."""
    return _over_splits(np.subtract, np.fmax, one.high, other.low, step)


def difference_curves(one: Curves, other: Curves) -> Curves:
    """Curves of one - other, of curves that broadcast."""
    steps = range(STEPS + 1)
    return Curves(
        np.stack([lowest_difference(one, other, step) for step in steps]),
        np.stack([highest_difference(one, other, step) for step in steps]),
    )


def highest_sum(limits: Sequence[Array]) -> Array:
    """Upper limit of a sum of independent numbers, from the upper limits [STEPS + 1, ...] of each."""
    total = limits[0]
    for other in limits[1:]:
        total = np.stack([_over_splits(np.add, np.fmax, total, other, step) for step in range(STEPS + 1)])
    return total[-1]


def signed_products(size: Curves, upward: Curves) -> Curves:
    """Curves of delta (2 pi - 1) for a delta of at least 0, from curves of both that are estimated independently."""
    low, high = (
        [_furthest(size, 2 * limit - 1, pick, step) for step in range(STEPS + 1)]
        for limit, pick in ((upward.low, np.minimum), (upward.high, np.maximum))
    )
    return Curves(np.stack(low), np.stack(high))


def logarithms(curves: Curves) -> Curves:
    """Curves of the logarithm: differences of them are logarithms of ratios."""
    with np.errstate(divide="ignore"):
        return Curves(np.log(curves.low), np.log(curves.high))


def _furthest(size: Curves, balance: Array, pick: np.ufunc, step: int) -> Array:
    """The least or greatest delta (2 pi - 1), for a limit of 2 pi - 1 [STEPS + 1, ...]."""
    found = [
        pick(size.low[step - part] * balance[part], size.high[step - part] * balance[part]) for part in range(step + 1)
    ]
    return pick.reduce(found)


def _over_splits(join: np.ufunc, pick: np.ufunc, one: Array, other: Array, step: int) -> Array:
    """The least or greatest of what two curves give over all splits of a step between them."""
    with np.errstate(invalid="ignore"):  # log 0 - log 0 at one split says nothing, and the others decide
        found = join(one[0], other[step])
        for part in range(1, step + 1):
            found = pick(found, join(one[part], other[step - part]))
    return found
