r"""Two models on the same rows: how a disparity over groups changes.

Notable: the change of an extreme is no smooth function, so no bootstrap serves it; it is projected from paired changes
of the groups. If theta is the largest difference between groups, and a and b are those that truly differ most under the
second model, then

.. math:: \theta_2 - \theta_1 \le (p_{2a} - p_{2b}) - (p_{1a} - p_{1b}),

a difference of paired changes of two independent groups; and as theta_1 is no less than p_1b - p_1a either, also

.. math:: \theta_2 - \theta_1 \le (p_{2a} + p_{1a}) - (p_{2b} + p_{1b}),

which says more where the groups changed places, or hardly differed before. So the upper limit is the largest, over the
groups that may be a and b, of the smaller of the two upper limits; groups may be those if they are not shown to lie
below, or above, another one (Gupta 1965, Hsu 1984). The lower limit follows likewise from the groups that may differ
most under the first model; a ratio and a minimum the other way round, without the sums. Last, the change cannot be
beyond what the limits of both models by themselves allow, which is less wide where a small group may be the extreme.
Most of the error is spent on the first bound. Where some groups clearly differ most, the limits are nearly those of
two given groups; where all are close they are conservative.

Rates with `paired.Ends` give limits that hold whatever the rows are that are left out.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from equiray.metrics.disparities import Combination
from equiray.metrics.intervals.curves import (
    STEPS,
    Curves,
    curves_of,
    highest_difference,
    highest_sum,
    logarithms,
    lowest_difference,
)
from equiray.metrics.intervals.limits import Array, Completed, Counted, Interval, rate
from equiray.metrics.intervals.simultaneous import largest_difference, largest_pair, projected
from equiray.metrics.paired import PairedRate

SELECTION = 0.2
"""Share of the error that is spent on finding the groups that may differ most."""

SUMS = 0.1
"""Share of it that is spent on the limits of sums of both models' rates."""

APART = 0.1
"""Share of the error that is spent on the limits of either model by itself, before all else."""

_MOST_IN_PAIRS = 256  # groups whose pairs are listed; of more, sums are not looked at


class _Extremes(NamedTuple):
    """Groups that may have the highest rate of all, and those that may have the lowest, bool [..., G]."""

    highest: NDArray[np.bool_]
    lowest: NDArray[np.bool_]


def disparity_change(combined: Combination, rates: Sequence[PairedRate], confidence: float) -> Interval:
    """Limits of the change of a disparity, second model minus first, [...].

    Parameters
    ----------
    combined : how the disparity combines its rates
    rates : one for each of its rates, arrays [..., G]
        Of independent groups; for a sum or a mean, also independent of each other, as TPR and FPR are.
    confidence : float
        Of the change, two-sided.

    Returns
    -------
    Interval
        NaN where a group has no rows to compare, or there is no second group to compare with.
    """
    error = 1 - confidence
    tail = (1 - APART) * error / 2
    if combined == "minimum":
        found = _minimum(rates, tail)
    elif rates[0].change.shape[-1] < 2:
        return Interval(*np.full((2, *rates[0].change.shape[:-1]), np.nan))
    elif combined == "ratio":
        found = _ratio(rates, tail)
    elif combined == "max_difference":
        found = _largest(rates, tail)
    else:
        found = _sum(rates, tail)
        found = found if combined == "sum" else Interval(*(limit / len(rates) for limit in found))
    before, after = (projected(combined, models, 1 - APART * error / 2) for models in _by_model(rates))
    low, high = np.maximum(found.low, after.low - before.high), np.minimum(found.high, after.high - before.low)
    missing = np.any([np.isnan(each.change).any(-1) for each in rates], axis=0)
    return Interval(*(np.where(missing, np.nan, limit) for limit in (low, high)))


def _largest(rates: Sequence[PairedRate], tail: float) -> Interval:
    # Half of what selection may err is for the groups; with several rates the other half is for these.
    error = SELECTION * tail / (2 if len(rates) > 1 else 1)
    moves = [_Moves.of(each, tail) for each in rates]
    first, second = ([_extremes(of, error) for of in models] for models in _by_model(rates))
    high = [_reach(move, by, STEPS) for move, by in zip(moves, second, strict=True)]
    low = [-_reach(move.turned, _swapped(by), STEPS) for move, by in zip(moves, first, strict=True)]
    may_first, may_second = (_may_lead(models, error) for models in _by_model(rates))
    return Interval(
        np.min(np.where(may_first, low, np.inf), axis=0), np.max(np.where(may_second, high, -np.inf), axis=0)
    )


def _sum(rates: Sequence[PairedRate], tail: float) -> Interval:
    error, low, high = SELECTION * tail / len(rates), [], []
    for each in rates:
        move, (first, second) = _Moves.of(each, tail), each.models
        high.append(np.stack([_reach(move, _extremes(second, error), step) for step in range(STEPS + 1)]))
        by = _swapped(_extremes(first, error))
        low.append(np.stack([_reach(move.turned, by, step) for step in range(STEPS + 1)]))
    return Interval(-highest_sum(low), highest_sum(high))


def _minimum(rates: Sequence[PairedRate], tail: float) -> Interval:
    z, error = float(-ndtri((1 - SELECTION) * tail)), SELECTION * tail
    low, high = [], []
    for each in rates:
        change, (first, second) = each.curves(z), each.models
        low.append(np.where(_extremes(second, error).lowest, change.low[-1], np.inf).min(-1))
        high.append(np.where(_extremes(first, error).lowest, change.high[-1], -np.inf).max(-1))
    return Interval(np.min(low, axis=0), np.max(high, axis=0))


def _ratio(rates: Sequence[PairedRate], tail: float) -> Interval:
    z, error = float(-ndtri((1 - SELECTION) * tail)), SELECTION * tail
    low, high = [], []
    for each in rates:
        first, second = (_extremes(of, error) for of in each.models)
        for top in range(each.change.shape[-1]):
            changed = _ratio_change(each, top, z)
            apart = np.arange(each.change.shape[-1]) != top
            low.append(np.where(second.lowest & second.highest[..., top, None] & apart, changed.low, np.inf).min(-1))
            high.append(np.where(first.lowest & first.highest[..., top, None] & apart, changed.high, -np.inf).max(-1))
    known = np.all([(rate(of).max(-1) > 0) for each in rates for of in (each.first, each.second)], axis=0)
    return Interval(*(np.where(known, limit, np.nan) for limit in (np.min(low, axis=0), np.max(high, axis=0))))


def _ratio_change(of: PairedRate, top: int, z: float) -> Interval:
    """Limits of the change of min(1, each group's rate / that of group `top`), [..., G], from those of both ratios."""
    estimates, limits = zip(*(_ratio_to(model, top, z) for model in of.models), strict=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = [np.sqrt((1 - rate(of)) / (rate(of) * np.asarray(of.trials))) for of in (of.first, of.second)]
        shared = of.correlation * relative[0] * relative[1]
        own = [error**2 + error[..., top, None] ** 2 for error in relative]
        correlation = np.nan_to_num((shared + shared[..., top, None]) / np.sqrt(own[0] * own[1]), nan=0, posinf=0)
    (r, s), ((r_low, r_high), (s_low, s_high)) = estimates, limits
    below, above = (
        np.sqrt(np.maximum(a**2 + b**2 - 2 * correlation * a * b, 0))
        for a, b in ((s.low - s_low, r_high - r.high), (s_high - s.high, r.low - r_low))
    )
    return Interval(s.low - r.high - below, s.high - r.low + above)


def _ratio_to(of: Counted | Completed, top: int, z: float) -> tuple[Interval, Interval]:
    """The least and greatest that min(1, each group's rate / that of group `top`) may be, and its limits, [..., G]."""
    logs = logarithms(curves_of(of, z))
    against = Curves(*(limit[..., top, None] for limit in logs))

    def ratios(step: int) -> Interval:
        reaches = (lowest_difference(logs, against, step), highest_difference(logs, against, step))
        return Interval(*(np.exp(np.minimum(reach, 0)) for reach in reaches))

    return Interval(*(np.nan_to_num(estimate, nan=1) for estimate in ratios(0))), ratios(STEPS)


def _extremes(of: Counted | Completed, error: float) -> _Extremes:
    """Groups that no group is shown to exceed, and those that none is shown to fall below.

    Either set misses the group it is about with probability `error` / 2: only comparisons with that one group matter,
    G - 1 of them. Each group is compared with the one that is most surely high, or low.
    """
    groups = _lowest(of).shape[-1]
    limits = curves_of(of, float(-ndtri(error / 2 / max(1, groups - 1))))
    high, low = (
        Curves(*(np.take_along_axis(limit, place[None, ..., None], axis=-1) for limit in limits))
        for place in (limits.low[-1].argmax(-1), limits.high[-1].argmin(-1))
    )
    return _Extremes(~(lowest_difference(high, limits) > 0), ~(lowest_difference(limits, low) > 0))


class _Moves(NamedTuple):
    """Of each group, how its rate changes and what both models' rates add up to: curves that may err together."""

    changes: Curves
    sums: Curves

    @classmethod
    def of(cls, each: PairedRate, tail: float) -> "_Moves":
        shares = (1 - SELECTION - SUMS, SUMS)
        z, z_of_sums = (float(-ndtri(share * tail)) for share in shares)
        return cls(each.curves(z), each.sums(z_of_sums))

    @property
    def turned(self) -> "_Moves":
        """With the sums' signs changed, for a lower limit is an upper one the other way round."""
        return self._replace(sums=Curves(-self.sums.high, -self.sums.low))


def _reach(moves: _Moves, among: _Extremes, step: int) -> Array:
    """The largest upper limit, at a step, over pairs of a high and a low group: each the smaller of its two bounds."""
    changes = moves.changes
    if changes.low.shape[-1] <= _MOST_IN_PAIRS:
        pairs = np.minimum(*(_of_pairs(curves, step) for curves in moves))
        may_be = among.highest[..., :, None] & among.lowest[..., None, :] & ~np.eye(pairs.shape[-1], dtype=bool)
        return np.where(may_be, pairs, -np.inf).max((-1, -2))
    up, down = np.where(among.highest, changes.high, -np.inf), np.where(among.lowest, -changes.low, -np.inf)
    return np.max([largest_pair(up[part], down[step - part]) for part in range(step + 1)], axis=0)


def _of_pairs(curves: Curves, step: int) -> Array:
    """Upper limits of each group less each other, [..., G, G]."""
    one, other = (Curves(*(np.expand_dims(limit, axis) for limit in curves)) for axis in (-1, -2))
    return highest_difference(one, other, step)


def _swapped(of: _Extremes) -> _Extremes:
    """Lower limits of differences of change are upper ones the other way round."""
    return _Extremes(of.lowest, of.highest)


def _may_lead(rates: Sequence[Counted | Completed], error: float) -> NDArray[np.bool_]:
    """Which of the rates may have the largest difference of all, [R, ...]."""
    if len(rates) == 1:
        return np.ones((1, *_lowest(rates[0]).shape[:-1]), dtype=bool)
    found = [largest_difference([of], 1 - error / len(rates)) for of in rates]
    surest = np.max([each.low for each in found], axis=0)
    return np.array([~(each.high < surest) for each in found])


def _by_model(rates: Sequence[PairedRate]) -> Iterable[Sequence[Counted | Completed]]:
    """All rates under the first model, then under the second."""
    return zip(*(each.models for each in rates), strict=True)


def _lowest(of: Counted | Completed) -> Array:
    return rate(of.lowest if isinstance(of, Completed) else of)
