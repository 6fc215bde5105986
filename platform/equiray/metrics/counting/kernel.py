"""Rows of one block, as Arrow columns, to a `Block`: one pass, the same wherever it runs.

Texts become codes, codes become one number a row, and one histogram counts it. What the values mean, and whether they
are allowed, is decided afterwards on the few cells that occur; rows are searched only to name them in an error.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.data.reading import check_columns
from equiray.data.row_blocks import BlockId, ColumnRows
from equiray.metrics.counting.axes import Decided, decide, levels_of
from equiray.metrics.counting.blocks import Block, Decisions, Targets
from equiray.metrics.counting.cells import Cells, combine
from equiray.metrics.counting.encoding import Place, encode, smallest
from equiray.metrics.counting.layout import Columns, Layout
from equiray.metrics.counting.measures import Measures, read_measures
from equiray.metrics.counting.scores import ScoredRows, count_scores
from equiray.metrics.counting.summing import SQUARABLE, exact_sums
from equiray.metrics.tables import UNANSWERED


class Rows(NamedTuple):
    """A block's rows as numbers.

    `cells` [N], ascending, are those that have rows: (stratum K + label) (K + 2) + prediction, or the stratum alone
    where the target is real-valued; `place` [found] takes the cells `found`, in which the rows stand, to them.
    """

    levels: tuple[tuple[str, ...], ...]
    classes: tuple[str, ...]
    numeric: tuple[bool | None, ...]
    strata: NDArray[np.unsignedinteger]
    cells: NDArray[np.int64]
    place: NDArray[np.unsignedinteger]
    found: Cells
    measures: Measures

    def cell(self) -> NDArray[np.unsignedinteger]:
        """Each row's place [n] in `cells`."""
        return self.found.to_rows(self.place)

    def sha256(self) -> str:
        """Hash of the rows, in their order, as far as they are counted; how Arrow encodes them does not matter."""
        found = hashlib.sha256(repr((self.levels, self.classes)).encode())
        for values in (self.strata, self.cells, self.cell(), *self.measures):
            if values is not None:
                found.update(f"{values.dtype.str} {values.shape} ".encode())
                found.update(np.ascontiguousarray(values).data)
        return found.hexdigest()


def count_block(block: BlockId, table: ColumnRows, layout: Layout, columns: Columns, *, place: str) -> Block:
    """Count the rows of one block.

    Parameters
    ----------
    block : BlockId
        Of these rows; `block.start` is the first row's number in its file.
    table : pyarrow.Table or another ColumnRows
        With the columns that `columns` names, each of which is asked for once. Dictionary-encoded columns are counted
        fastest, at any chunking.
    place : str
        How errors name the file.

    Raises
    ------
    BadInput
        A value cannot be counted; names the value, the column and its rows.
    """
    return tally(block, read_rows(table, layout, columns, Place(place, block.start)))


def read_rows(table: ColumnRows, layout: Layout, columns: Columns, place: Place) -> Rows:
    """Turn Arrow columns into numbers and check every value; raises as `count_block`."""
    check_columns(table.column_names, columns.wanted(layout), place.name)
    coded = [encode(table[columns.of(a.name)], columns.of(a.name), place, digits=False) for a in layout.attributes]
    attributes = len(coded)
    if not layout.real_valued:
        named = [name for name in (columns.label, columns.prediction, columns.outcome) if name is not None]
        coded += [encode(table[name], name, place, digits=True) for name in named]
    found = combine(coded)
    axes = [
        levels_of(column, codes, attribute, place)
        for column, codes, attribute in zip(coded, found.codes.T, layout.attributes, strict=False)
    ]
    strata, stratum = _distinct([axis.place for axis in axes], [len(axis.names) for axis in axes])
    if layout.real_valued:
        decided = Decided((), None, stratum, np.zeros(len(stratum), bool))
    else:
        decided = decide(coded[attributes:], found, stratum, layout, place)
    unanswered = found.to_rows(decided.unanswered) if decided.unanswered.any() else None
    cells, place_of_cell = np.unique(decided.key, return_inverse=True)  # two codes may mean the same
    return Rows(
        levels=tuple(axis.names for axis in axes),
        classes=decided.classes,
        numeric=(*(column.numeric for column in coded[:attributes]), decided.numeric),
        strata=smallest(strata),
        cells=cells,
        place=smallest(place_of_cell),
        found=found,
        measures=read_measures(table, layout, columns, unanswered, place),
    )


def _distinct(
    places: Sequence[NDArray[np.int64]], sizes: Sequence[int]
) -> tuple[NDArray[np.integer], NDArray[np.intp]]:
    """The combinations [T, A] that occur, ascending, and the place among them of each [N]."""
    if math.prod(sizes) > np.iinfo(np.int64).max:
        return np.unique(np.column_stack(places), axis=0, return_inverse=True)
    used, place = np.unique(np.ravel_multi_index(tuple(places), sizes), return_inverse=True)
    return np.column_stack(np.unravel_index(used, sizes)), place


def tally(block: BlockId, rows: Rows) -> Block:
    """Count what `read_rows` has read."""
    score, weight, target, prediction = rows.measures
    scores = bin_sums = targets = decisions = None
    if target is not None and prediction is not None:
        targets = _targets(rows, target, prediction, weight)
    else:
        decisions = _decisions(rows, weight)
    if score is not None:
        scores, bin_sums = count_scores(_scored(rows, score, weight))
    return Block(
        id=block,
        levels=rows.levels,
        classes=rows.classes,
        numeric=rows.numeric,
        strata=rows.strata,
        decisions=decisions,
        scores=scores,
        bin_sums=bin_sums,
        targets=targets,
    )


def _decisions(rows: Rows, weight: NDArray[np.float64] | None) -> Decisions:
    count = np.zeros(len(rows.cells), np.int64)
    np.add.at(count, rows.place, rows.found.counts)
    if weight is None:
        return Decisions(smallest(rows.cells), smallest(count), None, None)
    cell = rows.cell()
    sums = (exact_sums(cell, each, len(rows.cells)) for each in (weight, weight * weight))
    return Decisions(smallest(rows.cells), smallest(count), *sums)


def _targets(
    rows: Rows, target: NDArray[np.float64], prediction: NDArray[np.float64], weight: NDArray[np.float64] | None
) -> Targets:
    stratum = rows.found.to_rows(smallest(rows.cells[rows.place]))
    return target_sums(stratum, len(rows.strata), target, prediction, weight)


def target_sums(
    stratum: NDArray[np.integer],
    size: int,
    target: NDArray[np.float64],
    prediction: NDArray[np.float64],
    weight: NDArray[np.float64] | None,
) -> Targets:
    """Sums over the rows of each of `size` strata, from values [n] of the rows."""
    times = np.ones(len(target)) if weight is None else weight
    error = prediction - target
    square = error * error
    # of errors so large that their fourth power is no number only limits suffer
    fourth = np.minimum(square, SQUARABLE) ** 2
    terms = (1, prediction, np.abs(error), square, prediction * prediction, fourth)
    target_sum = exact_sums(stratum, times * target, size)
    ones, *others = (exact_sums(stratum, times * each, size) for each in terms)
    twice = (ones, *others) if weight is None else (exact_sums(stratum, times * times * each, size) for each in terms)
    return Targets(ones, target_sum, *others, *twice, counts=smallest(np.bincount(stratum, minlength=size)))


def _scored(rows: Rows, score: NDArray[np.float64], weight: NDArray[np.float64] | None) -> ScoredRows:
    classes = len(rows.classes)
    # stratum K + label, from (stratum K + label) (K + 2) + prediction
    cell = rows.found.to_rows(smallest(rows.cells[rows.place] // (classes + len(UNANSWERED))))
    there = ~np.isnan(score)
    if not there.all():
        score, cell = score[there], cell[there]
        weight = None if weight is None else weight[there]
    return ScoredRows(score, cell, len(rows.strata) * classes, weight)
