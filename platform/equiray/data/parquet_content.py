"""Which rows a Parquet file holds, as a hash: of its footer and of the stored bytes of the columns that are read."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

_READ_BYTES = 1 << 22
_HASHED_AT_ONCE = 4
_TAIL_BYTES = 8  # the footer's length and the letters PAR1


def parquet_sha256(file: pa.NativeFile, footer: pq.FileMetaData, columns: Sequence[str]) -> str:
    """Hash of the footer and of the columns' bytes as they are stored, row group by row group."""
    pieces = [_column_bytes(footer.row_group(number), columns) for number in range(footer.num_row_groups)]
    end = file.size() - _TAIL_BYTES
    length = int.from_bytes(file.read_at(4, end), "little")
    pieces.append([(end - length, length)])
    with ThreadPoolExecutor(_HASHED_AT_ONCE) as pool:
        digests = pool.map(lambda piece: _digest(file, piece), pieces)
        return hashlib.sha256(b"".join(digests)).hexdigest()


def _column_bytes(group: pq.RowGroupMetaData, columns: Sequence[str]) -> list[tuple[int, int]]:
    """Where the columns of a row group stand in the file: offsets and lengths."""
    found = []
    for number in range(group.num_columns):
        chunk = group.column(number)
        if chunk.path_in_schema in columns or chunk.path_in_schema.split(".")[0] in columns:
            first = [chunk.data_page_offset, *([chunk.dictionary_page_offset] if chunk.has_dictionary_page else [])]
            found.append((min(first), chunk.total_compressed_size))
    return found


def _digest(file: pa.NativeFile, pieces: Sequence[tuple[int, int]]) -> bytes:
    digest = hashlib.sha256()
    for offset, length in pieces:
        for first in range(offset, offset + length, _READ_BYTES):
            digest.update(file.read_at(min(_READ_BYTES, offset + length - first), first))
    return digest.digest()
