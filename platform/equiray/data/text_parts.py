"""CSV and JSON-lines files in parts: looked through once to be named and divided, then read from one cut to another."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import pyarrow as pa

from equiray.data.line_cuts import Cut, LineCuts
from equiray.data.stores import FilePart, is_compressed, open_file
from equiray.data.text_rows import csv_pieces, has_keys, json_pieces
from equiray.errors import BadInput

TextFormat = Literal["csv", "jsonl"]
_READ_BYTES = 1 << 22


class Looked(NamedTuple):
    """What looking through a file's bytes tells: their hash, and where it may be divided, if anywhere."""

    sha256: str
    cuts: tuple[Cut, ...]


class TextPart(NamedTuple):
    """Rows `start` to `stop` (not included; None: the last) of a file that `cuts` divide; both are such cuts."""

    path: str
    kind: TextFormat
    cuts: Sequence[Cut]
    start: int
    stop: int | None


def look_through(path: str, kind: TextFormat, columns: Sequence[str], rows_per_cut: int) -> Looked:
    """Hash a file, and find cuts where that is worth it: it has rows for two, and each part can be read by itself."""
    digest, lines = hashlib.sha256(), LineCuts(rows_per_cut, csv=kind == "csv")
    with open_file(path) as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
            lines.feed(chunk)
        cuts = tuple(cut for cut in lines.cuts if cut.offset < file.size())
        divisible = len(cuts) > 1 and not is_compressed(path) and (kind == "csv" or has_keys(file, columns))
    return Looked(digest.hexdigest(), cuts if divisible else ())


def part_pieces(part: TextPart, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The part's rows, in pieces of any size.

    Raises
    ------
    BadInput
        As `text_rows.csv_pieces` and `json_pieces`; or there are not as many rows as lines, or not any more.
    """
    offsets = {cut.row: cut.offset for cut in part.cuts}
    read = csv_pieces if part.kind == "csv" else json_pieces
    rows = 0
    with open_file(part.path) as file:
        stop = file.size() if part.stop is None else offsets[part.stop]
        header = (0, offsets[0])  # of JSON lines, nothing
        stream = FilePart(file, [header, (offsets[part.start], stop)])
        for piece in read(stream, columns, part.path, first_row=part.start):
            rows += piece.num_rows
            yield piece
    if part.stop is not None and rows != part.stop - part.start:
        raise BadInput(
            f"there are {rows:,} rows where {part.stop - part.start:,} lines were found",
            place=f"{part.path}, after row {part.start:,}",
            fix="write one row a line, and leave the file as it is while it is read",
        )
