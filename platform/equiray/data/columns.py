"""Columns as a task needs them: text or numbers, nothing in between, and rows that can be named in an error."""

import pyarrow as pa

from equiray.data.compute import pc
from equiray.errors import BadInput

_NUMBERS_THAT_ARE_NONE = ["nan", "na", "n/a", "null", "none", "-", "?", ""]


def as_text(column: pa.ChunkedArray, name: str, place: str) -> pa.Array:
    """A column of any scalar type as text; whole numbers lose their ".0" so that 1.0 is the code "1".

    Raises
    ------
    BadInput
        The column holds lists, structs or bytes.
    """
    flat = _flat(column)
    if pa.types.is_floating(flat.type):
        flat = pc.if_else(pc.is_nan(flat), pa.scalar(None, flat.type), flat)
        flat = flat.cast(pa.int64()) if _all_whole(flat) else flat
    if pa.types.is_nested(flat.type) or pa.types.is_binary(flat.type) or pa.types.is_large_binary(flat.type):
        raise BadInput(f"column {name!r} is of type {flat.type}", place=place, fix="store text or numbers in it")
    return flat.cast(pa.string())


def as_numbers(column: pa.ChunkedArray, name: str, place: str, *, nulls: bool = False) -> pa.Array:
    """A numeric column as int64 if all its values are whole, else float64.

    Parameters
    ----------
    column : chunked array, shape (rows,)
    name, place : str
        How errors name the column and its file.
    nulls : bool
        Whether missing values may stay (as null). A model cannot read them; a sensitive attribute can.

    Raises
    ------
    BadInput
        A value is missing, not a number, or infinite; names the rows.
    """
    flat = _flat(column)
    if pa.types.is_string(flat.type) or pa.types.is_large_string(flat.type):
        flat = _parse(flat, name, place)
    if pa.types.is_integer(flat.type):
        numbers = flat.cast(pa.int64())
    elif pa.types.is_boolean(flat.type) or pa.types.is_floating(flat.type) or pa.types.is_decimal(flat.type):
        numbers = flat.cast(pa.int64() if pa.types.is_boolean(flat.type) else pa.float64())
    else:
        raise BadInput(
            f"column {name!r} is of type {flat.type}, not numeric", place=place, fix="declare it categorical"
        )
    if pa.types.is_floating(numbers.type):
        numbers = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
        infinite = pc.is_inf(numbers)
        if pc.any(infinite).as_py():
            raise _bad_numbers("is infinite", infinite, name, place, "replace it by a finite number")
    if numbers.null_count and not nulls:
        fix = "fill the cells in or drop these rows: a number has no value that says 'unknown'"
        raise _bad_numbers("is missing (null or NaN)", pc.is_null(numbers), name, place, fix)
    if pa.types.is_floating(numbers.type) and _all_whole(numbers):
        return numbers.cast(pa.int64())
    return numbers


def name_rows(bad: pa.Array | pa.ChunkedArray) -> str:
    """Name the first rows that a boolean mask marks, counted from 1 below the header: "rows 3, 8 and 20 more"."""
    positions = [int(row) + 1 for row in pc.indices_nonzero(bad)]
    shown = ", ".join(map(str, positions[:5]))
    more = f" and {len(positions) - 5} more" if len(positions) > 5 else ""
    return f"row{'s' if len(positions) > 1 else ''} {shown}{more}"


def _flat(column: pa.ChunkedArray) -> pa.Array:
    flat = column.combine_chunks()
    flat = flat.combine_chunks() if isinstance(flat, pa.ChunkedArray) else flat
    return flat.dictionary_decode() if pa.types.is_dictionary(flat.type) else flat


def _all_whole(values: pa.Array) -> bool:
    """Whether every float, nulls aside, is an integer that float64 holds exactly."""
    exact = pc.and_(pc.equal(values, pc.floor(values)), pc.less(pc.abs(values), 2**53))
    return bool(pc.all(exact, min_count=0).as_py())


def _parse(text: pa.Array, name: str, place: str) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(text)
    absent = pc.is_in(pc.utf8_lower(trimmed), pa.array(_NUMBERS_THAT_ARE_NONE))
    cleaned = pc.if_else(absent, pa.scalar(None, pa.string()), trimmed)
    try:
        return cleaned.cast(pa.float64())
    except pa.ArrowInvalid:
        unreadable = [value for value in cleaned.unique().drop_null().to_pylist() if not _is_number(value)]
        bad = pc.is_in(cleaned, pa.array(unreadable))
        first = text.filter(bad)[0].as_py()
        raise _bad_numbers(f"is {first!r:.60}", bad, name, place, "write plain numbers like 1234.5") from None


def _is_number(text: str) -> bool:
    try:
        pa.scalar(text).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _bad_numbers(what: str, bad: pa.Array, name: str, place: str, fix: str) -> BadInput:
    return BadInput(f"numeric column {name!r} {what}", place=f"{place}, {name_rows(bad)}", fix=fix)
