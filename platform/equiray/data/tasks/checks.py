"""What is wrong with a table's rows, said before anything is computed from them."""

from collections.abc import Mapping

import pyarrow as pa

from equiray.data.columns import name_rows
from equiray.data.compute import pc
from equiray.data.own_table import TableSpec
from equiray.data.schema import SPLITS, SensitiveAttribute
from equiray.data.tasks.raw import RawTable
from equiray.errors import BadInput

MIN_ROWS = 50


def check_size(raw: RawTable, rows: int | None) -> None:
    """Raise BadInput if the table has fewer than `MIN_ROWS` rows, or fewer than are asked for."""
    have = raw.table.num_rows
    if have < MIN_ROWS:
        raise BadInput(
            f"the table has {have} rows, at least {MIN_ROWS} are needed",
            place=raw.place,
            fix="give more rows: no rate of a group can be estimated from so few",
        )
    if rows is not None and rows > have:
        raise BadInput(
            f"{rows} rows are asked for, the table has {have}", place=raw.place, fix=f"set rows to {have} or less"
        )


def checked_label(values: pa.Array, spec: TableSpec, place: str) -> pa.Array:
    """The label as int8, 1 for the positive value.

    Raises
    ------
    BadInput
        A label is missing or is neither of the two declared values, or all rows have the same one.
    """
    column = spec.label.column
    if values.null_count:
        missing = pc.is_null(values)
        raise BadInput(
            f"the label {column!r} is missing",
            place=f"{place}, {name_rows(missing)}",
            fix="drop these rows or fill them in",
        )
    strange = pc.invert(pc.is_in(values, pa.array(spec.label.values)))
    if pc.any(strange).as_py():
        found = sorted(map(str, pc.unique(values.filter(strange)).to_pylist()))
        raise BadInput(
            f"the label {column!r} holds {_listed(found)} beside the declared {spec.label.values[0]!r} and "
            f"{spec.label.values[1]!r}",
            place=f"{place}, {name_rows(strange)}",
            fix="correct label.values in the table schema, or merge or drop the other values: a label has two",
        )
    label = pc.equal(values, spec.label.positive).cast(pa.int8())
    if pc.count_distinct(label).as_py() < 2:
        raise BadInput(
            f"the label {column!r} is {values[0].as_py()!r} in all {len(values)} rows",
            place=place,
            fix="give rows of both values: nothing can be learnt or compared from one",
        )
    return label


def decoded(codes: pa.Array, book: Mapping[str, str], book_name: str, place: str) -> pa.Array:
    """Each code's text; null stays null.

    Raises
    ------
    BadInput
        A code is not in the book; names the code and its rows.
    """
    encoded = codes.dictionary_encode()
    present = encoded.dictionary.to_pylist()
    strange = sorted(code for code in present if code not in book)
    if strange:
        rows = pc.fill_null(pc.is_in(codes, pa.array(strange)), False)
        known = _listed(sorted(book)[:20]) + (", ..." if len(book) > 20 else "")
        raise BadInput(
            f"{_listed(strange)} not in {book_name}",
            place=f"{place}, {name_rows(rows)}",
            fix=f"add it or mend it: {known}",
        )
    return pa.array([book[code] for code in present], pa.string()).take(encoded.indices)


def check_groups(values: pa.Array, attribute: SensitiveAttribute, place: str) -> None:
    """Raise BadInput if a declared group has no rows, or if there are not two groups to compare."""
    counts = {
        pair["values"]: pair["counts"] for pair in pc.value_counts(values).to_pylist() if pair["values"] is not None
    }
    declared = set(attribute.cut[1:]) if attribute.cut else set((attribute.groups or {}).values())
    where = f"{place}, column {attribute.column!r}"
    empty = sorted(declared - counts.keys())
    if empty:
        raise BadInput(
            f"sensitive attribute {attribute.name!r}: group {empty[0]!r} has no rows",
            place=where,
            fix=f"remove the group or mend its values; the file has {_listed(sorted(counts)) or 'none at all'}",
        )
    if len(counts) < 2:
        only = _listed(sorted(counts)) or "no value at all"
        raise BadInput(
            f"sensitive attribute {attribute.name!r} has one group only: {only}",
            place=where,
            fix="give rows of at least two groups, or remove the attribute",
        )


def checked_split(values: pa.Array, column: str, place: str) -> pa.Array:
    """The table's own splits.

    Raises
    ------
    BadInput
        A value is none of train, validation and test, or one of the three has no rows.
    """
    strange = pc.invert(pc.fill_null(pc.is_in(values, pa.array(SPLITS)), False))
    if pc.any(strange).as_py():
        first = values.filter(strange)[0].as_py()
        raise BadInput(
            f"split column {column!r} holds {first!r}",
            place=f"{place}, {name_rows(strange)}",
            fix=f"use {_listed(SPLITS)}",
        )
    absent = sorted(set(SPLITS) - set(pc.unique(values).to_pylist()))
    if absent:
        raise BadInput(
            f"no row of split {absent[0]!r}", place=f"{place}, column {column!r}", fix=f"use {_listed(SPLITS)}"
        )
    return values


def _listed(values) -> str:
    return ", ".join(f"{value!r:.60}" for value in values)
