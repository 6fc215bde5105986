r"""Whether longer chains score higher: how a chain's score goes with its number of steps, among chains of one case.

.. math:: \rho = \frac{\sum_c \mathrm{cov}_c(R, L)}{\sqrt{\sum_c \mathrm{var}_c(R) \sum_c \mathrm{var}_c(L)}}

with R and L the ranks, ties averaged, of scores and lengths within case c. Between cases length goes with difficulty;
within a case only the vote cares. Range -1..1; nearest to 0 is better; 0 = length tells nothing of the score.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from equiray.metrics.clusters import Resampling, cluster_interval
from equiray.metrics.intervals.limits import Limits
from equiray.mitigation.voting.chains import ANSWERED, ScoredChains


@dataclass(frozen=True, kw_only=True)
class LengthEffect:
    """Rank correlation of score and length within cases, with limits from resampling cases.

    NaN where it is not estimable: no case has two chains of different length and different score. `cases` counts those
    with two chains or more.
    """

    value: float
    limits: Limits
    confidence: float
    cases: int


def length_effect(chains: ScoredChains, scores: NDArray[np.float64], resampling: Resampling) -> LengthEffect:
    """The length effect of scores [C, N] of answered chains."""
    known = (chains.outcomes == ANSWERED) & ~np.isnan(scores)
    kept = known.sum(1) > 1
    sums = np.column_stack(
        _products(np.where(known, scores, np.nan)[kept], np.where(known, chains.lengths, np.nan)[kept])
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(_correlation(sums.sum(0))[0])
        interval = cluster_interval(sums, _correlation, resampling) if np.isfinite(value) else None
    limits = (np.nan, np.nan) if interval is None else (float(interval.low[0]), float(interval.high[0]))
    return LengthEffect(value=value, limits=Limits(*limits), confidence=resampling.confidence, cases=int(kept.sum()))


def _products(scores: NDArray[np.float64], lengths: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    known = ~np.isnan(scores)

    def centred(values: NDArray[np.float64]) -> NDArray[np.float64]:
        ranks = np.where(known, rankdata(np.where(known, values, np.inf), axis=1), 0)  # the unknown rank last
        return np.where(known, ranks - ranks.sum(1, keepdims=True) / known.sum(1, keepdims=True), 0)

    R, L = centred(scores), centred(lengths)
    return (R * L).sum(1), (R * R).sum(1), (L * L).sum(1)


def _correlation(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    both, of_scores, of_lengths = np.moveaxis(totals, -1, 0)
    return (both / np.sqrt(of_scores * of_lengths))[..., None]
