r"""What a figure could be if the rows were known that it leaves out, before any sampling error.

Notable: nothing is supposed about such rows (Horowitz and Manski 1995). Each rate comes completed both ways
(`intervals.limits.Completed`): as if they were all in its disfavour, and all in its favour. The bounds follow from the
groups' two ends alone, in time linear in the groups, where there are 2^n ways to complete n rows. How sharp they are:

- unanswered rows: the upper bound of a gap is attained, the lower one up to a row, in whose steps rates move;
- rows of no known group: the upper bound is attained; the lower one for two groups up to a row, while for more groups
  no assignment may reach down to it;
- both: no completion may reach either.

The groups' unanswered rows are different rows, so each group can be completed by itself. Rows of no known group are
shared; yet the largest difference between i and j has all such rows with the event in i and all without it in j,
which one assignment does at once. A ratio's and a minimum's bounds behave likewise with the ends exchanged. For limits
that allow for sampling error too, give the same completed rates to `intervals.simultaneous.projected`.
"""

from collections.abc import Sequence

import numpy as np

from equiray.metrics.disparities import Combination
from equiray.metrics.intervals.limits import Completed, Counted, Interval, rate
from equiray.metrics.intervals.simultaneous import largest_pair


def rate_bounds(of: Counted | Completed) -> Interval:
    """Smallest and largest value of each group's rate, [..., G]; both attained.

    NaN where a completion has no trials.
    """
    lowest, highest = of if isinstance(of, Completed) else (of, of)
    low, high = rate(lowest), rate(highest)
    known = ~(np.isnan(low) | np.isnan(high))
    return Interval(np.where(known, low, np.nan), np.where(known, high, np.nan))


def disparity_bounds(combined: Combination, rates: Sequence[Counted | Completed]) -> Interval:
    """Bounds of a disparity whose rates [..., G] are partly unknown, [...].

    Parameters
    ----------
    combined : how the disparity combines its rates
    rates : one for each of its rates, completed (`estimation.unknown.known` does it) or fully known

    Returns
    -------
    Interval
        NaN where a completion leaves a group without trials, or there is no second group to compare.
    """
    ends = [rate_bounds(of) for of in rates]
    if combined == "minimum":
        return Interval(*(np.min([end[side].min(-1) for end in ends], axis=0) for side in (0, 1)))
    if ends[0].low.shape[-1] < 2:
        return Interval(*np.full((2, *ends[0].low.shape[:-1]), np.nan))
    if combined == "ratio":
        each = [_ratio(end) for end in ends]
        return Interval(*(np.min([found[side] for found in each], axis=0) for side in (0, 1)))
    each = [_difference(end) for end in ends]
    if combined == "max_difference":
        return Interval(*(np.max([found[side] for found in each], axis=0) for side in (0, 1)))
    share = 1 if combined == "sum" else len(rates)
    return Interval(*(np.sum([found[side] for found in each], axis=0) / share for side in (0, 1)))


def _difference(ends: Interval) -> Interval:
    return Interval(np.maximum(largest_pair(ends.low, -ends.high), 0), largest_pair(ends.high, -ends.low))


def _ratio(ends: Interval) -> Interval:
    """The exponential of minus the gap of the logarithms; NaN where every rate may be 0, which has no ratio."""
    with np.errstate(divide="ignore"):
        low, high = _difference(Interval(np.log(ends.low), np.log(ends.high)))
    known = ends.low.max(-1) > 0
    return Interval(*(np.where(known, np.exp(-limit), np.nan) for limit in (high, low)))
