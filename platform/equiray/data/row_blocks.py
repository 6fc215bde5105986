"""Rows in blocks: the unit in which files are read, counted, and counted only once."""

from typing import NamedTuple

import pyarrow as pa

ROWS_PER_BLOCK = 1 << 20
"""Rows of a block unless said otherwise. Blocks are cut by row number alone, never by who happens to read them."""


class BlockId(NamedTuple):
    """Rows `start` to `stop` (not included) of the input whose content has the sha256 `source`."""

    source: str
    start: int
    stop: int

    def __str__(self) -> str:
        return f"rows {self.start} to {self.stop - 1} of {self.source[:12]}"


class RowBlock(NamedTuple):
    """The rows of a block and the name of the file (or table) that they come from."""

    id: BlockId
    rows: pa.Table
    origin: str
