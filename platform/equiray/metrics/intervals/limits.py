"""What intervals are made from, sums over rows of each group; and what comes out, lower and upper limits."""

from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Limits(NamedTuple):
    """Lower and upper limit of one number; NaN where there is nothing to estimate."""

    low: float
    high: float


class Interval(NamedTuple):
    """Lower and upper limits, arrays of one shape; NaN where there is nothing to estimate."""

    low: Array
    high: Array


class Counted(NamedTuple):
    """A rate: `events` out of `trials`, arrays that broadcast, groups in the last axis; trials 0: not estimable.

    Counts, or the effective numbers of weighted rows (`weighted.effective`), which need not be whole.
    """

    events: ArrayLike
    trials: ArrayLike


class Completed(NamedTuple):
    """A rate of which some rows are unknown: counted as if they were all in its disfavour, and all in its favour."""

    lowest: Counted
    highest: Counted


class Moments(NamedTuple):
    """A mean: of `rows` values x, the sums `total` of x and `squares` of x^2, arrays that broadcast.

    `least` and `most` bound every single value, as 0 and 1 do a score.
    """

    rows: ArrayLike
    total: ArrayLike
    squares: ArrayLike
    least: float = -inf
    most: float = inf


def rate(of: Counted) -> Array:
    """`events` / `trials`, NaN without trials."""
    return _quotient(of.events, of.trials)


def mean(of: Moments) -> Array:
    """`total` / `rows`, NaN without rows."""
    return _quotient(of.total, of.rows)


def _quotient(part: ArrayLike, whole: ArrayLike) -> Array:
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)
