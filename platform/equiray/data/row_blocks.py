"""Rows in blocks: the unit in which files are read, counted, and counted only once."""

from typing import NamedTuple, Protocol

import pyarrow as pa

ROWS_PER_BLOCK = 1 << 20
"""Rows of a block unless said otherwise, at most. Blocks are cut by what is in a file alone, never by who reads it."""


class BlockId(NamedTuple):
    """Rows `start` to `stop` (not included) of the input whose content has the sha256 `source`."""

    source: str
    start: int
    stop: int

    def __str__(self) -> str:
        return f"rows {self.start} to {self.stop - 1} of {self.source[:12]}"


class ColumnRows(Protocol):
    """Rows as columns: a `pyarrow.Table`, or what reads a column only when it is asked for."""

    @property
    def num_rows(self) -> int: ...

    @property
    def column_names(self) -> list[str]: ...

    def __getitem__(self, key: str, /) -> pa.ChunkedArray: ...


class RowBlock(NamedTuple):
    """The rows of a block and the name of the file (or table) that they come from."""

    id: BlockId
    rows: ColumnRows
    origin: str
