"""Scores in [0, 1]: kept exactly while they are few, on a fixed grid beyond.

The grid has 65,530 cells, 6,553 in each of the ten calibration bins, and each bin begins at the float k / 10 itself: a
score falls into the bin that ``numpy.digitize`` gives it, on the grid as off it. What a block keeps depends on its rows
alone, and what a total keeps on its blocks alone.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.metrics.counting.blocks import BinSums, Scores
from equiray.metrics.counting.encoding import smallest
from equiray.metrics.counting.summing import exact_sums
from equiray.metrics.tables import CALIBRATION_BINS

MAX_DISTINCT = 1 << 16
CELLS_PER_BIN = 6553
GRID: NDArray[np.float64] = (
    np.arange(CALIBRATION_BINS)[:, None] / CALIBRATION_BINS
    + np.arange(CELLS_PER_BIN) / (CALIBRATION_BINS * CELLS_PER_BIN)
).ravel()
"""Lower edges of the grid's cells, ascending; the last cell holds 1 too."""

_UPPER = np.append(GRID[1:], np.inf)
_GLANCE = MAX_DISTINCT * 9 // 8  # so many rows usually show that scores are continuous
_DENSE = 1 << 23


class ScoredRows(NamedTuple):
    """Rows that have a score: the score [n], the place stratum K + label [n] below `cells`, and the weight [n]."""

    score: NDArray[np.float64]
    cell: NDArray[np.integer]
    cells: int
    weight: NDArray[np.float64] | None


def on_grid(scores: NDArray[np.float64]) -> NDArray[np.int32]:
    """The grid's cell of each score [n]."""
    cell = np.minimum((scores * len(GRID)).astype(np.int32), len(GRID) - 1)
    cell -= scores < GRID.take(cell)  # the product is rounded: it can miss an edge by one cell
    cell += scores >= _UPPER.take(cell)
    return cell


def bin_of(grid_cell: NDArray[np.integer]) -> NDArray[np.integer]:
    """The calibration bin of cells of the grid."""
    return grid_cell // CELLS_PER_BIN


class _Weights(NamedTuple):
    """Sums of w and of w^2, None of rows without weights."""

    total: NDArray[np.float64] | None
    squared: NDArray[np.float64] | None


class _Tally(NamedTuple):
    """The keys that occur, ascending, with their rows and weights."""

    used: NDArray[np.int64]
    rows: NDArray[np.int64]
    weights: _Weights


def count_scores(rows: ScoredRows) -> tuple[Scores, BinSums]:
    """Count scores exactly, or on the grid where they have more than `MAX_DISTINCT` values; and sum them by bin."""
    rows = rows._replace(score=rows.score + 0.0)  # -0.0 becomes 0.0
    found = _distinct(rows.score)
    if found is None:
        values, place = None, on_grid(rows.score)
        bins = bin_of(place)
    else:
        values, place = found
        bins = bin_of(on_grid(values))
    size = len(GRID) if values is None else len(values)
    used, count, weights = _tally(rows.cell.astype(np.int64) * size + place, rows.cells * size, rows.weight)
    cell, value = np.divmod(used, size)
    scores = Scores(values, smallest(cell), smallest(value), smallest(count), *weights)
    if values is None:
        return scores, _bin_sums(rows.cell, bins, rows, rows.weight)
    if rows.weight is None:  # the distinct scores stand for all rows
        return scores, _bin_sums(cell, bins[value], rows._replace(score=values[value]), count.astype(np.float64))
    return scores, _bin_sums(rows.cell, bins[place], rows, rows.weight)


def _distinct(score: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.unsignedinteger]] | None:
    """Distinct scores, ascending, and each row's place among them; None where they are too many to keep."""
    found = None
    for rows in dict.fromkeys((min(_GLANCE, len(score)), len(score))):
        found = pa.array(score[:rows]).dictionary_encode()
        if len(found.dictionary) > MAX_DISTINCT:
            return None
    assert found is not None
    values = found.dictionary.to_numpy()
    order = np.argsort(values)
    rank = np.empty(len(values), np.uint16)
    rank[order] = np.arange(len(values))
    return values[order], rank.take(found.indices.to_numpy())


def _tally(key: NDArray[np.int64], size: int, weight: NDArray[np.float64] | None) -> _Tally:
    if size <= _DENSE:
        count = np.bincount(key, minlength=size)
        (used,) = np.nonzero(count)
        return _Tally(used, count[used], _weights(key, weight, size, used))
    used, place, count = np.unique(key, return_inverse=True, return_counts=True)
    return _Tally(used, count, _weights(place, weight, len(used), slice(None)))


def _weights(
    key: NDArray[np.integer], weight: NDArray[np.float64] | None, size: int, used: NDArray[np.int64] | slice
) -> _Weights:
    if weight is None:
        return _Weights(None, None)
    return _Weights(*(exact_sums(key, each, size)[used] for each in (weight, weight * weight)))


def _bin_sums(
    cell: NDArray[np.integer], bins: NDArray[np.integer], rows: ScoredRows, times: NDArray[np.float64] | None
) -> BinSums:
    """Sums over rows, or over distinct scores, that count `times` each."""
    key = cell.astype(np.int64) * CALIBRATION_BINS + bins
    size = rows.cells * CALIBRATION_BINS
    count = np.bincount(key, minlength=size)
    (used,) = np.nonzero(count)
    total = rows.score if times is None else rows.score * times
    sums = [count.astype(np.float64) if times is None else exact_sums(key, times, size)]
    sums += [exact_sums(key, each, size) for each in (total, total * rows.score)]
    return BinSums(smallest(used), *(each[used] for each in sums))
