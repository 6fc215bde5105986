"""CSV and Parquet files as Arrow tables, with every way they can be broken turned into a `BadInput`.

CSV cells are read as text and never guessed at: "007" stays a code and "NA" stays Namibia; only an empty cell is
null. What is numeric is said by the schema, and the conversion (columns.as_numbers) names the rows it fails on.
"""

import csv
import difflib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from equiray.data.columns import name_rows
from equiray.data.compute import pc
from equiray.errors import BadInput

MAX_CELL_BYTES = 1 << 20
_BLOCK_BYTES = 16 << 20  # Arrow cannot parse a row that is longer than its block


def read_table(path: Path, wanted: Sequence[str]) -> pa.Table:
    """Read the wanted columns of a ``.csv`` or ``.parquet`` file.

    Raises
    ------
    BadInput
        The file is absent, of another kind, broken, not UTF-8, has ragged rows or two columns of one name, lacks a
        wanted column, or holds a cell larger than `MAX_CELL_BYTES`.
    """
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise BadInput(f"the table {what}: {path.name}", place=str(path), fix="name one CSV or Parquet file")
    if path.suffix.lower() == ".csv":
        return read_csv(path, place=str(path), wanted=wanted)
    if path.suffix.lower() == ".parquet":
        return read_parquet(path, wanted)
    raise BadInput(
        f"cannot tell the format of {path.name}: its ending is {path.suffix!r}",
        place=str(path),
        fix="use a file that ends in .csv or .parquet",
    )


def read_csv(
    source: Path | bytes,
    *,
    place: str,
    wanted: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    skip_rows: int = 0,
    delimiter: str = ",",
    quote: str = '"',
) -> pa.Table:
    """Read a CSV file, or the bytes of one, with every column as text.

    Parameters
    ----------
    source : Path or bytes
    place : str
        How errors name the file.
    wanted : sequence of str, optional
        The columns to read; all by default.
    names : sequence of str, optional
        Column names of a file without a header line.
    skip_rows : int
        Lines before the header (or before the first row, with `names`).
    delimiter, quote : str
        One character each.

    Raises
    ------
    BadInput
        As `read_table`.
    """
    header = list(names) if names is not None else csv_header(source, place=place, delimiter=delimiter)
    check_names(header, place)
    check_columns(header, wanted or (), place)
    ragged: list[pa_csv.InvalidRow] = []

    def remember(row: pa_csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    try:
        table = pa_csv.read_csv(
            source if isinstance(source, Path) else io.BytesIO(source),
            # One thread: only then does Arrow know the number of a row it cannot parse.
            pa_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES, column_names=names, skip_rows=skip_rows),
            pa_csv.ParseOptions(
                delimiter=delimiter, quote_char=quote, newlines_in_values=True, invalid_row_handler=remember
            ),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                include_columns=list(wanted or header),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise _csv_error(error, ragged, source, place) from error
    check_cell_sizes(table, place)
    _check_quotes(source, quote, table.num_rows + skip_rows + (names is None), place)
    return table


def csv_header(source: Path | bytes, *, place: str, delimiter: str = ",") -> list[str]:
    """The column names in the first line of a CSV file.

    Raises
    ------
    BadInput
        The file cannot be opened, is empty, or its first line is not UTF-8.
    """
    try:
        with io.TextIOWrapper(_lines(source), "utf-8-sig", newline="") as text:
            first = next(csv.reader(text, delimiter=delimiter), None)
    except UnicodeDecodeError as error:
        raise _not_utf8(source, place) from error
    except (OSError, csv.Error) as error:
        raise BadInput(
            f"cannot read the CSV header: {error}", place=place, fix="check the file and its rights"
        ) from error
    if not first:
        raise BadInput("the CSV file is empty", place=place, fix="give a header line and at least some rows")
    return first


def read_parquet(path: Path, wanted: Sequence[str] | None = None) -> pa.Table:
    """Read the wanted columns (all by default) of a Parquet file, checking page checksums where it has them.

    Raises
    ------
    BadInput
        As `read_table`.
    """
    try:
        names = pq.read_schema(path).names
        check_names(names, str(path))
        check_columns(names, wanted or (), str(path))
        # A ParquetFile, not the dataset reader: a folder named "sex=1" must not become a column.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read(columns=list(wanted or names), use_threads=False)
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path.name} is not a readable Parquet file: {str(error).splitlines()[0]:.200}",
            place=str(path),
            fix="the file is cut short or corrupted: write it again, or copy it again and compare checksums",
        ) from error
    check_cell_sizes(table, str(path))
    return table


def check_names(names: Sequence[str], place: str) -> None:
    """Raise BadInput if two columns share a name."""
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise BadInput(f"two columns are named {twice[0]!r}", place=place, fix="give every column its own name")


def check_columns(names: Sequence[str], wanted: Sequence[str], place: str) -> None:
    """Raise BadInput for the first wanted column that is not there, suggesting the nearest name."""
    for column in wanted:
        if column in names:
            continue
        near = difflib.get_close_matches(column, names, n=1, cutoff=0.5)
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise BadInput(f"there is no column {column!r}", place=place, fix=f"{hint}the file has: {shown:.500}")


def check_cell_sizes(table: pa.Table, place: str) -> None:
    """Raise BadInput for the first text cell larger than `MAX_CELL_BYTES`."""
    for name in table.column_names:
        sizes = _text_sizes(table[name])
        if sizes is None:
            continue
        largest = pc.max(sizes).as_py() or 0
        if largest > MAX_CELL_BYTES:
            raise BadInput(
                f"a cell holds {largest / 2**20:.1f} MB, at most {MAX_CELL_BYTES >> 20} MB are taken",
                place=f"{place}, column {name!r}, {name_rows(pc.greater(sizes, MAX_CELL_BYTES))}",
                fix="a tabular value is short: look for an unclosed quote, or drop or shorten that cell",
            )


def _text_sizes(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Bytes of each cell of a text column, None where the column holds something else."""
    kind = column.type
    if pa.types.is_dictionary(kind):  # a categorical of pandas or polars: each value is measured once
        encoded = column.unify_dictionaries().chunks
        values = [_text_sizes(pa.chunked_array([chunk.dictionary])) for chunk in encoded]
        taken = [s.take(chunk.indices) for s, chunk in zip(values, encoded, strict=True) if s is not None]
        return pa.chunked_array([part for s in taken for part in s.chunks], pa.int64()) if taken else None
    if pa.types.is_string_view(kind):
        column = column.cast(pa.large_string())
    elif not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None
    return pc.binary_length(column).cast(pa.int64())


def _lines(source: Path | bytes) -> BinaryIO:
    return source.open("rb") if isinstance(source, Path) else io.BytesIO(source)


def _check_quotes(source: Path | bytes, quote: str, lines_parsed: int, place: str) -> None:
    """A quote that is never closed swallows rows without an error: quotes are odd in number and lines are missing."""
    odd, written, first = False, 0, 0
    with _lines(source) as lines:
        for number, line in enumerate(lines, start=1):
            written += bool(line.strip())
            if line.count(quote.encode()) % 2:
                odd, first = not odd, first or number
    if odd and written > lines_parsed:
        raise BadInput(
            f"a quote is opened and never closed: {written} lines hold only {lines_parsed} records",
            place=f"{place}, line {first} or later",
            fix=f"close the quote, or double it ({quote}{quote}) where it belongs to the value",
        )


def _csv_error(error: Exception, ragged: list[pa_csv.InvalidRow], source: Path | bytes, place: str) -> BadInput:
    if ragged:
        row = ragged[0]
        return BadInput(
            f"line {row.number} has {row.actual_columns} cells where the header has {row.expected_columns}: "
            f"{row.text!r:.80}",
            place=place,
            fix="mend that line: a comma inside a value needs the value in double quotes",
        )
    if "UTF8" in str(error):
        return _not_utf8(source, place)
    if "straddling" in str(error):
        return BadInput(
            f"a row is longer than {_BLOCK_BYTES >> 20} MB; a cell may hold at most {MAX_CELL_BYTES >> 20} MB",
            place=place,
            fix="look for an unclosed quote, or drop or shorten the huge cell",
        )
    return BadInput(f"not readable as CSV: {str(error).splitlines()[0]:.200}", place=place, fix="write the file again")


def _not_utf8(source: Path | bytes, place: str) -> BadInput:
    with _lines(source) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                shown = line[max(0, error.start - 10) : error.end + 10]
                return BadInput(
                    f"line {number} is not UTF-8: byte {line[error.start]:#04x} in {shown!r}",
                    place=place,
                    fix="save the file as UTF-8 (iconv -f latin1 -t utf-8 FILE)",
                )
    return BadInput("the file is not UTF-8", place=place, fix="save the file as UTF-8 (iconv -f latin1 -t utf-8 FILE)")
