r"""Weights of chains, :math:`w_k = e^{r_k / \tau} / \sum_j e^{r_j / \tau}` over the chains that have an answer.

Notable: both ends are exact. At :math:`\tau = \infty` all weights are equal, the plain majority vote; at
:math:`\tau = 0` the best chain, or the equally best ones, have all of it. One formula serves all: the inverse
temperature is 0 at one end and `STEEPEST` at the other, where the smallest difference of scores makes the lesser weight
0. Differences are taken from the best score first, so nothing overflows at any temperature.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.errors import BadInput

STEEPEST = 1e300
"""Inverse temperature that stands for τ = 0."""


def inverse_temperatures(taus: ArrayLike) -> NDArray[np.float64]:
    """1 / τ of temperatures from 0 to inf, both included, [T].

    Raises
    ------
    BadInput
        A temperature is negative or NaN, or there is none.
    """
    found = np.atleast_1d(np.asarray(taus, dtype=np.float64))
    unfit = ~(found >= 0)
    if found.ndim != 1 or not len(found) or unfit.any():
        named = found[unfit].tolist()[0] if unfit.any() else f"of shape {found.shape}"
        raise BadInput(f"temperature {named}", place="taus", fix="give numbers from 0 (best chain) to inf (majority)")
    with np.errstate(divide="ignore", over="ignore"):
        return np.minimum(1 / found, STEEPEST)


def chain_weights(score: NDArray[np.float64], tau: float) -> NDArray[np.float64]:
    """Weights of chains [..., N] that add up to 1; 0 where the score is NaN, all 0 where every one is."""
    (steepness,) = inverse_temperatures(tau)
    best = np.where(np.isnan(score), -math.inf, score).max(-1, keepdims=True)
    with np.errstate(invalid="ignore", over="ignore"):  # far beyond the steepest, a weight is 0
        raw = np.nan_to_num(np.exp((score - best) * steepness))
    total = raw.sum(-1, keepdims=True)
    return np.divide(raw, total, out=np.zeros_like(raw), where=total > 0)
