"""How many rows a verdict still needs."""

import math

from scipy.special import ndtri

from equiray.metrics.estimates import Estimate
from equiray.metrics.intervals import Limits

POWER = 0.8
"""Probability that the rows asked for decide, if the present value is the true one."""

_NEAREST = 1e-12  # a value nearer to its bound than rounding cannot be told from one that lies on it


def rows_needed(estimate: Estimate, limits: Limits, bound: float, confidence: float) -> int | None:
    r"""Rows in all (not: more rows) with which limits at `confidence` would leave the bound on one side.

    The limit on the bound's side lies h from the value, and with n' rows about h sqrt(n / n'). It must not only
    reach the bound, at distance d, on average, but pass it with probability `POWER`, so that

    .. math:: n' = n \left( \frac{h}{d} \cdot \frac{z_c + z_{power}}{z_c} \right)^2

    with z_c the normal quantile of the two-sided confidence and z_power that of `POWER`. This supposes that the value
    stays, and that new rows fall on the groups as the present ones do.

    Parameters
    ----------
    estimate : its `value` and `n`
    limits : at `confidence`
    bound : of the rule
    confidence : of the limits, two-sided

    Returns
    -------
    int or None
        `n` where the limits already decide; None where no number of rows is known to help: the value lies on the
        bound or is not estimable, or the estimate is partial, for bounds of what is missing do not narrow with rows.
    """
    value, n = estimate.value, estimate.n
    if value is None or estimate.status != "estimated" or n == 0 or not all(map(math.isfinite, limits)):
        return None
    distance = abs(value - bound)
    half = limits.high - value if value < bound else value - limits.low
    if distance < _NEAREST:
        return None
    if half < distance:
        return n
    wanted = ndtri((1 + confidence) / 2)
    ratio = half / distance * (wanted + ndtri(POWER)) / wanted
    return math.ceil(n * ratio**2)
