"""How far simultaneous limits must reach: normal quantiles for all pairs of groups at once; and Holm's step-down."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special
from scipy.optimize import brentq

_GRID = np.linspace(-9, 9, 1201)  # the trapezoid rule converges geometrically on an integrand that vanishes at its ends


@lru_cache(maxsize=1024)
def pairs_quantile(groups: int, alpha: float) -> float:
    """Normal quantile z with which the two-sided intervals of all differences between groups hold at once.

    P(largest - smallest of `groups` independent standard normals > z sqrt 2) = alpha: Tukey's range, the maximum of
    the absolute pairwise statistics when the groups are of one size. With sizes that differ the probability is smaller
    (Hayter 1984 proved the Tukey-Kramer conjecture), so the quantile holds for any sizes. It is the smallest that does,
    and smaller than Bonferroni's over the pairs: 4.59 against 4.71 for 200 groups at .05.
    """
    if groups < 2:
        raise ValueError(f"{groups} groups have no pair")
    one_pair, bonferroni = (float(-special.ndtri(alpha / 2 / pairs)) for pairs in (1, groups * (groups - 1) / 2))
    if groups == 2:
        return one_pair
    root: Any = brentq(lambda z: np.log(_range_tail(z * np.sqrt(2), groups) / alpha), one_pair, bonferroni)
    return float(root)


def _range_tail(q: float, groups: int) -> float:
    """P(range of `groups` standard normals > q), accurate where it is small."""
    below_top, density = special.ndtr(_GRID), np.exp(-(_GRID**2) / 2) / np.sqrt(2 * np.pi)
    out_of_range = special.ndtr(_GRID - q) / below_top
    some_out = -np.expm1((groups - 1) * np.log1p(-out_of_range))  # of the others, given that all are below the top
    return float(np.trapezoid(groups * density * below_top ** (groups - 1) * some_out, _GRID))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values of a declared family (Holm 1979), in the order given.

    Rejecting what is at most alpha errs anywhere in the family with probability alpha at most, however the tests
    depend on each other. A NaN, a test that could not be made, stays in the family and is not rejected (NaN).

    Parameters
    ----------
    p_values : [M]

    Returns
    -------
    [M]
        min(1, max over the smaller ones of (M - rank) p), ranks from 0.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(np.where(np.isnan(p), np.inf, p), kind="stable")
    stepped = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1)  # a NaN is last and leaves those before it alone
    return adjusted
