"""Joint resamples of what language models said: models scored on the same prompts, or on the same documents."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.metrics.clusters import cluster_sums, document_sums
from equiray.metrics.filler_scores import FillerScores, same_prompts
from equiray.metrics.fronts.points import Array
from equiray.metrics.fronts.resampled import Replicated, Source, drawn
from equiray.metrics.intrinsic import prompt_terms, statistics_of

GAPS = ("intrinsic_gap", "intrinsic_gap_signed")


def replicated_gaps(scores: Sequence[FillerScores], *, replicates: int, seed: int) -> Replicated:
    """`GAPS` of P models on the same prompts, resampling whole template families.

    Raises
    ------
    ValueError
        There are no models, they were not scored on the same prompts in the same order, or these are of one family.
    """
    if not scores or not all(same_prompts(scores[0], each) for each in scores):
        raise ValueError("joint resamples need scores of the same prompts in the same order")
    sums = np.stack([cluster_sums(prompt_terms(each), each.family) for each in scores], axis=1)
    found = [_gaps(totals) for totals in _totals(sums, replicates, seed, "families")]
    return Replicated(values=_gaps(sums.sum(0)), replicates=np.concatenate(found), units=(len(sums),) * len(GAPS))


def replicated_perplexity(
    nll: NDArray[np.float64], tokens: ArrayLike, base: NDArray[np.float64], *, replicates: int, seed: int
) -> Replicated:
    """``perplexity_ratio`` of P models to the base model on the same documents, resampling documents.

    Parameters
    ----------
    nll : float array [P, D]
        Negative log-likelihood of each document, summed over its predicted tokens, in nats.
    tokens : int array [D]
        Predicted tokens of each document; documents with none are left out.
    base : float array [D]
        As `nll`, of the base model.
    replicates, seed : int

    Raises
    ------
    ValueError
        Shapes differ, a sum is NaN, or there are fewer than two documents.
    """
    sums = document_sums([*nll, base], np.asarray(tokens))
    found = [_ratios(totals) for totals in _totals(sums, replicates, seed, "documents")]
    return Replicated(values=_ratios(sums.sum(0)), replicates=np.concatenate(found), units=(len(sums),))


def _totals(sums: Array, replicates: int, seed: int, source: Source) -> list[Array]:
    """Totals of sums [units, ...] over what is drawn, [some replicates, ...] at a time."""
    draws = drawn(len(sums), replicates, seed, source)
    return [np.asarray(np.tensordot(times.astype(np.float64), sums, 1), np.float64) for times in draws]


def _gaps(totals: Array) -> Array:
    """Totals [..., 12] -> `GAPS` [..., 2]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return statistics_of(totals)[..., -3:-1]


def _ratios(totals: Array) -> Array:
    """Totals [..., P + 2] of the models, the base and the tokens -> [..., P, 1]."""
    return np.exp((totals[..., :-2] - totals[..., -2:-1]) / totals[..., -1:])[..., None]
