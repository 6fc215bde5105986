r"""Intervals of a rate from its events and trials.

Notable: `rate_interval` is exact (Clopper and Pearson) where numbers are small or the confidence is high, and mid-P
elsewhere. It is not Wilson's interval, which is right on average over its two ends but not at each of them: at a rate
of a few events its lower limit errs six times as often as it may at 95 %, and hundreds of times at the confidence that
simultaneous limits of many groups need (Cai 2005). A verdict reads one end only. For 20 to 100,000 trials and every
rate the 95 % interval covers 93.0 % or more (least: 93.08 %, 81 trials), and with 50 trials or more, 10 events and 10
others expected, 97 % or less (but 97.4 % in a sliver at 10.24 events out of more than 5,000). These are sums of the
binomial distribution, no simulation; `tests/test_intervals_binomial.py` repeats them.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy.stats import norm

from equiray.metrics.intervals.limits import Array, Interval

FEWEST_TRIALS = 50
"""With fewer, a rate's interval is exact."""

FEWEST_EVENTS = 5
"""With fewer events, or fewer others, a rate's interval is exact."""

HIGHEST_CONFIDENCE = 0.99
"""Above it a rate's interval is exact: errors that rare leave no room for approximation."""

_NEWTON_STEPS = 3
_BELOW_ONE = np.nextafter(1, 0)


def wilson(events: ArrayLike, trials: ArrayLike, confidence: float) -> Interval:
    """Wilson's score interval (Wilson 1927), of arrays that broadcast; NaN without trials."""
    x, n = _checked(events, trials, confidence)
    z = norm.isf((1 - confidence) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = np.where(n > 0, x / n, np.nan)
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # exactly 0 and 1 at the ends, where rounding would leave a rest
    return Interval(
        np.where(x == 0, p, np.maximum(0, centre - half)), np.where(x == n, p, np.minimum(1, centre + half))
    )


def clopper_pearson(events: ArrayLike, trials: ArrayLike, confidence: float) -> Interval:
    """Exact interval (Clopper and Pearson 1934), of arrays that broadcast; NaN without trials.

    Each end errs with probability (1 - confidence) / 2 at most, whatever the rate.
    """
    x, n = _checked(events, trials, confidence)
    tail = (1 - confidence) / 2
    return Interval(_exact_low(x, n, tail), 1 - _exact_low(n - x, n, tail))


def mid_p(events: ArrayLike, trials: ArrayLike, confidence: float) -> Interval:
    """Mid-P interval (Lancaster 1961), of arrays that broadcast; NaN without trials.

    Like the exact one, with half the probability of what was observed: each end errs nearly as often as it may.
    """
    x, n = _checked(events, trials, confidence)
    tail = (1 - confidence) / 2
    return Interval(_mid_p_low(x, n, tail), 1 - _mid_p_low(n - x, n, tail))


def rate_interval(events: ArrayLike, trials: ArrayLike, confidence: float) -> Interval:
    """Interval of a rate, the one to use: exact where that matters, else mid-P.

    Parameters
    ----------
    events, trials : arrays that broadcast to one shape
        Whole numbers, or effective ones (`weighted.effective`).
    confidence : float
        Of each interval by itself, two-sided; each end errs with about half of the rest.

    Returns
    -------
    Interval
        Exact with fewer than `FEWEST_TRIALS` trials, fewer than `FEWEST_EVENTS` events or others, or above
        `HIGHEST_CONFIDENCE`. NaN without trials.

    Raises
    ------
    ValueError
        There are more events than trials, or fewer than none, or the confidence is not between 0 and 1.
    """
    x, n = _checked(events, trials, confidence)
    (low,), (high,) = limits_at(x, n, np.array([(1 - confidence) / 2]), needs_exact(x, n, confidence))
    return Interval(low, high)


def needs_exact(events: Array, trials: Array, confidence: float, rows: Array | None = None) -> np.ndarray:
    """Where the approximation of `mid_p` is not good enough at this confidence, bool [...].

    `rows` stand in for the trials where these are themselves some out of so many rows.
    """
    few = np.minimum(events, trials - events) < FEWEST_EVENTS
    return ((trials if rows is None else rows) < FEWEST_TRIALS) | few | (confidence > HIGHEST_CONFIDENCE)


def limits_at(events: Array, trials: Array, tails: Array, exact: np.ndarray) -> Interval:
    """Limits that err with probability `tails` [T] each, [T, ...], of arrays of one shape."""
    # Equal counts share their limits, and replicates, and many small groups, are full of them.
    counted, place = np.unique(events + 1j * np.where(exact, trials, -trials), return_inverse=True)
    x, n, exact = counted.real, np.abs(counted.imag), counted.imag >= 0
    low, high = lower_limit(x, n, tails[:, None], exact), 1 - lower_limit(n - x, n, tails[:, None], exact)
    place = place.reshape(np.shape(events))
    return Interval(low[:, place], high[:, place])


def lower_limit(events: Array, trials: Array, tail: ArrayLike, exact: np.ndarray) -> Array:
    """Lower limit that errs with probability `tail`; the upper one is 1 - that of the other rows."""
    x, n, tail, exact = np.broadcast_arrays(events, trials, np.asarray(tail, dtype=np.float64), exact)
    low = np.empty(x.shape)
    low[exact] = _exact_low(x[exact], n[exact], tail[exact])
    low[~exact] = _mid_p_low(x[~exact], n[~exact], tail[~exact])
    return low


def _checked(events: ArrayLike, trials: ArrayLike, confidence: float) -> tuple[Array, Array]:
    x, n = np.broadcast_arrays(np.asarray(events, dtype=np.float64), np.asarray(trials, dtype=np.float64))
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}: it must lie between 0 and 1")
    wrong = (x < 0) | (x > n)
    if wrong.any():
        raise ValueError(f"{x[wrong][0]:g} events out of {n[wrong][0]:g} trials")
    return x, n


def _exact_low(x: Array, n: Array, tail: Array | float) -> Array:
    """The rate at which x events or more have probability `tail`: a quantile of Beta(x, n - x + 1)."""
    some = x > 0
    low = special.betaincinv(np.where(some, x, 1), np.where(some, n - x, 0) + 1, tail)
    return np.where(n > 0, np.where(some, low, 0), np.nan)


def _mid_p_low(x: Array, n: Array, tail: Array | float) -> Array:
    """The rate p at which P(X > x) + P(X = x) / 2 is `tail`, in log p by Newton's method."""
    some = x > 0
    a, b = np.where(some, x, 1), np.maximum(np.where(some, n - x, 1), 0)
    p = np.minimum(special.betaincinv(a + 0.5, b + 0.5, tail), _BELOW_ONE)  # Jeffreys' limit, which is near
    for _ in range(_NEWTON_STEPS):
        # The derivative of P(X >= x) is the density of Beta(x, n - x + 1), and P(X = x) that density times p / x.
        density = np.exp(special.xlogy(a - 1, p) + special.xlog1py(b, -p) - special.betaln(a, b + 1))
        reached = special.betainc(a, b + 1, p) - density * p / (2 * a)
        slope = density * (1 + b * p / (a * (1 - p))) / 2
        p = np.minimum(p * np.exp(reached / (p * slope) * np.log(tail / reached)), _BELOW_ONE)
    return np.where(n > 0, np.where(some, p, 0), np.nan)
