"""Files of anyone's predictions, read block by block: Parquet, CSV and JSON lines, here or in an object store.

Where a file's blocks begin and end is said by the file alone, and they are named by the hash of its content: so counts
of a file that is read again, elsewhere or by other workers, are known to be the same. Of CSV and JSON lines a block is
so many rows; of Parquet it is as many whole row groups as hold no more rows than that, or an even part of a row group
that holds more, so that no row is decoded twice. The hash covers, of CSV and JSON lines, all bytes; of Parquet, the
footer and the stored bytes of the columns that are read: everything that can change what is counted, and no more bytes
than the reading itself needs (a wide table may have a hundred other columns). A copy of a file has its hash; the same
rows written anew, with another compression say, have another one and count as other rows.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from equiray.data.line_cuts import Cut
from equiray.data.parquet_content import parquet_sha256
from equiray.data.reading import check_columns, check_names
from equiray.data.row_blocks import ROWS_PER_BLOCK, BlockId, RowBlock
from equiray.data.stores import format_of, open_file, open_stream
from equiray.data.text_parts import TextPart, look_through, part_pieces
from equiray.data.text_rows import csv_names, csv_pieces, json_pieces
from equiray.errors import BadInput

_HASHED_AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class PredictionFile:
    """A file, the columns that are read from it, and the hash of their content.

    Of a Parquet file, `row_groups` are the rows of each row group, `texts` the columns of texts, and `footer` is kept,
    which takes long to parse in a wide table. Of a large CSV or JSON-lines file, `cuts` are rows at which it may be
    divided; without them, as where it is compressed, it can only be read from its beginning.
    """

    path: str
    format: Literal["parquet", "csv", "jsonl"]
    columns: tuple[str, ...]
    sha256: str
    row_groups: tuple[int, ...] | None = None
    texts: tuple[str, ...] = ()
    footer: pq.FileMetaData | None = field(default=None, repr=False, compare=False)
    cuts: tuple[Cut, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ParquetColumns:
    """Some row groups of a Parquet file on this machine, each column read when it is asked for.

    One column of a million rows stays in cache while it is decoded and encoded anew, all of them do not.
    """

    file: PredictionFile
    row_groups: tuple[int, ...]
    num_rows: int

    @property
    def column_names(self) -> list[str]:
        """The columns that the file was opened with."""
        return list(self.file.columns)

    def __getitem__(self, key: str, /) -> pa.ChunkedArray:
        """Read a column, with one thread: readers work side by side; raises as `read_span`."""
        with _readable(self.file.path):
            return self._parquet.read_row_groups(list(self.row_groups), columns=[key], use_threads=False)[key]

    @cached_property
    def _parquet(self) -> pq.ParquetFile:
        return _parquet(self.file)


class Span(NamedTuple):
    """Rows of a file that are read in one go, and how many of them make a block.

    Of Parquet they are whole `row_groups`; None in `stop` is the end of another file.
    """

    file: PredictionFile
    start: int
    stop: int | None
    rows_per_block: int
    row_groups: tuple[int, ...] = ()


def open_files(
    paths: Sequence[str], columns: Sequence[str], *, rows_per_cut: int = ROWS_PER_BLOCK
) -> list[PredictionFile]:
    """Look at files' columns and hash what will be read of them (`stores.find_files` finds paths).

    Parameters
    ----------
    paths, columns : sequences of str
    rows_per_cut : int
        CSV and JSON lines can be divided at every so many rows, a multiple of the rows per block.

    Raises
    ------
    BadInput
        A file cannot be read or lacks a column, or two files have the same content: their rows would count once.
    """
    with ThreadPoolExecutor(_HASHED_AT_ONCE) as pool:
        files = list(pool.map(lambda path: _open(path, tuple(columns), rows_per_cut), paths))
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
    """Divide files into blocks of `rows_per_block` rows or fewer, for readers that work side by side.

    CSV and JSON lines are read from cut to cut. A span of Parquet is one block, or all blocks of one large row group.
    """
    found = []
    for file in files:
        if file.row_groups is None:
            starts = [0, *(cut.row for cut in file.cuts[1:] if cut.row % rows_per_block == 0)]
            ends = [*starts[1:], None]
            found += [Span(file, start, end, rows_per_block) for start, end in zip(starts, ends, strict=True)]
        else:
            found += _parquet_spans(file, file.row_groups, rows_per_block)
    return found


def read_span(span: Span) -> Iterator[RowBlock]:
    """The rows of a span, block by block; no more than a block and one read are held.

    Texts of Parquet and CSV come dictionary-encoded. The last block may be shorter.

    Raises
    ------
    BadInput
        The file is broken, its values change type, or it is not what it was when it was opened.
    """
    file, first = span.file, span.start
    if span.stop == first + span.rows_per_block and span.row_groups and "://" not in file.path:
        rows = ParquetColumns(file=file, row_groups=span.row_groups, num_rows=span.rows_per_block)
        yield RowBlock(BlockId(file.sha256, first, first + span.rows_per_block), rows, file.path)
        return
    with _readable(file.path):
        for rows in _cut(_pieces(span), span.rows_per_block):
            yield RowBlock(BlockId(file.sha256, first, first + rows.num_rows), rows, file.path)
            first += rows.num_rows


def _parquet_spans(file: PredictionFile, row_groups: Sequence[int], rows_per_block: int) -> Iterator[Span]:
    held: list[int] = []
    start = stop = 0
    for number, rows in enumerate(row_groups):
        if held and stop - start + rows > rows_per_block:
            yield _whole_groups(file, start, stop, rows_per_block, held)
            held, start = [], stop
        if rows:
            held.append(number)
            stop += rows
    if held:
        yield _whole_groups(file, start, stop, rows_per_block, held)


def _whole_groups(file: PredictionFile, start: int, stop: int, rows_per_block: int, held: Sequence[int]) -> Span:
    blocks = -(-(stop - start) // rows_per_block)
    return Span(file, start, stop, -(-(stop - start) // blocks), tuple(held))


def _open(path: str, columns: tuple[str, ...], rows_per_cut: int) -> PredictionFile:
    kind = format_of(path)
    with _readable(path):
        if kind == "parquet":
            return _open_parquet(path, columns)
        if kind == "csv":
            with open_stream(path) as stream:
                names = csv_names(stream, path)
            check_names(names, path)
            check_columns(names, columns, path)
        sha256, cuts = look_through(path, kind, columns, rows_per_cut)
    return PredictionFile(path=path, format=kind, columns=columns, sha256=sha256, cuts=cuts)


def _open_parquet(path: str, columns: tuple[str, ...]) -> PredictionFile:
    with open_file(path) as file, pq.ParquetFile(file) as parquet:
        footer = parquet.metadata
        names = parquet.schema_arrow.names
        check_names(names, path)
        check_columns(names, columns, path)
        sha256 = parquet_sha256(file, footer, columns)
        rows = tuple(footer.row_group(number).num_rows for number in range(footer.num_row_groups))
        texts = tuple(field.name for field in parquet.schema_arrow if field.name in columns and _is_text(field.type))
    return PredictionFile(
        path=path, format="parquet", columns=columns, sha256=sha256, row_groups=rows, texts=texts, footer=footer
    )


def _pieces(span: Span) -> Iterator[pa.Table]:
    """The span's rows, in pieces of any size."""
    file = span.file
    if file.format == "parquet":
        yield from _parquet_pieces(span)
        return
    if file.cuts:
        yield from part_pieces(TextPart(file.path, file.format, file.cuts, span.start, span.stop), file.columns)
        return
    read = csv_pieces if file.format == "csv" else json_pieces
    with open_stream(file.path) as stream:
        yield from read(stream, file.columns, file.path)


def _parquet_pieces(span: Span) -> Iterator[pa.Table]:
    """All columns together: of a store, where each request takes long, or of a row group of many blocks."""
    groups, columns = list(span.row_groups), list(span.file.columns)
    with _parquet(span.file) as parquet:
        if span.stop == span.start + span.rows_per_block:
            yield parquet.read_row_groups(groups, columns=columns, use_threads=False)
            return
        for batch in parquet.iter_batches(span.rows_per_block, row_groups=groups, columns=columns, use_threads=False):
            yield pa.Table.from_batches([batch])


def _parquet(file: PredictionFile) -> pq.ParquetFile:
    return pq.ParquetFile(open_file(file.path), metadata=file.footer, read_dictionary=file.texts, pre_buffer=True)


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
