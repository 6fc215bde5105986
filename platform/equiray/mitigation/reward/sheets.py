"""CSV sheets that people fill in, read back row by row: what cannot be read is named with its line."""

import csv
from collections.abc import Collection
from pathlib import Path

from equiray.errors import BadInput


def sheet_rows(file: Path, columns: Collection[str]) -> list[tuple[int, dict[str, str | None]]]:
    """The rows of a sheet, each with the line that it ends in.

    Raises
    ------
    BadInput
        No such file, no UTF-8, no CSV, or a column is missing.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:  # spreadsheets write a mark at the beginning
            reader = csv.DictReader(stream, strict=True)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise wrong(file, 1, f"column {missing[0]!r} is missing", "keep the sheet's header and commas")
            return [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(
            f"cannot read the sheet: {error}", place=str(file), fix="save it as CSV (UTF-8, commas)"
        ) from error


def wrong(file: Path, line: int, problem: str, fix: str) -> BadInput:
    """An error about one line."""
    return BadInput(problem, place=f"{file}, line {line}", fix=fix)
