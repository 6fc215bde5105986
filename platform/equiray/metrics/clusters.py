"""Intervals for values that come in clusters: wordings of one sentence, tokens of one document.

Members of a cluster resemble each other, so the cluster is what is resampled and the number of clusters is the
effective sample size. Every statistic here is a function of totals over clusters; a bootstrap replicate is then a
product of resampling counts and per-cluster sums, and no row is ever touched again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special

from equiray.metrics.estimates import Direction, Estimate

_BLOCK = 4_000_000  # resampling counts held at once: bounds memory at 32 MB whatever the number of clusters
_MOST_MISSING = 0.1  # share of draws that may be NaN


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How intervals are made; equal settings give equal intervals."""

    confidence: float = 0.95
    replicates: int = 2000
    seed: int = 0


class Interval(NamedTuple):
    """Lower and upper limits of M statistics, arrays [M]."""

    low: np.ndarray
    high: np.ndarray


class Heading(NamedTuple):
    """What one statistic is called in its estimate."""

    metric: str
    group: str | None
    direction: Direction
    n: int


def cluster_sums(values: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Add up rows cluster by cluster.

    Parameters
    ----------
    values : float array [N, K]
    clusters : array [N]
        Name of each row's cluster.

    Returns
    -------
    float64 array [G, K]
        Clusters in sorted order.
    """
    _, codes = np.unique(clusters, return_inverse=True)
    sums = np.zeros((codes.max(initial=-1) + 1, values.shape[1]))
    np.add.at(sums, codes, values)
    return sums


def cluster_interval(
    sums: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], resampling: Resampling
) -> Interval | None:
    """Bootstrap interval of statistics of totals, resampling whole clusters.

    The limits are *expanded* percentiles (Hesterberg, arXiv 1411.5279): plain percentiles are too
    narrow by sqrt((G-1)/G) and by taking normal for t quantiles, which matters with the few families there are.

    Parameters
    ----------
    sums : float array [G, K]
        Per-cluster sums (`cluster_sums`).
    statistic : callable
        Totals [..., K] -> statistics [..., M].
    resampling : Resampling

    Returns
    -------
    Interval or None
        None where there are fewer than two clusters.
    """
    count = len(sums)
    if count < 2:
        return None
    draws = np.concatenate([statistic(weights @ sums) for weights in cluster_weights(count, resampling)])
    return expanded_interval(draws, count, resampling.confidence)


def cluster_weights(count: int, resampling: Resampling) -> Iterator[np.ndarray]:
    """How often each of `count` clusters is drawn in the replicates, int64 [some replicates, count] at a time."""
    rng = np.random.default_rng(resampling.seed)
    rows = max(1, _BLOCK // count)
    for start in range(0, resampling.replicates, rows):
        size = min(rows, resampling.replicates - start)
        yield rng.multinomial(count, np.full(count, 1 / count), size=size)


def expanded_interval(draws: np.ndarray, count: int, confidence: float) -> Interval:
    """Expanded percentiles of draws [replicates, M] over `count` clusters (see `cluster_interval`).

    A draw that is NaN, for want of a denominator, says nothing; where a tenth of them are, the limits are NaN.
    """
    t = special.stdtrit(count - 1, (1 + confidence) / 2)
    tail = special.ndtr(-t * np.sqrt(count / (count - 1)))
    missing = np.isnan(draws).mean(axis=0) > _MOST_MISSING
    low, high = np.nanquantile(np.where(missing, 0, draws), [tail, 1 - tail], axis=0)
    return Interval(np.where(missing, np.nan, low), np.where(missing, np.nan, high))


def clustered_estimates(
    sums: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    headings: Sequence[Heading],
    *,
    task: str,
    stage: str,
    model: str,
    attribute: str | None,
    resampling: Resampling,
) -> list[Estimate]:
    """Estimates of M statistics of totals, with intervals from `cluster_interval`.

    A statistic that is NaN is not estimable; with a single cluster it has a value but no interval, and is partial.

    Parameters
    ----------
    sums, statistic, resampling
        As for `cluster_interval`.
    headings : sequence of Heading, length M
    task, stage, model, attribute : str
        Labels of the estimates.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        values = statistic(sums.sum(axis=0))
        interval = cluster_interval(sums, statistic, resampling)
    estimates = []
    for i, heading in enumerate(headings):
        known = bool(np.isfinite(values[i]))
        limited = known and interval is not None and bool(np.isfinite(interval.low[i]))
        low, high = (float(interval.low[i]), float(interval.high[i])) if limited and interval else (None, None)
        estimates.append(
            Estimate(
                task=task,
                stage=stage,
                model=model,
                metric=heading.metric,
                attribute=attribute,
                group=heading.group,
                value=float(values[i]) if known else None,
                low=low,
                high=high,
                confidence=resampling.confidence,
                n=heading.n,
                status="not_estimable" if not known else "partial" if low is None else "estimated",
                direction=heading.direction,
            )
        )
    return estimates


def perplexity_estimate(
    nll_sums: np.ndarray, token_counts: np.ndarray, *, task: str, stage: str, model: str, resampling: Resampling
) -> Estimate:
    """Perplexity of a text collection, exp(sum of nll / number of tokens), interval clustered by document.

    Range from 1 upward, lower is better.

    Parameters
    ----------
    nll_sums : float array [D]
        Negative log-likelihood of each document, summed over its predicted tokens, in nats.
    token_counts : int array [D]
        Predicted tokens of each document; documents with none carry no weight.
    task, stage, model : str
    resampling : Resampling

    Returns
    -------
    Estimate
        `n` counts the documents with at least one predicted token; not estimable where there are none.

    Raises
    ------
    ValueError
        The arrays differ in length or a sum is NaN.
    """
    sums = document_sums([nll_sums], token_counts)
    heading = Heading("perplexity", None, "lower", len(sums))
    return clustered_estimates(
        sums, _perplexity, [heading], task=task, stage=stage, model=model, attribute=None, resampling=resampling
    )[0]


def perplexity_change(
    nll_before: np.ndarray,
    nll_after: np.ndarray,
    token_counts: np.ndarray,
    *,
    task: str,
    stage: str,
    model: str,
    resampling: Resampling,
) -> list[Estimate]:
    """Paired change of perplexity on the same documents.

    Parameters as for `perplexity_estimate`, with one array of sums before and one after.

    Returns
    -------
    list of Estimate
        ``perplexity``: after - before; ``perplexity_ratio``: after / before, 1 = unchanged. Of both, lower is better.
    """
    sums = document_sums([nll_before, nll_after], token_counts)
    headings = [Heading(name, None, "lower", len(sums)) for name in ("perplexity", "perplexity_ratio")]
    return clustered_estimates(
        sums, _perplexity_change, headings, task=task, stage=stage, model=model, attribute=None, resampling=resampling
    )


def _perplexity(totals: np.ndarray) -> np.ndarray:
    return np.exp(totals[..., :1] / totals[..., -1:])


def _perplexity_change(totals: np.ndarray) -> np.ndarray:
    before, after = (np.exp(totals[..., i] / totals[..., -1]) for i in (0, 1))
    return np.stack([after - before, after / before], axis=-1)


def document_sums(nll: list[np.ndarray], token_counts: np.ndarray) -> np.ndarray:
    """Sums [D, K + 1] of documents with predicted tokens, these last; of K arrays [D] as of `perplexity_estimate`."""
    if any(np.shape(part) != np.shape(token_counts) for part in nll):
        raise ValueError("one nll sum and one token count per document are needed")
    sums = np.column_stack([*nll, token_counts]).astype(np.float64)
    if np.isnan(sums).any():
        raise ValueError(f"the negative log-likelihood of document {np.argwhere(np.isnan(sums))[0][0]} is NaN")
    return sums[sums[:, -1] > 0]
