r"""Limits of disparities over many groups: a largest difference, a smallest ratio, a minimum, a sum of differences.

Notable: such a number is an extreme, so neither a bootstrap nor a normal approximation holds for it: at equality its
percentile bootstrap never covers 0. It is projected from limits of the pairs instead. For a largest difference theta

- the upper limit is the largest upper limit of any pair. It is too low only if that of the one pair that truly differs
  by theta is, so each pair's limit at plain confidence will do, for any number of groups;
- the lower limit is the largest lower limit of any pair, at least 0. It is too high only if some pair's is, so the
  pairs' limits must hold all at once (`critical.pairs_quantile`).

Together they err with probability alpha. The upper limit alone errs with alpha / 2, and the lower one with alpha where
all groups are equal, because it may then err for every pair in either direction. But the first needs
theta to exceed half the width of every pair's interval, and then no pair errs in the other direction: what is left
of the second is alpha / 2. For a minimum all is the same with single groups in place of pairs, and the ratio
min p / max p is exp(-(max log p - min log p)). Exported limits are therefore conservative where groups are close.

`Completed` rates in place of `Counted` ones give limits that hold whatever the unknown rows may be.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from equiray.metrics.disparities import Combination
from equiray.metrics.intervals.critical import pairs_quantile
from equiray.metrics.intervals.curves import (
    STEPS,
    Curves,
    curves_of,
    highest_difference,
    highest_sum,
    logarithms,
    lowest_difference,
    normal_quantile,
    single_limits,
)
from equiray.metrics.intervals.limits import Array, Completed, Counted, Interval, Moments, mean, rate

Of = Counted | Completed | Moments
Rates = Sequence[Of]
_PAIRS = 2**20  # pairs of groups held at once


def projected(combined: Combination, rates: Rates, confidence: float) -> Interval:
    """Limits of a `disparities.Disparity`, each rate [..., G] -> [...].

    Parameters
    ----------
    combined : how the disparity combines its rates
    rates : one for each of its rates
        Of independent groups; for a sum or a mean, also independent of each other, as TPR and FPR are.
    confidence : float
        Of the disparity, two-sided.

    Returns
    -------
    Interval
        NaN where a rate of a group has no trials, or there is no second group to compare.
    """
    return _PROJECTIONS[combined](rates, confidence)


def largest_difference(rates: Rates, confidence: float) -> Interval:
    """Limits of the largest difference between two groups in any of the rates."""
    low, high = zip(*(_spread(of, confidence, len(rates), _as_it_is) for of in rates), strict=True)
    return Interval(np.max(low, axis=0), np.max([limit[-1] for limit in high], axis=0))


def sum_of_differences(rates: Rates, confidence: float) -> Interval:
    """Limits of the sum of the rates' largest differences.

    The lower limits add up. The upper one follows the four groups that truly differ most, two for each rate, as one
    difference of independent rates (`curves.highest_sum`).
    """
    low, high = zip(*(_spread(of, confidence, len(rates), _as_it_is) for of in rates), strict=True)
    return Interval(np.sum(low, axis=0), highest_sum(high))


def mean_of_differences(rates: Rates, confidence: float) -> Interval:
    """Limits of the mean of the rates' largest differences: those of the sum, divided."""
    low, high = sum_of_differences(rates, confidence)
    return Interval(low / len(rates), high / len(rates))


def smallest_ratio(rates: Rates, confidence: float) -> Interval:
    """Limits of the smallest ratio of two groups' rates, in any of the rates; NaN too where every rate is 0."""
    low, high = zip(*(_spread(of, confidence, len(rates), logarithms) for of in rates), strict=True)
    limits = np.exp(-np.max([limit[-1] for limit in high], axis=0)), np.exp(-np.max(low, axis=0))
    known = np.all([_estimate(of).max(-1) > 0 for of in rates], axis=0)  # 0 / 0 is no ratio
    return Interval(*(np.where(known, limit, np.nan) for limit in limits))


def minimum(rates: Rates, confidence: float) -> Interval:
    """Limits of the smallest rate of any group, one group too.

    The smallest lower limit at plain confidence, and the smallest upper one of limits that hold for all at once. Those
    are exact: what a mid-P limit errs more often than it may, it would err once for each group.
    """
    alpha, groups = 1 - confidence, sum(_groups(of) for of in rates)
    if not groups:
        raise ValueError("no group has a rate to take the minimum of")
    at_once = float(-ndtri(min(alpha / 2, alpha / groups)))
    low = [single_limits(of, normal_quantile(confidence)).low.min(-1) for of in rates]
    high = [single_limits(of, at_once, exact=groups > 1).high.min(-1) for of in rates]
    return Interval(np.min(low, axis=0), np.min(high, axis=0))


def ratio_to_largest(of: Of, confidence: float) -> Interval:
    """Limits of each group's rate over the highest rate of any, [..., G]: impact ratios, each by itself.

    The lower limit is the smallest of those against each other group, at plain confidence; the upper one, at most 1,
    the smallest of limits that hold against all others at once.
    """
    alpha, groups = 1 - confidence, _groups(of)
    if groups < 2:
        return Interval(*np.full((2, *np.shape(_estimate(of))), np.nan))
    plain = logarithms(curves_of(of, normal_quantile(confidence)))
    at_once = logarithms(curves_of(of, float(-ndtri(alpha / 2 / (groups - 1)))))
    low = lowest_difference(plain, Curves(plain.low, _largest_of_others(plain.high)))
    limits = (np.exp(np.minimum(each, 0)) for each in (low, _smallest_upper_difference(at_once)))
    known = (plain.high[0].max(-1, keepdims=True) > -np.inf) & ~np.isnan(plain.low[0]).any(-1, keepdims=True)
    return Interval(*(np.where(known, limit, np.nan) for limit in limits))


def _largest_of_others(values: Array) -> Array:
    """The greatest value of all groups but the one at that place, [..., G]."""
    second, first = np.split(np.partition(values, -2, axis=-1)[..., -2:], 2, axis=-1)
    return np.where(values == first, second, first)


def _smallest_upper_difference(curves: Curves) -> Array:
    """The least upper limit of each group less any other, [..., G]; anything where a group has no trials.

    Lower curves that lie above another group's make the smaller limits. So the others are tried from the highest down,
    and a group below two that were tried need not be: one of the two is another group than the one it is taken off.
    With thousands of groups a few are left to try.
    """
    low, high = (limit.reshape(len(limit), -1, limit.shape[-1]) for limit in curves)
    rank = np.maximum(low[0] + low[-1], np.finfo(np.float64).min)  # log 0 too
    place, found = np.arange(rank.shape[-1]), np.full(rank.shape, np.inf)
    above, left = np.zeros(rank.shape, np.int64), ~np.isnan(rank)
    while left.any():
        tried = np.where(left, rank, -np.inf).argmax(-1)[:, None]
        curve = np.take_along_axis(low, tried[None], -1)
        others = place != tried
        found = np.where(others, np.fmin(found, highest_difference(Curves(high, high), Curves(curve, curve))), found)
        above += (low <= curve).all(0)
        left &= others & (above < 2)
    return found.reshape(curves.high.shape[1:])


class _Spread(NamedTuple):
    """Limits of the largest difference of one rate: `low` [...], and `high` at every step [STEPS + 1, ...]."""

    low: Array
    high: Array


def _spread(of: Of, confidence: float, rates: int, scale: Callable[[Curves], Curves]) -> _Spread:
    """Limits of max - min of one out of `rates` rates that are to hold together."""
    groups = _groups(of)
    alpha = (1 - confidence) / rates
    plain = scale(curves_of(of, normal_quantile(confidence)))
    if groups < 2:
        nothing = np.full(plain.low.shape[1:-1], np.nan)
        return _Spread(nothing, np.stack([nothing] * (STEPS + 1)))
    at_once = scale(curves_of(of, pairs_quantile(groups, alpha)))
    missing = np.isnan(plain.low[0]).any(-1)
    return _Spread(np.where(missing, np.nan, _surest(at_once)), np.where(missing, np.nan, _widest(plain)))


def _widest(curves: Curves) -> Array:
    """The largest upper limit of any group less any other, at every step, [STEPS + 1, ...].

    At each split of a step the two groups are chosen independently, so that no pairs need be listed.
    """
    up, down = _leading(curves.high), _leading(-curves.low)
    found = []
    for step in range(STEPS + 1):
        parts = (_joined(up.at(part), down.at(step - part)) for part in range(step + 1))
        found.append(reduce(np.fmax, parts))
    return np.stack(found)


class _Leading(NamedTuple):
    """The greatest of some numbers [..., G], its place, and the greatest of the others; [...] each."""

    best: Array
    place: NDArray[np.intp]
    other: Array

    def at(self, step: int) -> "_Leading":
        return _Leading(*(part[step] for part in self))


def _leading(values: Array) -> _Leading:
    place = values.argmax(-1)
    rest = np.where(np.arange(values.shape[-1]) == place[..., None], -np.inf, values)
    return _Leading(values.max(-1), place, rest.max(-1))


def _joined(one: _Leading, other: _Leading) -> Array:
    """The greatest sum of two numbers that do not stand in the same place."""
    with np.errstate(invalid="ignore"):  # log 0 less log 0
        apart = np.fmax(one.best + other.other, one.other + other.best)
        return np.where(one.place == other.place, apart, one.best + other.best)


def largest_pair(first: Array, second: Array) -> Array:
    """The greatest first_i + second_j over i != j, [..., G] -> [...]."""
    return _joined(_leading(first), _leading(second))


def _surest(curves: Curves) -> Array:
    """The largest lower limit of any group less any other, [...], or 0 where none is above.

    Only groups whose lower limit is above some group's estimate can be the larger of such a pair, and only groups whose
    upper limit is below some estimate the smaller: with many groups most are neither.
    """
    (low, high), ahead = curves, tuple(range(curves.low.ndim - 2))
    larger = (low[-1] > high[0].min(-1, keepdims=True)).any(ahead)
    smaller = (high[-1] < low[0].max(-1, keepdims=True)).any(ahead)
    first = Curves(low[..., larger, None], high[..., larger, None])
    second = Curves(low[..., None, smaller], high[..., None, smaller])
    found = np.zeros(low.shape[1:-1])
    if not smaller.any():
        return found
    at_a_time = max(1, _PAIRS // max(1, found.size * int(smaller.sum())))
    for start in range(0, int(larger.sum()), at_a_time):
        part = Curves(*(limit[..., start : start + at_a_time, :] for limit in first))
        found = np.fmax(found, lowest_difference(part, second).max((-1, -2)))
    return found


def _groups(of: Of) -> int:
    return np.shape(_estimate(of))[-1]


def _estimate(of: Of) -> Array:
    """Of a partly unknown rate the highest."""
    if isinstance(of, Moments):
        return mean(of)
    return rate(of.highest if isinstance(of, Completed) else of)


def _as_it_is(curves: Curves) -> Curves:
    return curves


_PROJECTIONS: Mapping[Combination, Callable[[Rates, float], Interval]] = {
    "max_difference": largest_difference,
    "sum": sum_of_differences,
    "mean": mean_of_differences,
    "ratio": smallest_ratio,
    "minimum": minimum,
}
