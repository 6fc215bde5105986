"""Rows that resemble each other: how many independent rows those of one family are worth."""

from scipy import special

from equiray.metrics.intervals.binomial import rate_interval
from equiray.metrics.intervals.limits import Array, Limits


def effective_share(total: Array, rows: Array, squares: Array) -> float:
    """How many independent rows one row of these families is worth, in (0, 1]; NaN with fewer than two families.

    Parameters
    ----------
    total, rows, squares : arrays [G]
        Of each family: the sum of its values, its rows, and the sum of the squared values.

    Returns
    -------
    float
        1 / design effect, times the squared ratio of t quantiles that allows for few families (Korn and Graubard
        1998). Where no value differs from another nothing is known of the spread, and a family counts as one row.
    """
    inside = rows > 0
    total, rows, squares = total[inside], rows[inside], squares[inside]
    families, n = len(rows), float(rows.sum())
    if families == n:
        return 1.0
    if families < 2:
        return float("nan")
    mean = total.sum() / n
    spread = squares.sum() / n - mean**2
    between = families / (families - 1) * float(((total - mean * rows) ** 2).sum()) / n
    if spread <= 0:
        return families / n
    if between <= 0:
        return 1.0
    few = (special.stdtrit(n - 1, 0.025) / special.stdtrit(families - 1, 0.025)) ** 2
    return float(min(1.0, spread / between * few))


def family_rate_limits(events: Array, trials: Array, confidence: float) -> Limits:
    """Limits of a rate over families: those of `rate_interval` for effective counts; NaN with fewer than two families.

    Parameters
    ----------
    events, trials : arrays [G]
        Of each family.
    confidence : float
        Two-sided.
    """
    kept = effective_share(events, trials, events)
    low, high = rate_interval(kept * events.sum(), kept * trials.sum(), confidence)
    return Limits(float(low), float(high))
