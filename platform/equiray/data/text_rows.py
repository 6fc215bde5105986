"""Rows of CSV and of JSON lines as a stream of Arrow tables, in memory that does not grow with the file."""

import io
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence
from typing import Protocol

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json

from equiray.errors import BadInput

_BLOCK_BYTES = 16 << 20  # Arrow cannot parse a row that is longer than its block


class Stream(Protocol):
    """What is read from its beginning to its end."""

    def read(self, size: int | None = None, /) -> bytes:
        """The next bytes, at most `size`; none at the end."""
        ...


def csv_names(stream: pa.NativeFile, place: str) -> list[str]:
    """The column names in the first line.

    Raises
    ------
    BadInput
        There is none, it is not UTF-8, or something else than commas separates them.
    ArrowException
        It is broken.
    """
    line = stream.read(1 << 16).splitlines()[:1]
    if not line or not line[0].strip():
        raise BadInput("the CSV file is empty", place=place, fix="give a header line and at least some rows")
    try:
        names = pa_csv.read_csv(io.BytesIO(line[0] + b"\n")).column_names
    except UnicodeDecodeError as error:
        raise _not_utf8(place, utf16=line[0].startswith((BOM_UTF16_LE, BOM_UTF16_BE))) from error
    separator = next((other for other in ";\t|" if other in names[0]), None)
    if len(names) == 1 and separator is not None:
        fix = "write the file with commas between the columns"
        raise BadInput(f"the columns are separated by {separator!r}, not by commas", place=place, fix=fix)
    return names


def csv_pieces(stream: Stream, columns: Sequence[str], place: str, *, first_row: int = 0) -> Iterator[pa.Table]:
    """The columns as texts, dictionary-encoded: "007" stays a code, and only an empty cell is null.

    Parameters
    ----------
    stream : Stream
        The header and some rows.
    columns : sequence of str
    place : str
        How errors name the file.
    first_row : int
        The number of the first of the rows in the file.

    Raises
    ------
    BadInput
        A line has too few or too many cells, a quote is never closed, or the text is not UTF-8.
    """
    ragged: list[pa_csv.InvalidRow] = []

    def remember(row: pa_csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    text = pa.dictionary(pa.int32(), pa.string())
    watched = _Watched(stream)
    rows = 0
    try:
        reader = pa_csv.open_csv(
            pa.PythonFile(watched, mode="r"),
            pa_csv.ReadOptions(block_size=_BLOCK_BYTES),
            pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=remember),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, text),
                include_columns=list(columns),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        for batch in reader:
            rows += batch.num_rows
            yield pa.Table.from_batches([batch])
    except pa.ArrowInvalid as error:
        raise _csv_error(error, ragged, place) from error
    if watched.quotes % 2 and watched.lines > rows + 1:
        raise BadInput(
            f"a quote is opened and never closed: {watched.lines} lines hold only {rows} rows",
            place=f"{place}, after row {first_row}" if first_row else place,
            fix='close the quote, or double it ("") where it belongs to the value',
        )


def has_keys(file: pa.NativeFile, columns: Sequence[str]) -> bool:
    """Whether the first lines of a JSON-lines file have all the keys: then a part of it may lack some."""
    lines = file.read_at(min(_BLOCK_BYTES, file.size()), 0)
    try:
        return set(columns) <= set(_parse_json(lines[: lines.rfind(b"\n") + 1], ()).column_names)
    except pa.ArrowInvalid:
        return False


def json_pieces(
    stream: Stream, columns: Sequence[str], place: str, *, first_row: int | None = None
) -> Iterator[pa.Table]:
    """The columns with the types that their values have; a key that a line lacks is null there.

    Parameters
    ----------
    stream : Stream
    columns : sequence of str
    place : str
        How errors name the file.
    first_row : int, optional
        The number of the first row, of a part of a file that `has_keys`; None for a whole file.

    Raises
    ------
    BadInput
        A line is no JSON object, a value changes its type, or no line has one of the columns.
    """
    seen: set[str] = set()
    rows = first_row or 0
    for chunk in _whole_lines(stream, place):
        try:
            table = _parse_json(chunk, columns)
        except pa.ArrowInvalid as error:
            raise BadInput(
                f"not readable as JSON lines: {str(error).splitlines()[0]:.200}",
                place=f"{place}, after row {rows}",
                fix="write one JSON object a line, and each key's values all as text or all as numbers",
            ) from error
        seen.update(table.column_names)
        rows += table.num_rows
        absent = [name for name in columns if name not in table.column_names]
        for name in absent:
            table = table.append_column(name, pa.nulls(table.num_rows))
        yield table.select(list(columns))
    missing = [name for name in columns if name not in seen]
    if missing and rows and first_row is None:
        raise BadInput(
            f"no line has the key {missing[0]!r}", place=place, fix=f"the lines have: {', '.join(sorted(seen)):.500}"
        )


class _Watched(io.RawIOBase):
    """A stream that counts quotes and lines as they are read."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.quotes, self.lines = stream, 0, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk = self.stream.read(size if size >= 0 else None)
        self.quotes += chunk.count(b'"')
        self.lines += chunk.count(b"\n")
        return chunk


def _csv_error(error: Exception, ragged: Sequence[pa_csv.InvalidRow], place: str) -> BadInput:
    if ragged:
        row = ragged[0]
        return BadInput(
            f"a line has {row.actual_columns} cells where the header has {row.expected_columns}: {row.text!r:.80}",
            place=place,
            fix="mend that line: a comma inside a value needs the value in double quotes",
        )
    if "UTF8" in str(error):
        return _not_utf8(place)
    if "straddling" in str(error):
        fix = "look for a quote that is never closed"
        return BadInput(f"a row is longer than {_BLOCK_BYTES >> 20} MB", place=place, fix=fix)
    return BadInput(f"not readable as CSV: {str(error).splitlines()[0]:.200}", place=place, fix="write it again")


def _not_utf8(place: str, *, utf16: bool = False) -> BadInput:
    fix = f"save it as UTF-8 (iconv -f {'utf-16' if utf16 else 'latin1'} -t utf-8 FILE)"
    return BadInput("the file is not UTF-8", place=place, fix=fix)


def _whole_lines(stream: Stream, place: str) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(_BLOCK_BYTES):
        lines, newline, tail = chunk.rpartition(b"\n")
        if newline:
            yield rest + lines + newline
            rest = tail
        else:
            rest += tail
        if len(rest) > _BLOCK_BYTES:
            fix = "write one JSON object a line, not one list"
            raise BadInput(f"a line is longer than {_BLOCK_BYTES >> 20} MB", place=place, fix=fix)
    if rest.strip():
        yield rest


def _parse_json(lines: bytes, columns: Sequence[str]) -> pa.Table:
    options = pa_json.ReadOptions(block_size=2 * _BLOCK_BYTES)
    table = pa_json.read_json(io.BytesIO(lines), options)
    dates = [field.name for field in table.schema if pa.types.is_temporal(field.type) and field.name in columns]
    if not dates:
        return table
    as_text = pa.schema([(name, pa.string()) for name in dates])  # a text that looks like a date stays what it is
    return pa_json.read_json(io.BytesIO(lines), options, pa_json.ParseOptions(explicit_schema=as_text))
