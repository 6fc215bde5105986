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
    low = np.minimum(lowest_difference(plain, Curves(plain.low, _largest_of_others(plain.high))), 0)
    high = np.zeros(low.shape)  # logarithms: of ratios of at most 1
    for other in _outermost(at_once.low, 2):  # of two one is another group than the one it is compared with
        others = np.arange(groups) != other
        above = highest_difference(at_once, Curves(*(limit[..., other, None] for limit in at_once)))
        high = np.where(others, np.minimum(high, above), high)
    known = (plain.high[0].max(-1, keepdims=True) > -np.inf) & ~np.isnan(plain.low[0]).any(-1, keepdims=True)
    return Interval(*(np.where(known, np.exp(limit), np.nan) for limit in (low, high)))


def _largest_of_others(values: Array) -> Array:
    """The greatest value of all groups but the one at that place, [..., G]."""
    second, first = np.split(np.partition(values, -2, axis=-1)[..., -2:], 2, axis=-1)
    return np.where(values == first, second, first)


def _outermost(curves: Array, kept: int) -> NDArray[np.intp]:
    """Groups whose curve [STEPS + 1, ..., G] lies below that of fewer than `kept` others at every step.

    Where there are replicates [...], in any of them. A difference that is an extreme over groups is attained by these:
    few, for of thousands of groups hardly one is not below another's whole curve.
    """
    flat = curves.reshape(len(curves), -1, curves.shape[-1])
    rank = np.maximum(flat[0] + flat[-1], np.finfo(np.float64).min)  # log 0 too
    chosen, above, left = np.zeros(rank.shape, bool), np.zeros(rank.shape, np.int64), ~np.isnan(rank)
    while left.any():
        best = np.where(left, rank, -np.inf).argmax(-1)[:, None]
        np.put_along_axis(chosen, best, True, -1)
        above += (flat <= np.take_along_axis(flat, best[None], -1)).all(0)
        left &= ~chosen & (above < kept)
    return np.flatnonzero(chosen.any(0))


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
    upper limit is below some estimate the smaller: with many groups most are neither, and few of the rest outermost.
    """
    (low, high), ahead = curves, tuple(range(curves.low.ndim - 2))
    larger = (low[-1] > high[0].min(-1, keepdims=True)).any(ahead)
    smaller = (high[-1] < low[0].max(-1, keepdims=True)).any(ahead)
    found = np.zeros(low.shape[1:-1])
    if not (larger.any() and smaller.any()):
        return found
    tops, bottoms = low[..., larger], high[..., smaller]
    tops, bottoms = tops[..., _outermost(tops, 1)], bottoms[..., _outermost(-bottoms, 1)]
    for place in range(tops.shape[-1]):
        top = tops[..., place, None]
        found = np.fmax(found, lowest_difference(Curves(top, top), Curves(bottoms, bottoms)).max(-1))
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
