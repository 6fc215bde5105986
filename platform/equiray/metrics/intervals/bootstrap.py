"""Bootstrap of counts and of sums over blocks, for smooth functions of them.

Notable: for unweighted, independent rows the row bootstrap of a table of counts is a multinomial draw over its cells,
so a replicate costs as much as the table has cells, whatever the number of rows. It serves smooth functions whose
denominators hold enough events (`enough`). It fails for extremes over groups (`simultaneous` has those), for rows that
depend on each other (`equiray.metrics.clusters`) and for weighted rows, of which sums over blocks can be resampled.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.clusters import Resampling
from equiray.metrics.intervals.limits import Array, Counted, Interval

FEWEST_EVENTS = 20
"""With fewer events, or fewer others, in a denominator a bootstrap interval misleads: its status is ``partial``."""

FEWEST_BLOCKS = 50
"""With fewer blocks their bootstrap is too narrow."""

_HELD = 4_000_000  # draws held at once
_MOST_MISSING = 0.1  # share of draws that may be NaN


def cell_draws(cells: NDArray[np.int64], resampling: Resampling) -> NDArray[np.int64]:
    """Row bootstrap of a table of counts, [replicates, *cells.shape]."""
    generator = np.random.default_rng(resampling.seed)
    total = int(cells.sum())
    if total == 0:
        return np.zeros((resampling.replicates, *cells.shape), dtype=np.int64)
    drawn = generator.multinomial(total, cells.ravel() / total, size=resampling.replicates)
    return drawn.reshape(resampling.replicates, *cells.shape)


def block_draws(blocks: Array, resampling: Resampling) -> Array:
    """Poisson bootstrap of sums over blocks of rows, [replicates, ...].

    Every block counts a Poisson(1) number of times (Hanley and MacGibbon 2006), independently of all others, so that
    workers can draw for their own blocks. Weighted sums need no more than this; it takes `FEWEST_BLOCKS` blocks of
    like size, cut without regard to what is in them.

    Parameters
    ----------
    blocks : [B, ...]
        Sums (counts, weights, scores) over the rows of each block.
    """
    generator = np.random.default_rng(resampling.seed)
    flat = np.asarray(blocks, dtype=np.float64).reshape(len(blocks), -1)
    at_a_time = max(1, _HELD // max(1, len(blocks)))
    sums = []
    for start in range(0, resampling.replicates, at_a_time):
        size = min(at_a_time, resampling.replicates - start)
        sums.append(generator.poisson(1.0, (size, len(blocks))) @ flat)
    return np.concatenate(sums).reshape(resampling.replicates, *np.shape(blocks)[1:])


def percentile_interval(draws: Array, confidence: float) -> Interval:
    """Percentile limits over the first axis, [replicates, ...] -> [...]; NaN if a tenth of the draws are.

    A draw without a denominator says nothing; where that is common, neither does the interval.
    """
    tail = (1 - confidence) / 2
    missing = np.isnan(draws).mean(0) > _MOST_MISSING
    low, high = np.nanquantile(np.where(missing, 0, draws), [tail, 1 - tail], axis=0)
    return Interval(np.where(missing, np.nan, low), np.where(missing, np.nan, high))


def enough(denominators: Sequence[Counted]) -> bool:
    """Whether every denominator of every group holds `FEWEST_EVENTS` events and as many others."""
    parts = [np.minimum(events, np.subtract(trials, events)) for events, trials in denominators]
    return all(bool((part >= FEWEST_EVENTS).all()) for part in parts)
