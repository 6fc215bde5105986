"""Scores of all blocks in one array, on one scale: exact where they stay few enough, else on the grid."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.counting.blocks import Mapped, Scores
from equiray.metrics.counting.scores import CELLS_PER_BIN, GRID, MAX_DISTINCT, bin_of, on_grid
from equiray.metrics.counting.summing import exact_sums
from equiray.metrics.tables import CALIBRATION_BINS, ScoreCounts

_MOST_CELLS = 1 << 26  # 512 MB of int64


def total_scores(blocks: Sequence[Mapped], size: tuple[int, int], *, weighted: bool) -> ScoreCounts:
    """Scores by group, label and value.

    They are on the grid where any block's are or where together they have more than `MAX_DISTINCT` values: a matter
    of the set of blocks, not of their order. Where even the grid is too large for that many groups, neighbouring cells
    of it are joined, and `values` says where the joint cells begin.
    """
    held = [each.block.scores for each in blocks]
    scores = [each for each in held if each is not None]
    assert len(scores) == len(blocks)
    values, places = _common_scale(scores, cells=size[0] * size[1])
    exact = values is not None
    if values is None:
        values, places = _grid(scores, cells=size[0] * size[1])
    shape = (*size, len(values))
    count = np.zeros(shape, np.int64)
    indices, weights, squares = [], [], []
    for (_, group, label, _), each, place in zip(blocks, scores, places, strict=True):
        stratum, labelled = np.divmod(each.cell.astype(np.int64), len(label))
        index = np.ravel_multi_index((group[stratum], label[labelled], place[each.value]), shape)
        np.add.at(count.reshape(-1), index, each.counts)
        if weighted:
            indices.append(index)
            weights.append(each.weight)
            squares.append(each.weight_squared)
    if not weighted:
        return ScoreCounts(values, exact, count)
    index = np.concatenate(indices)
    sums = (exact_sums(index, np.concatenate(each), count.size) for each in (weights, squares))
    return ScoreCounts(values, exact, count, *(total.reshape(shape) for total in sums))


def _common_scale(
    scores: Sequence[Scores], *, cells: int
) -> tuple[NDArray[np.float64] | None, list[NDArray[np.int64]]]:
    """All distinct scores, and the places of each block's among them; None where they cannot be kept."""
    known = [each.values for each in scores if each.values is not None]
    if len(known) < len(scores):
        return None, []
    values = np.unique(np.concatenate(known))
    if len(values) > MAX_DISTINCT or len(values) * cells > _MOST_CELLS:
        return None, []
    return values, [np.searchsorted(values, each) for each in known]


def _grid(scores: Sequence[Scores], *, cells: int) -> tuple[NDArray[np.float64], list[NDArray[np.int64]]]:
    """Lower edges of the grid's cells, and the places of each block's scores (or of its own grid's cells) on it."""
    per_bin = max(1, min(CELLS_PER_BIN, _MOST_CELLS // (cells * CALIBRATION_BINS)))
    fine = np.arange(len(GRID))
    joint = bin_of(fine) * per_bin + fine % CELLS_PER_BIN * per_bin // CELLS_PER_BIN
    lower = GRID[np.unique(joint, return_index=True)[1]]
    return lower, [joint if each.values is None else joint[on_grid(each.values)] for each in scores]
