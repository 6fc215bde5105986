"""`RawTable`: rows as their file has them, before codes become words."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """Rows of a task in the source's own codes, and where they came from.

    `row_ids` is int64, shape (rows,). `place` is how errors name the file, `sha256` the digest of its bytes, `origin`
    the kind of place (`sources.Found.origin`). `warnings` are what is true of this source only.
    """

    table: pa.Table
    row_ids: np.ndarray
    place: str
    sha256: str
    origin: str
    warnings: tuple[str, ...] = ()

    @classmethod
    def numbered(
        cls, table: pa.Table, *, place: str, sha256: str, origin: str, warnings: tuple[str, ...] = ()
    ) -> "RawTable":
        """A raw table whose row ids are the positions of its rows, from 0."""
        ids = np.arange(table.num_rows, dtype=np.int64)
        return cls(table=table, row_ids=ids, place=place, sha256=sha256, origin=origin, warnings=warnings)
