"""Where rows come from: a table in memory, or Parquet files that are read as they are needed.

Blocks are cut by the order of the rows alone, so a run with other workers, or without any, has the same ones.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.streaming.blocks import Block

POSITION, ROW_ID, COUNTERFACTUAL = "position", "row_id", "counterfactual"
_SPAN_BLOCKS = 8
_READ_ROWS = 4096


class RowSource(Protocol):
    """Rows in block order, each with its `position` in the input."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        ...

    def sha256(self) -> str:
        """Hash of all rows."""
        ...

    def blocks(self, rows_per_block: int) -> list[Block]:
        """Cut all rows into blocks."""
        ...

    def spans(self, blocks: Sequence[Block]) -> list[list[Block]]:
        """Group ascending blocks so that each group is cheap to read in one go."""
        ...

    def read(self, span: Sequence[Block]) -> Iterator[tuple[Block, pa.Table]]:
        """The rows of each block of a span."""
        ...


@dataclass(frozen=True, kw_only=True)
class TableSource:
    """A table in memory. Rows of one row id stand together in block order: a twin reuses its original's prefix."""

    table: pa.Table
    starts: NDArray[np.int64]
    """Where each row id's group of rows begins in block order."""

    @classmethod
    def of(cls, table: pa.Table) -> "TableSource":
        """Order a table's rows for blocks.

        Raises
        ------
        BadInput
            The table has no rows, or no column `row_id`.
        """
        _check_columns(table.column_names, [ROW_ID], "the table to embed")
        if not table.num_rows:
            raise BadInput("no rows to embed", place="the table to embed", fix="pass at least one row")
        _, first_seen, group = np.unique(table[ROW_ID].to_numpy(), return_index=True, return_inverse=True)
        order = np.argsort(first_seen[group], kind="stable")
        ordered = table.take(order).append_column(POSITION, pa.array(order, pa.int64())).combine_chunks()
        starts = np.flatnonzero(np.diff(first_seen[group][order], prepend=-1))
        return cls(table=ordered, starts=starts)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.table.num_rows

    def sha256(self) -> str:
        """Hash of all rows and their order; how the table is chunked in memory does not matter."""
        sink = pa.BufferOutputStream()
        pq.write_table(self.table.replace_schema_metadata(None), sink, compression="none")
        return hashlib.sha256(sink.getvalue()).hexdigest()

    def blocks(self, rows_per_block: int) -> list[Block]:
        """Blocks of at most `rows_per_block` rows, or of one row id where it alone has more."""
        cuts, ends = [0], np.append(self.starts[1:], self.rows)
        while cuts[-1] < self.rows:
            fitting = np.searchsorted(ends, cuts[-1] + rows_per_block, side="right") - 1
            group = np.searchsorted(ends, cuts[-1], side="right")
            cuts.append(int(ends[max(fitting, group)]))
        return [Block(first, after - 1) for first, after in pairwise(cuts)]

    def spans(self, blocks: Sequence[Block]) -> list[list[Block]]:
        """Groups of a few blocks."""
        return [list(blocks[i : i + _SPAN_BLOCKS]) for i in range(0, len(blocks), _SPAN_BLOCKS)]

    def read(self, span: Sequence[Block]) -> Iterator[tuple[Block, pa.Table]]:
        """The rows of each block of a span."""
        for block in span:
            yield block, self.table.slice(block.first, block.last - block.first + 1)


class _RowGroup(NamedTuple):
    file: str
    number: int
    first: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class ParquetSource:
    """Parquet files in the order of their names, never wholly in memory: one row group is the most that is open."""

    groups: tuple[_RowGroup, ...]
    columns: tuple[str, ...]

    @classmethod
    def of(cls, pattern: str, features: Sequence[str]) -> "ParquetSource":
        """Look at the footers of a file, a directory's files, or all files that match a pattern.

        Raises
        ------
        BadInput
            No such file, no rows, a file that is no Parquet, or a column that is missing.
        """
        files = sorted(glob(f"{pattern}/*.parquet" if Path(pattern).is_dir() else pattern))  # noqa: PTH207, absolute too
        groups: list[_RowGroup] = []
        columns: tuple[str, ...] = ()
        first = 0
        for file in files:
            footer = _footer(file)
            names = footer.schema.to_arrow_schema().names
            _check_columns(names, [ROW_ID, *features], file)
            columns = tuple(name for name in (ROW_ID, COUNTERFACTUAL, *features) if name in names)
            for index in range(footer.num_row_groups):
                groups.append(_RowGroup(file, index, first, footer.row_group(index).num_rows))
                first += groups[-1].rows
        if not first:
            problem = f"no rows in {len(files)} files" if files else "no such file"
            raise BadInput(problem, place=pattern, fix="name a Parquet file, a folder of them, or a pattern")
        return cls(groups=tuple(groups), columns=columns)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.groups[-1].first + self.groups[-1].rows

    def sha256(self) -> str:
        """Hash of the files' bytes."""
        digest = hashlib.sha256()
        for file in dict.fromkeys(group.file for group in self.groups):
            with Path(file).open("rb") as stream:
                while chunk := stream.read(1 << 22):
                    digest.update(chunk)
        return digest.hexdigest()

    def blocks(self, rows_per_block: int) -> list[Block]:
        """Blocks of `rows_per_block` rows in file order; the last may be shorter."""
        last = self.rows - 1
        return [Block(first, min(first + rows_per_block - 1, last)) for first in range(0, self.rows, rows_per_block)]

    def spans(self, blocks: Sequence[Block]) -> list[list[Block]]:
        """Blocks that begin in the same row group."""
        spans: dict[int, list[Block]] = {}
        for block in blocks:
            spans.setdefault(self._group_of(block.first), []).append(block)
        return list(spans.values())

    def read(self, span: Sequence[Block]) -> Iterator[tuple[Block, pa.Table]]:
        """The rows of each block of a span; no more than a block and one read are held."""
        pieces = self._pieces(self._group_of(span[0].first))
        first, held = next(pieces)
        for block in span:
            while first + held.num_rows <= block.last:
                start, piece = next(pieces)
                needless = min(max(block.first - first, 0), held.num_rows)
                held = pa.concat_tables([held.slice(needless), piece])
                first = start - (held.num_rows - piece.num_rows)
            rows = held.slice(block.first - first, block.last - block.first + 1).combine_chunks()
            yield block, rows.append_column(POSITION, pa.array(np.arange(block.first, block.last + 1)))

    def _pieces(self, group: int) -> Iterator[tuple[int, pa.Table]]:
        for each in self.groups[group:]:
            first = each.first
            try:
                with pq.ParquetFile(each.file) as file:
                    for batch in file.iter_batches(_READ_ROWS, row_groups=[each.number], columns=list(self.columns)):
                        yield first, pa.Table.from_batches([batch])
                        first += batch.num_rows
            except (OSError, pa.ArrowException) as error:
                raise _broken(each.file, error) from error

    def _group_of(self, row: int) -> int:
        return int(np.searchsorted([group.first for group in self.groups], row, side="right")) - 1


def _footer(file: str) -> pq.FileMetaData:
    try:
        return pq.read_metadata(file)
    except (OSError, pa.ArrowException) as error:
        raise _broken(file, error) from error


def _broken(file: str, error: Exception) -> BadInput:
    return BadInput(f"cannot read it as Parquet: {str(error).splitlines()[0]}", place=file, fix="write the file again")


def _check_columns(there: Sequence[str], needed: Sequence[str], place: str) -> None:
    missing = [name for name in needed if name not in there]
    if missing:
        raise BadInput(
            f"column {missing[0]!r} is missing", place=place, fix=f"add it; there are: {', '.join(there)[:300]}"
        )
