"""Intervals of rates, of differences between groups, and of paired changes."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from equiray.metrics.clusters import Resampling


class Limits(NamedTuple):
    """Lower and upper limit; NaN where there is nothing to estimate."""

    low: float
    high: float


NOTHING = Limits(float("nan"), float("nan"))


class Proportion(NamedTuple):
    """`events` out of `trials`."""

    events: int
    trials: int

    @property
    def rate(self) -> float:
        return self.events / self.trials if self.trials else float("nan")


def wilson(of: Proportion, confidence: float) -> Limits:
    """Wilson's score interval of a binomial rate (Wilson 1927); NaN without trials."""
    if of.trials == 0:
        return NOTHING
    z, n, rate = float(ndtri((1 + confidence) / 2)), of.trials, of.rate
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return Limits(float(max(0.0, centre - half)), float(min(1.0, centre + half)))


def newcombe(one: Proportion, other: Proportion, confidence: float) -> Limits:
    """Newcombe's hybrid score interval of the difference of two independent rates (Newcombe 1998, method 10).

    Unlike a bootstrap it keeps its width where a small group has no event, or nothing but events.
    """
    (low_1, high_1), (low_2, high_2) = wilson(one, confidence), wilson(other, confidence)
    difference = one.rate - other.rate
    return Limits(
        float(difference - np.hypot(one.rate - low_1, high_2 - other.rate)),
        float(difference + np.hypot(high_1 - one.rate, other.rate - low_2)),
    )


def largest_difference(groups_by_rate: Sequence[Sequence[Proportion]], confidence: float) -> Limits:
    """Limits of the largest difference between two groups in any of some rates.

    A largest difference is never negative, so the percentiles of its bootstrap never reach 0 and would find bias in
    any sample. Instead each pair of groups gets its own signed interval, at the level that holds for all pairs and
    rates together (Bonferroni), and the limits of the largest are read off those: high is the largest of their upper
    limits, low the largest of their lower ones, at least 0.

    Parameters
    ----------
    groups_by_rate : one sequence of proportions, group by group, for each rate
    confidence : float
        Of the result.
    """
    pairs = [pair for groups in groups_by_rate for pair in combinations(groups, 2)]
    if not pairs or any(p.trials == 0 for groups in groups_by_rate for p in groups):
        return NOTHING
    each = 1 - (1 - confidence) / len(pairs)
    low, high = 0.0, 0.0
    for one, other in pairs:
        bottom, top = newcombe(one, other, each)
        low, high = max(low, bottom, -top), max(high, top, -bottom)
    return Limits(low, min(high, 1.0))


def row_bootstrap(cells: NDArray[np.int64], resampling: Resampling) -> NDArray[np.int64]:
    """Row bootstrap of a table of counts, [replicates, *cells.shape]: for counts it is a multinomial draw."""
    generator = np.random.default_rng(resampling.seed)
    total = int(cells.sum())
    if total == 0:
        return np.zeros((resampling.replicates, *cells.shape), dtype=np.int64)
    drawn = generator.multinomial(total, cells.ravel() / total, size=resampling.replicates)
    return drawn.reshape(resampling.replicates, *cells.shape)


def percentiles(values: NDArray, confidence: float) -> Limits:
    """Percentile limits of bootstrap replicates; NaN ones (an empty group was drawn) are left out."""
    if np.isnan(values).all():
        return NOTHING
    low, high = np.nanquantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Limits(float(low), float(high))
