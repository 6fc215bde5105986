r"""One score for each chain, from the probabilities :math:`p_t` that its steps are fair.

==========  ===============================================================  =======================================
`mean`      :math:`\sum_t \omega_t p_t`                                      arXiv 2507.11344; range 0..1
`log_mean`  :math:`\sum_t \omega_t \log \max(p_t, 10^{-12})`                 critics of it; range -27.7..0
`low`       mean of the k lowest of :math:`p_1, \dots, p_T, 1, 1, \dots`     chosen here; range 0..1; k = 1: the minimum
==========  ===============================================================  =======================================

In all three higher is fairer. :math:`\omega_t = 1/T`, or in proportion to the size of each step's causal effect.

Notable: fair-sounding steps that are appended raise `mean` and `log_mean`, so that padding buys weight. They cannot
raise `low`: a longer list has no higher k lowest, bit for bit, because sums of as many terms in the same order are
monotone even when rounded. So `low` is the one for serving.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.errors import BadInput
from equiray.mitigation.voting.chains import ScoredChains

Aggregator = Literal["mean", "log_mean", "low"]

LEAST_PROBABILITY = 1e-12
"""Below it `log_mean` does not tell probabilities apart: one step rounded to 0 would silence its chain for good."""

HIGHEST: dict[Aggregator, float] = {"mean": 1.0, "log_mean": 0.0, "low": 1.0}
"""The best score that a chain can have."""


def chain_scores(
    chains: ScoredChains, aggregator: Aggregator, *, lowest: int = 1, effects: ArrayLike | None = None
) -> NDArray[np.float64]:
    """The score of each chain, [C, N]; NaN without steps.

    Parameters
    ----------
    chains : ScoredChains
    aggregator : {"mean", "log_mean", "low"}
    lowest : int
        k of `low`: with fewer steps, absent ones count as 1.
    effects : float [S], optional
        Causal effect of each step: how much leaving it out changes the likelihood of the chain's answer. Steps weigh by
        its absolute value; where all effects of a chain are 0, uniformly. Default: uniform (the paper).

    Raises
    ------
    BadInput
        The aggregator is unknown, `lowest` is not positive, or effects do not fit.
    """
    if aggregator not in get_args(Aggregator):
        raise _refused(f"aggregator {aggregator!r}", f"name one of: {', '.join(get_args(Aggregator))}")
    if lowest < 1:
        raise _refused(f"lowest {lowest}", "average at least one step")
    if aggregator == "low":
        if effects is not None:
            raise _refused(
                "effects with `low`", "`low` reads the least fair steps: weigh steps of `mean` or `log_mean`"
            )
        return _low(chains, lowest)
    values = chains.step_fair if aggregator == "mean" else np.log(np.maximum(chains.step_fair, LEAST_PROBABILITY))
    chain = np.repeat(np.arange(chains.answers.size), np.diff(chains.step_offsets))
    weights = np.ones(len(values)) if effects is None else _effect_weights(chains, effects, chain)

    def total(of: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(chain, of, minlength=chains.answers.size).astype(np.float64)

    with np.errstate(invalid="ignore"):
        found = total(weights * values) / total(weights)
    bounded = np.clip(found, np.log(LEAST_PROBABILITY) if aggregator == "log_mean" else 0, HIGHEST[aggregator])
    return bounded.reshape(chains.shape)


def _low(chains: ScoredChains, lowest: int) -> NDArray[np.float64]:
    lengths = np.diff(chains.step_offsets)
    least = np.ones((len(lengths), lowest))
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        steps = chains.step_fair[chains.step_offsets[rows, None] + np.arange(length)]
        least[rows, : min(length, lowest)] = np.sort(steps, axis=1)[:, :lowest]
    return np.where(lengths > 0, least.sum(1) / lowest, np.nan).reshape(chains.shape)


def _effect_weights(chains: ScoredChains, effects: ArrayLike, chain: NDArray[np.int64]) -> NDArray[np.float64]:
    size = np.abs(np.asarray(effects, dtype=np.float64))
    if size.shape != chains.step_fair.shape or not np.isfinite(size).all():
        raise _refused(
            f"effects of shape {size.shape}, {int((~np.isfinite(size)).sum())} of them not finite",
            f"give one number for each of {len(chains.step_fair)} steps",
        )
    largest = np.zeros(chains.answers.size)
    np.maximum.at(largest, chain, size)
    scale = largest[chain]
    return np.divide(size, scale, out=np.ones_like(size), where=scale > 0)  # sums of tiny effects would underflow


def _refused(problem: str, fix: str) -> BadInput:
    return BadInput(problem, place="scores of chains", fix=fix)
