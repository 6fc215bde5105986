"""Rows of two sets of files that are about the same people, side by side: in their order, or matched by an id.

Notable: in order, both sides stream and no more than a block of each is held; to match by id both are held, the columns
that are read and no others.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.compute import pc
from equiray.data.prediction_files import PredictionFile, read_span, spans
from equiray.data.row_blocks import ROWS_PER_BLOCK, BlockId, RowBlock
from equiray.errors import BadInput

_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Source:
    """Opened files of predictions; of their rows those count whose columns have the values `only`."""

    files: Sequence[PredictionFile]
    only: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How errors name it."""
        paths = [file.path for file in self.files]
        return ", ".join(paths[:3]) + (f" and {len(paths) - 3:,} more" if len(paths) > 3 else "")

    @property
    def sha256(self) -> str:
        """Hash of the files' content, in their order, and of which rows count."""
        said = repr(([file.sha256 for file in self.files], sorted(self.only.items())))
        return hashlib.sha256(said.encode()).hexdigest()

    def blocks(self, rows_per_block: int = ROWS_PER_BLOCK) -> Iterator[RowBlock]:
        """Its rows, file after file; raises as `prediction_files.read_span`."""
        for span in spans(self.files, rows_per_block):
            for block in read_span(span, rows_per_block):
                yield block._replace(rows=self._counted(block.rows))

    def _counted(self, rows: pa.Table) -> pa.Table:
        for column, value in self.only.items():
            rows = rows.filter(pc.equal(rows[column].cast(pa.string()), value))
        return rows


class Pair(NamedTuple):
    """As many rows of either side, row by row about the same people; `ids` name them where they were matched by id."""

    id: BlockId
    first: RowBlock
    second: RowBlock
    ids: pa.Array | None = None

    def name(self, differs: NDArray[np.bool_]) -> str:
        """The first rows that a mask marks, by their id, or by their number in either file."""
        rows = np.flatnonzero(differs)
        more = f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
        plural = "s" if len(rows) > 1 else ""
        if self.ids is not None:
            shown = ", ".join(str(self.ids[row]) for row in rows[:_SHOWN].tolist())
            return f"{self.first.origin} and {self.second.origin}, row{plural} with id {shown}{more}"
        sides = []
        for block in (self.first, self.second):
            shown = ", ".join(str(row + block.id.start + 1) for row in rows[:_SHOWN].tolist())
            sides.append(f"{block.origin}, row{plural} {shown}{more}")
        return sides[0] if sides[0] == sides[1] else " and ".join(sides)


def in_order(first: Source, second: Source, rows_per_block: int = ROWS_PER_BLOCK) -> Iterator[Pair]:
    """Pair the n-th row of one side with the n-th of the other; pieces end where a block of either side does.

    Raises
    ------
    BadInput
        A file cannot be read, or one side has more rows: then after all pairs.
    """
    source = pair_sha256(first, second)
    ours, theirs = first.blocks(rows_per_block), second.blocks(rows_per_block)
    one, other = next(ours, None), next(theirs, None)
    done = 0
    while one is not None and other is not None:
        rows = min(one.rows.num_rows, other.rows.num_rows)
        if rows:
            yield Pair(BlockId(source, done, done + rows), _first_rows(one, rows), _first_rows(other, rows))
            done += rows
        one, other = _rest(one, rows) or next(ours, None), _rest(other, rows) or next(theirs, None)
    counts = [
        done + sum(block.rows.num_rows for block in chain((kept,), side) if block)
        for kept, side in ((one, ours), (other, theirs))
    ]
    if counts[0] != counts[1]:
        raise BadInput(
            f"A has {counts[0]:,} rows and B has {counts[1]:,}, so they cannot be compared row by row",
            place=f"{first.name} and {second.name}",
            fix="name the column that says which row is which with --id, or give the same rows in the same order",
        )


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Both sides in memory, matched by id: `place` [n] says where in `second` each of the rows `rows` of `first` is."""

    first: pa.Table
    second: pa.Table
    rows: NDArray[np.int64]
    place: NDArray[np.int64]
    ids: pa.ChunkedArray
    alone: tuple[pa.ChunkedArray, pa.ChunkedArray]
    names: tuple[str, str]
    source: str

    def pairs(self, rows_per_block: int = ROWS_PER_BLOCK) -> Iterator[Pair]:
        """The rows that both have, in the order of the first side."""
        for start in range(0, len(self.rows), rows_per_block):
            part = slice(start, start + rows_per_block)
            rows, place = self.rows[part], self.place[part]
            block = BlockId(self.source, start, start + len(rows))
            one = RowBlock(block, self.first.take(pa.array(rows)), self.names[0])
            other = RowBlock(block, self.second.take(pa.array(place)), self.names[1])
            yield Pair(block, one, other, self.ids.take(pa.array(rows)).combine_chunks())

    @cached_property
    def left_out(self) -> tuple[int, int]:
        """Rows that only the first side has, and those that only the second has."""
        return len(self.alone[0]), len(self.alone[1])

    def check_complete(self) -> None:
        """Raise BadInput if a row is on one side alone."""
        for name, other, alone in zip(self.names, self.names[::-1], self.alone, strict=True):
            if len(alone):
                shown = ", ".join(str(value) for value in alone[:_SHOWN]) + (", ..." if len(alone) > _SHOWN else "")
                raise BadInput(
                    f"{len(alone):,} of {name}'s rows are not in {other}: id {shown}",
                    place=f"{len(self.rows):,} ids are in both, {len(self.alone[0]):,} only in A, "
                    f"{len(self.alone[1]):,} only in B",
                    fix="give predictions of the same rows, or compare those that both have with --common",
                )


def match(first: Source, second: Source, columns: tuple[str, str]) -> Matched:
    """Match rows by id; `columns` name it on either side. Whole numbers and texts that look alike are one id.

    Raises
    ------
    BadInput
        A file cannot be read, an id is missing, stands twice or is no id, or no row is in both.
    """
    tables = [_whole(side) for side in (first, second)]
    both = [
        (table[column], f"{side.name}, column {column!r}")
        for table, column, side in zip(tables, columns, (first, second), strict=True)
    ]
    ids = _alike(*(_ids(values, place) for values, place in both))
    for values, (_, place) in zip(ids, both, strict=True):
        _check_unique(values, place)
    place = pc.index_in(ids[0], value_set=ids[1])
    found = place.is_valid()
    if not pc.any(found).as_py():
        raise BadInput(
            f"no id is in both: A has {_some(ids[0])}, B has {_some(ids[1])}",
            place=f"{both[0][1]} and {both[1][1]}",
            fix="name the column that identifies a row in both files",
        )
    there = pc.is_in(ids[1], value_set=ids[0])
    return Matched(
        first=tables[0],
        second=tables[1],
        rows=np.flatnonzero(found.to_numpy()),
        place=place.drop_null().to_numpy().astype(np.int64),
        ids=ids[0],
        alone=(ids[0].filter(pc.invert(found)), ids[1].filter(pc.invert(there))),
        names=(first.name, second.name),
        source=hashlib.sha256(repr((pair_sha256(first, second), columns)).encode()).hexdigest(),
    )


def pair_sha256(first: Source, second: Source) -> str:
    """Hash of what both sides read."""
    return hashlib.sha256(f"{first.sha256} {second.sha256}".encode()).hexdigest()


def _first_rows(block: RowBlock, rows: int) -> RowBlock:
    return RowBlock(block.id._replace(stop=block.id.start + rows), block.rows.slice(0, rows), block.origin)


def _rest(block: RowBlock, taken: int) -> RowBlock | None:
    if block.rows.num_rows == taken:
        return None
    return RowBlock(block.id._replace(start=block.id.start + taken), block.rows.slice(taken), block.origin)


def _whole(side: Source) -> pa.Table:
    pieces = [block.rows for block in side.blocks() if block.rows.num_rows]
    if not pieces:
        raise BadInput("there are no rows to compare", place=side.name, fix="give at least one row")
    return pa.concat_tables(pieces, promote_options="permissive").unify_dictionaries()


def _ids(values: pa.ChunkedArray, place: str) -> pa.ChunkedArray:
    """As whole numbers or texts."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
    if values.null_count:
        raise BadInput(f"{values.null_count:,} rows have no id", place=place, fix="give every row an id of its own")
    try:
        if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            return values.cast(pa.int64())
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            return values.cast(pa.string())
    except pa.ArrowInvalid:
        kind = f"{kind}, and not whole numbers"
    raise BadInput(f"ids are of type {kind}", place=place, fix="name a column of whole numbers or of texts")


def _alike(first: pa.ChunkedArray, second: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    if first.type == second.type:
        return first, second
    return first.cast(pa.string()), second.cast(pa.string())


def _check_unique(ids: pa.ChunkedArray, place: str) -> None:
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counted = pc.value_counts(ids)
    twice = counted.filter(pc.greater(counted.field("counts"), 1))
    first, others = twice[0].as_py(), len(twice) - 1
    more = f", and {others:,} more ids repeat" if others else ""
    raise BadInput(
        f"id {first['values']!r} stands {first['counts']:,} times{more}",
        place=place,
        fix="name a column that has another value in every row",
    )


def _some(ids: pa.ChunkedArray) -> str:
    return ", ".join(repr(value) for value in ids[:3].to_pylist())
