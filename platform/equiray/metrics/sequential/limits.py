r"""Limits of a rate that hold at every row of a stream at once: confidence sequences from counts alone.

Notable: with p_t the probability, given all before, that row t is an event, S events in n rows and the mean
:math:`\bar p` of the p_t,

.. math:: E \prod_t \exp(λ x_t - ψ(λ, p_t)) = 1,  ψ(λ, p) = \log(1 - p + p e^λ),

and ψ is concave in p, so :math:`\exp(λ S - n ψ(λ, \bar p))` is at most that product: a supermartingale for each λ, and
so is a mixture over a grid of λ. Limits are the :math:`\bar p` at which the mixtures of positive and of negative λ
reach 2 / α (Ville). They need n and S only, so counts of several sources can be added up; and they are limits of the
mean of the rates so far, wherever those have drifted. Under a constant rate that is the rate.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.metrics.intervals.limits import Interval

Array = NDArray[np.float64]

GRID = 0.004 * 1.5 ** np.arange(19)
"""Values of λ, up to 5.9: each is best for one distance between a rate and its limit."""
_WEIGHTS = 1 / len(GRID)
_HALVINGS = 40


def rate_limits(events: ArrayLike, trials: ArrayLike, alpha: ArrayLike) -> Interval:
    """Limits that hold for all n at once with probability 1 - alpha, two-sided; 0 and 1 without trials.

    Parameters
    ----------
    events, trials, alpha : [...]
        Arrays that broadcast.
    """
    events, trials, alpha = np.broadcast_arrays(*(np.asarray(of, np.float64) for of in (events, trials, alpha)))
    low = _least(events, trials, alpha / 2)
    return Interval(low, 1 - _least(trials - events, trials, alpha / 2))


class _Bracket(NamedTuple):
    outside: Array
    inside: Array


def _least(events: Array, trials: Array, alpha: Array) -> Array:
    """Smallest mean rate that the mixture of positive λ does not rule out, from below by bisection."""
    bracket = _Bracket(np.zeros_like(events), np.where(trials > 0, events / np.maximum(trials, 1), 0.0))
    for _ in range(_HALVINGS):
        middle = (bracket.outside + bracket.inside) / 2
        out = _log_mixture(events, trials, middle) >= -np.log(alpha)
        bracket = _Bracket(np.where(out, middle, bracket.outside), np.where(out, bracket.inside, middle))
    return bracket.outside


def _log_mixture(events: Array, trials: Array, rate: Array) -> Array:
    exponents = events[..., None] * GRID - trials[..., None] * np.log1p(rate[..., None] * np.expm1(GRID))
    most = exponents.max(-1)
    return most + np.log((np.exp(exponents - most[..., None]) * _WEIGHTS).sum(-1))
