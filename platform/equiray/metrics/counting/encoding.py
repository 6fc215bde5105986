"""Arrow columns as small integer codes and as numbers, without a detour through Python objects.

What costs here is hashing texts (8 to 17 ms for 1e6 rows). So columns that are dictionary-encoded already keep their
codes, integers that span little are their own, and few short texts are looked up (`short_texts`). Codes are written in
one or two bytes, so that what comes after them works in cache and the column itself can be let go.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from equiray.data.compute import pc
from equiray.errors import BadInput
from equiray.metrics.counting.layout import MAX_GROUPS
from equiray.metrics.counting.short_texts import encode_texts
from equiray.metrics.tables import MISSING

_DENSE_SPAN = 255  # integers that span no more are codes but for the lowest, in a byte, with one left for the missing
_FEW = 16  # so many codes may be there for nothing
_ROWS_IN_CACHE = 1 << 15
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


class Place(NamedTuple):
    """How errors name rows: the file (or table) and the number of a block's first row in it, from 0."""

    name: str
    first_row: int

    def rows(self, bad: NDArray[np.bool_], column: str) -> str:
        """Name the first rows that a mask marks, counted from 1 below the header."""
        positions = (np.flatnonzero(bad) + self.first_row + 1).tolist()
        more = f" and {len(positions) - 5} more" if len(positions) > 5 else ""
        plural = "s" if len(positions) > 1 else ""
        return f"{self.name}, column {column!r}, row{plural} {', '.join(map(str, positions[:5]))}{more}"


class Coded(NamedTuple):
    """A column as small integers: `codes` [n] of one or two bytes, and `names[code]` is what a code stands for.

    Names may repeat and need not occur; None is missing. `numeric` tells numbers from texts, None where all values are
    missing.
    """

    column: str
    codes: NDArray[np.unsignedinteger]
    names: list[str | None]
    numeric: bool | None

    def where(self, codes: Sequence[int]) -> NDArray[np.bool_]:
        """Rows [n] that have one of the codes."""
        return np.isin(self.codes, codes)


def encode(column: pa.ChunkedArray, name: str, place: Place, *, digits: bool) -> Coded:
    """Codes of a column of texts, numbers or truth values, dictionary-encoded or not.

    Null, NaN and the empty text are missing. Whole numbers lose their ".0"; truth values read false and true, or with
    `digits` 0 and 1.

    Raises
    ------
    BadInput
        The column holds lists, structs or bytes, or more than `MAX_GROUPS` different values.
    """
    flat = _flat(column)
    if pa.types.is_boolean(flat.type) and not flat.null_count:
        return Coded(name, flat.cast(pa.uint8()).to_numpy(), ["0", "1"] if digits else ["false", "true"], digits)
    if pa.types.is_integer(flat.type) and flat.null_count < len(flat):
        coded = _from_integers(flat, name)
        if coded is not None:
            return coded
    kind = flat.type.value_type if pa.types.is_dictionary(flat.type) else flat.type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        fix = "store texts, numbers or truth values in it"
        raise BadInput(f"column {name!r} is of type {kind}", place=place.name, fix=fix)
    if not pa.types.is_dictionary(flat.type):
        flat = encode_texts(flat) if _is_text(kind) else flat.dictionary_encode()
    return _from_dictionary(flat, name, place, digits)


def numbers(column: pa.ChunkedArray, name: str, place: Place) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """A column's values as float64 [n], and where they are missing (null or NaN); None where none is.

    Raises
    ------
    BadInput
        A value is no number; names the rows.
    """
    flat = _flat(column)
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    if pa.types.is_string(flat.type) or pa.types.is_large_string(flat.type) or pa.types.is_null(flat.type):
        flat = _parse(flat, name, place)
    if not (pa.types.is_integer(flat.type) or pa.types.is_floating(flat.type) or pa.types.is_decimal(flat.type)):
        raise BadInput(
            f"column {name!r} is of type {flat.type}, not numeric",
            place=place.name,
            fix="store plain numbers in it, or name another column",
        )
    values = flat.cast(pa.float64()).to_numpy(zero_copy_only=False)  # null becomes NaN
    missing = np.isnan(values)
    return values, missing if missing.any() else None


def ordered(names: Iterable[str]) -> list[str]:
    """Each name once: numbers by size, then texts, the missing last."""
    return sorted(set(names), key=_rank)


def looks_numeric(name: str) -> bool:
    """Whether a text reads as a plain number."""
    return _NUMBER.fullmatch(name) is not None


def pooled(size: int, kind: DTypeLike) -> NDArray[Any]:
    """Memory of Arrow's pool, not yet written to.

    The pool keeps what is given back to it; malloc returns so much of it to the system that each block would pay for
    new pages, which takes longer than counting.
    """
    return np.frombuffer(pa.allocate_buffer(size * np.dtype(kind).itemsize), kind)


def smallest(values: NDArray[np.integer]) -> NDArray[np.unsignedinteger]:
    """The same whole numbers, 0 or more, in the smallest type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))), copy=False)


def _rank(name: str) -> tuple[bool, bool, float, str]:
    numeric = looks_numeric(name)
    return name == MISSING, not numeric, float(name) if numeric else 0.0, name


def _flat(column: pa.ChunkedArray) -> pa.Array:
    """One array; `combine_chunks` unifies dictionaries, and copies nothing where there is one chunk."""
    if isinstance(column, pa.Array):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _from_integers(flat: pa.Array, name: str) -> Coded | None:
    """Whole numbers that are not all missing, None where they span too much."""
    if not flat.null_count and (coded := _few(flat.to_numpy(), name)) is not None:
        return coded
    low, high = pc.min_max(flat).as_py().values()
    if high - low >= _DENSE_SPAN:
        return None
    names = [str(value) for value in range(low, high + 1)]
    return Coded(name, _codes(flat, low, len(names)), [*names, *([None] if flat.null_count else [])], True)


def _few(values: NDArray[np.integer], name: str) -> Coded | None:
    """Labels, which are 0 or a little more: each is read from memory once. None where one is not below `_FEW`."""
    unsigned = values.view(np.dtype(f"u{values.itemsize}"))  # negative ones are the largest of all
    codes = pooled(len(values), np.uint8)
    highest = 0
    for start in range(0, len(values), _ROWS_IN_CACHE):
        piece = unsigned[start : start + _ROWS_IN_CACHE]
        highest = max(highest, int(piece.max()))
        if highest >= _FEW:
            return None
        np.copyto(codes[start : start + _ROWS_IN_CACHE], piece, casting="unsafe")
    return Coded(name, codes, [str(value) for value in range(highest + 1)], True)


def _codes(values: pa.Array, low: int, missing: int) -> NDArray[np.unsignedinteger]:
    """Whole numbers less `low`, which are below `missing`, and that for null."""
    kind = np.dtype(np.uint8 if missing < 1 << 8 else np.uint16)
    filled = values.fill_null(low) if values.null_count else values
    codes = pooled(len(values), kind)
    np.copyto(codes, filled.to_numpy(), casting="unsafe")
    codes -= kind.type(low % (1 << 8 * kind.itemsize))  # may wrap around: the result fits again
    if values.null_count:
        codes[values.is_null().to_numpy(zero_copy_only=False)] = missing
    return codes


def _from_dictionary(flat: pa.DictionaryArray, name: str, place: Place, digits: bool) -> Coded:
    if len(flat.dictionary) > MAX_GROUPS:
        flat = flat.dictionary_decode().dictionary_encode()  # what does not occur does not count
        if len(flat.dictionary) > MAX_GROUPS:
            raise too_many_groups(name, len(flat.dictionary), place.name)
    dictionary = flat.dictionary
    names = _names(dictionary, name, place, digits)
    numeric = digits if pa.types.is_boolean(dictionary.type) else not _is_text(dictionary.type)
    codes = _codes(flat.indices, 0, len(names))
    missing = [None] if flat.indices.null_count or not names else []
    return Coded(name, codes, names + missing, numeric if any(n is not None for n in names) else None)


def too_many_groups(name: str, groups: int, place: str) -> BadInput:
    """The error where a column has so many values that it cannot be what it was taken for."""
    return BadInput(
        f"column {name!r} has {groups:,} different values, at most {MAX_GROUPS:,} are taken",
        place=place,
        fix="is it an identifier or a measurement? Name another column, or group its values first",
    )


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _names(values: pa.Array, name: str, place: Place, digits: bool) -> list[str | None]:
    kind = values.type
    if pa.types.is_boolean(kind):
        words = {True: "1", False: "0"} if digits else {True: "true", False: "false"}
        return [words.get(value) for value in values.to_pylist()]
    if pa.types.is_floating(kind):
        return [_number_name(value) for value in values.to_pylist()]
    if pa.types.is_decimal(kind):
        return [_number_name(value) for value in values.cast(pa.float64()).to_pylist()]
    try:
        return [value or None for value in values.cast(pa.string()).to_pylist()]
    except UnicodeDecodeError as error:
        raise BadInput(
            f"a text is not UTF-8: {error.object!r:.60}",
            place=f"{place.name}, column {name!r}",
            fix="write the file again with UTF-8 texts",
        ) from error


def _number_name(value: float | None) -> str | None:
    if value is None or value != value:
        return None
    return str(int(value)) if value.is_integer() else repr(value)


def _parse(text: pa.Array, name: str, place: Place) -> pa.Array:
    text = pc.utf8_trim_whitespace(text.cast(pa.string()))
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:
        unreadable = [value for value in text.unique().drop_null().to_pylist() if not _is_number(value)]
        bad = pc.is_in(text, pa.array(unreadable)).to_numpy(zero_copy_only=False)
        raise BadInput(
            f"{unreadable[0]!r:.60} is not a number",
            place=place.rows(bad, name),
            fix="write plain numbers like 0.25, and leave the cell empty where there is none",
        ) from None


def _is_number(text: str) -> bool:
    try:
        pa.scalar(text).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True
