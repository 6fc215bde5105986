"""Files of anyone's predictions, read block by block: Parquet, CSV and JSON lines, here or in an object store.

A file's blocks are cut every so many of its own rows and named by the hash of its content, so counts of a file that is
read again, elsewhere or by other workers, are known to be the same. The hash covers, of CSV and JSON lines, all bytes;
of Parquet, the footer and the stored bytes of the columns that are read: everything that can change what is counted,
and no more bytes than the reading itself needs (a wide table may have a hundred other columns). A copy of a file has
its hash; the same rows written anew, with another compression say, have another one and count as other rows.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from equiray.data.reading import check_columns, check_names
from equiray.data.row_blocks import ROWS_PER_BLOCK, BlockId, RowBlock
from equiray.data.stores import format_of, open_file, open_stream
from equiray.data.text_rows import csv_names, csv_pieces, json_pieces
from equiray.errors import BadInput

_READ_BYTES = 1 << 22
_HASHED_AT_ONCE = 4
_BLOCKS_PER_SPAN = 4


@dataclass(frozen=True, kw_only=True)
class PredictionFile:
    """A file, the columns that are read from it, and the hash of their content.

    Of a Parquet file, `row_groups` are the rows of each row group and `texts` the columns of texts; other files can
    only be read from their beginning, and have neither.
    """

    path: str
    format: Literal["parquet", "csv", "jsonl"]
    columns: tuple[str, ...]
    sha256: str
    row_groups: tuple[int, ...] | None = None
    texts: tuple[str, ...] = ()


class Span(NamedTuple):
    """Rows of a file that are cheap to read in one go; `start` is the first of a block, None in `stop` is the end."""

    file: PredictionFile
    start: int
    stop: int | None


def open_files(paths: Sequence[str], columns: Sequence[str]) -> list[PredictionFile]:
    """Look at files' columns and hash what will be read of them (`stores.find_files` finds paths).

    Raises
    ------
    BadInput
        A file cannot be read or lacks a column, or two files have the same content: their rows would count once.
    """
    with ThreadPoolExecutor(_HASHED_AT_ONCE) as pool:
        files = list(pool.map(lambda path: _open(path, tuple(columns)), paths))
    first: dict[str, str] = {}
    for file in files:
        if first.setdefault(file.sha256, file.path) != file.path:
            raise BadInput(
                f"two files have the same content: {file.path} is a copy",
                place=first[file.sha256],
                fix="name one of them: rows are known by their file's content and count once",
            )
    return files


def spans(files: Sequence[PredictionFile], rows_per_block: int = ROWS_PER_BLOCK) -> list[Span]:
    """Divide files for readers that work side by side.

    CSV and JSON lines are read whole. Parquet is divided where a block ends with a row group; where none does, after a
    few blocks, because the row group in which the next begins is then decoded twice.
    """
    found = []
    for file in files:
        if file.row_groups is None:
            found.append(Span(file, 0, None))
            continue
        start = stop = position = 0
        for rows in file.row_groups:
            position += rows
            stop = -(-position // rows_per_block) * rows_per_block  # blocks that begin so far
            if position == stop or stop - start >= _BLOCKS_PER_SPAN * rows_per_block:
                found.append(Span(file, start, min(stop, sum(file.row_groups))))
                start = stop
        if start < position:
            found.append(Span(file, start, position))
    return found


def read_span(span: Span, rows_per_block: int = ROWS_PER_BLOCK) -> Iterator[RowBlock]:
    """The rows of a span, block by block; no more than a block and one read are held.

    Texts of Parquet and CSV come dictionary-encoded. A file's last block may be shorter.

    Raises
    ------
    BadInput
        The file is broken, or its values change type.
    """
    file = span.file
    with _readable(file.path):
        for number, rows in enumerate(_cut(_pieces(span, rows_per_block), rows_per_block)):
            first = span.start + number * rows_per_block
            yield RowBlock(BlockId(file.sha256, first, first + rows.num_rows), rows, file.path)


def _open(path: str, columns: tuple[str, ...]) -> PredictionFile:
    kind = format_of(path)
    with _readable(path):
        if kind == "parquet":
            return _open_parquet(path, columns)
        if kind == "csv":
            with open_stream(path) as stream:
                names = csv_names(stream, path)
            check_names(names, path)
            check_columns(names, columns, path)
        digest = hashlib.sha256()
        with open_file(path) as file:
            while chunk := file.read(_READ_BYTES):
                digest.update(chunk)
    return PredictionFile(path=path, format=kind, columns=columns, sha256=digest.hexdigest())


def _open_parquet(path: str, columns: tuple[str, ...]) -> PredictionFile:
    with open_file(path) as file, pq.ParquetFile(file) as parquet:
        footer = parquet.metadata
        names = parquet.schema_arrow.names
        check_names(names, path)
        check_columns(names, columns, path)
        pieces = [_column_bytes(footer.row_group(number), columns) for number in range(footer.num_row_groups)]
        length = int.from_bytes(file.read_at(4, file.size() - 8), "little")
        pieces.append([(file.size() - 8 - length, length)])
        with ThreadPoolExecutor(_HASHED_AT_ONCE) as pool:
            digests = pool.map(lambda piece: _digest(file, piece), pieces)
            sha256 = hashlib.sha256(b"".join(digests)).hexdigest()
        rows = tuple(footer.row_group(number).num_rows for number in range(footer.num_row_groups))
        texts = tuple(field.name for field in parquet.schema_arrow if field.name in columns and _is_text(field.type))
    return PredictionFile(path=path, format="parquet", columns=columns, sha256=sha256, row_groups=rows, texts=texts)


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


def _pieces(span: Span, rows_per_block: int) -> Iterator[pa.Table]:
    """The span's rows, in pieces of any size."""
    if span.file.row_groups is not None:
        yield from _parquet_pieces(span, span.file.row_groups, rows_per_block)
        return
    read = csv_pieces if span.file.format == "csv" else json_pieces
    with open_stream(span.file.path) as stream:
        yield from read(stream, span.file.columns, span.file.path)


def _parquet_pieces(span: Span, row_groups: Sequence[int], rows_per_block: int) -> Iterator[pa.Table]:
    file, start, stop = span
    stop = sum(row_groups) if stop is None else stop
    first, groups, position = 0, [], 0
    for number, rows in enumerate(row_groups):
        if position < stop and position + rows > start:
            first = first if groups else position
            groups.append(number)
        position += rows
    with open_file(file.path) as opened, pq.ParquetFile(opened, read_dictionary=file.texts, pre_buffer=True) as parquet:
        # one thread a span: readers work side by side
        batches = parquet.iter_batches(rows_per_block, row_groups=groups, columns=list(file.columns), use_threads=False)
        for batch in batches:
            skipped = min(max(0, start - first), batch.num_rows)
            yield pa.Table.from_batches([batch.slice(skipped, max(0, stop - first - skipped))])
            first += batch.num_rows


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _cut(pieces: Iterator[pa.Table], rows_per_block: int) -> Iterator[pa.Table]:
    """Pieces of any size as tables of `rows_per_block` rows, the last one shorter; nothing is copied."""
    held: list[pa.Table] = []
    count = 0
    for piece in pieces:
        done = 0
        while done < piece.num_rows:
            held.append(piece.slice(done, rows_per_block - count))
            done += held[-1].num_rows
            count += held[-1].num_rows
            if count == rows_per_block:
                yield _joined(held)
                held, count = [], 0
    if held:
        yield _joined(held)


def _joined(pieces: list[pa.Table]) -> pa.Table:
    return pieces[0] if len(pieces) == 1 else pa.concat_tables(pieces, promote_options="permissive")


@contextmanager
def _readable(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BadInput(
            f"cannot read the file: {reason:.300}",
            place=path,
            fix="it is absent, cut short, of another format than its ending says, or its values change type",
        ) from error
