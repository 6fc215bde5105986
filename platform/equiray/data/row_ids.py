"""Rows that are named must be named once: the same person in two files would count twice.

Notable: of each row 8 bytes are held, a hash of its id (0.8 GB for 1e8 rows, and as much again while they are sorted).
Where two hashes agree the ids themselves are read again and compared, so that no two ids are ever taken for one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.compute import pc
from equiray.data.prediction_files import PredictionFile, read_span, spans
from equiray.data.row_blocks import as_table
from equiray.errors import BadInput

_LOOKED_AT = 1_000  # hashes that agree; that so many are those of unlike ids does not happen


@dataclass(frozen=True, kw_only=True)
class RowIds:
    """The column `column` of files that were opened with it; of their rows those count that have the values `only`."""

    files: Sequence[PredictionFile]
    column: str
    only: Mapping[str, str] = field(default_factory=dict)

    def check_unique(self) -> None:
        """Compare the ids of all rows, as texts: 7 and "7" are one.

        Raises
        ------
        BadInput
            An id is missing or is no id, or two rows have the same; names it and both files.
        """
        parts = [_hashes(ids) for _, ids in self._blocks()]
        hashes = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        del parts
        hashes.sort()
        again = hashes[1:][hashes[1:] == hashes[:-1]]
        if len(again):
            self._refuse(np.unique(again[:_LOOKED_AT]), len(again))

    def _refuse(self, suspects: NDArray[np.int64], repeats: int) -> None:
        """Raise BadInput unless the ids of these hashes differ after all."""
        first: dict[str, str] = {}
        for path, ids in self._blocks():
            for name in ids.filter(pa.array(np.isin(_hashes(ids), suspects))).to_pylist():
                if name in first:
                    raise BadInput(
                        f"id {name!r} stands in more than one row; {repeats:,} rows repeat an id",
                        place=f"column {self.column!r} (--id) of {first[name]}"
                        + (" and " + path if path != first[name] else ""),
                        fix="leave the repeated rows out, or name a column that has another value in every row",
                    )
                first[name] = path

    def _blocks(self) -> Iterator[tuple[str, pa.Array]]:
        """The ids of the rows that count, as texts, block by block, with the file that they stand in."""
        columns = (self.column, *self.only)
        for span in spans([replace(file, columns=columns) for file in self.files]):
            for block in read_span(span):
                rows = as_table(block.rows)
                for column, value in self.only.items():
                    rows = rows.filter(pc.equal(rows[column].cast(pa.string()), value))
                yield block.origin, self._texts(rows[self.column].combine_chunks(), block.origin)

    def _texts(self, ids: pa.Array, path: str) -> pa.Array:
        if pa.types.is_dictionary(ids.type):
            ids = ids.cast(ids.type.value_type)
        place = f"{path}, column {self.column!r} (--id)"
        try:
            whole = pa.types.is_integer(ids.type) or pa.types.is_floating(ids.type)
            texts = (ids.cast(pa.int64()) if whole else ids).cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            fix = "name a column of whole numbers or of texts"
            raise BadInput(
                f"ids are of type {ids.type}, and neither texts nor whole numbers", place=place, fix=fix
            ) from None
        missing = texts.null_count + (pc.sum(pc.equal(texts, "")).as_py() or 0)
        if missing:
            fix = "give every row an id of its own, or leave --id out"
            raise BadInput(f"{missing:,} rows have no id", place=place, fix=fix)
        return texts


def _hashes(ids: pa.Array) -> NDArray[np.int64]:
    """64 bits of each text, of this process alone."""
    return np.fromiter(map(hash, ids.to_pylist()), np.int64, len(ids))
