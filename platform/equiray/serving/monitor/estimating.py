"""What counts say about a bound: a value, limits that hold at any time, and why there may be none."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.estimates import Status
from equiray.metrics.intervals.limits import Interval
from equiray.metrics.sequential import rate_limits
from equiray.serving.monitor.counts import FIRST, Counts, Tally
from equiray.serving.monitor.kinds import KINDS, WATCHED
from equiray.serving.monitor.settings import Bound


class Figure(NamedTuple):
    """A number with limits, NaN where it is not estimable; `n` rows in its denominator, `least` of the smallest group.

    `unknown` counts rows that are of no known group or have no answer: the limits hold whatever they are.
    """

    value: float
    low: float
    high: float
    n: int
    least: int
    unknown: int
    status: Status


def seen(kind: str, outcomes_for: str) -> bool:
    """Whether rows with a label stand for all rows, as far as this rate goes."""
    return not KINDS[kind].selective or outcomes_for == "every"


def judged_groups(bound: Bound, counts: Counts) -> list[int]:
    """Codes of the groups that a bound is about: the named one, or all that are large enough."""
    if bound.group is not None:
        return [code for code, name in enumerate(counts.names) if name == bound.group]
    codes = np.arange(FIRST, len(counts.names))
    rows = np.sum([counts.tally(kind).trials for kind in WATCHED[bound.metric].kinds], axis=0)[FIRST:]
    return [int(code) for code in codes[rows >= bound.min_share * rows.sum()]]


def figure(bound: Bound, counts: Counts, alpha: float) -> Figure:
    """The estimate of what a bound is about, with limits at 1 - alpha that hold at every row at once."""
    watched, groups = WATCHED[bound.metric], judged_groups(bound, counts)
    alone = watched.form == "rate"
    tallies = [counts.tally(kind) for kind in watched.kinds]
    known = [tally.take(groups) for tally in tallies]
    n = int(sum(of.trials.sum() for of in known))
    apart = [tally.take(range(FIRST)) for tally in tallies]
    unknown = int(sum(of.low_trials.sum() for of in apart) + sum((of.low_trials - of.trials).sum() for of in known))
    least = int(min((of.trials.min() for of in known if len(of.trials)), default=0))
    if len(groups) < (1 if alone else 2) or least == 0:
        return Figure(np.nan, np.nan, np.nan, n, least, unknown, "not_estimable")
    each = alpha / (len(groups) * len(known))
    limits = [completed_limits(of.completed(rest), each) for of, rest in zip(known, apart, strict=True)]
    values = [of.value for of in known]
    value, low, high = _COMBINED[watched.form](bound, values, limits)
    status: Status = "not_estimable" if np.isnan(value) else "partial" if unknown else "estimated"
    return Figure(value, low, high, n, least, unknown, status)


def completed_limits(tally: Tally, alpha: float) -> Interval:
    """Limits of each group's rate, whatever the rows are that are not known."""
    low = rate_limits(tally.low_events, tally.low_trials, alpha).low
    return Interval(low, rate_limits(tally.high_events, tally.high_trials, alpha).high)


def _difference(_: Bound, values: list[NDArray[np.float64]], limits: list[Interval]) -> tuple[float, float, float]:
    value = max(float(of.max() - of.min()) for of in values)
    low = max(max(0.0, float(of.low.max() - of.high.min())) for of in limits)
    return value, low, max(float(_apart(of.high[:, None] - of.low, 0.0).max()) for of in limits)


def _ratio(_: Bound, values: list[NDArray[np.float64]], limits: list[Interval]) -> tuple[float, float, float]:
    (rates,), (of,) = values, limits
    if rates.max() == 0:
        return np.nan, np.nan, np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        high = min(1.0, float(np.nanmin(_apart(of.high[:, None] / of.low, 1.0))))
        low = float(np.nanmin(_apart(of.low[:, None] / of.high, 1.0)))
    return float(rates.min() / rates.max()), low, high


def _rate(bound: Bound, values: list[NDArray[np.float64]], limits: list[Interval]) -> tuple[float, float, float]:
    """The worst of the groups."""
    worst = np.max if bound.side == "max" else np.min
    (rates,), (of,) = values, limits
    return float(worst(rates)), float(worst(of.low)), float(worst(of.high))


def _apart(matrix: NDArray[np.float64], own: float) -> NDArray[np.float64]:
    matrix[np.arange(len(matrix)), np.arange(len(matrix))] = own
    return matrix


_COMBINED = {"difference": _difference, "ratio": _ratio, "rate": _rate}
