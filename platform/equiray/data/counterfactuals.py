"""Counterfactual twins: the same row, were the person of another sex, race, or any declared attribute.

A twin differs from its original only in what the schema's `Flip` declares: the attribute's own column and every
column that states it (Adult: a husband's twin is a wife). It keeps row id, split and label.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.compute import pc
from equiray.data.schema import ATTRIBUTE_PREFIX, Flip, Schema, SensitiveAttribute
from equiray.errors import BadInput

COUNTERFACTUAL = "counterfactual"

# A swapped value states a group where at least this share of its rows belong to that group: "Wife" states Female
# (1,566 of 1,568 rows of Adult). A lower share is mere correlation, and rows against it are people, not errors.
_STATES_FROM = 0.95

_Change = Mapping[str, Mapping[str, str]]  # column -> {value -> value}; {} changes nothing


@dataclass(frozen=True, kw_only=True)
class Twins:
    """Twins of a table's rows.

    `table` has the columns of the original and ``counterfactual``, which names the new values (``sex=Female``, or
    ``sex=Female,race=Black``); twins stand in the order of their originals. `skipped` counts, by reason, the rows
    that have no twin.
    """

    table: pa.Table
    skipped: Mapping[str, int]


def twins(table: pa.Table, schema: Schema, attributes: Sequence[str]) -> Twins:
    """Build the counterfactual twins of each row in one attribute or in the intersection of several.

    A swap gives one twin, a cycle of m values m - 1. Several attributes give every combination of their alternatives
    but the original itself: sex flipped, race flipped, both flipped. A row takes part only if each of `attributes`
    can be flipped, so every row that does has as many twins as the next one.

    Parameters
    ----------
    table : pyarrow.Table
        Rows laid out as in `Task.table`. Pass a whole split: a row that contradicts itself in the source (Adult has
        two male wives) is recognised by what the other rows with that value are, and is left out, because its twin
        would be as impossible as it is.
    schema : Schema
        Declares the flips.
    attributes : sequence of str
        Names of declared flips; their order is the order within ``counterfactual``.

    Raises
    ------
    BadInput
        No attribute is given, one has no declared flip or is given twice, a flip touches a column that is no
        feature, or the table already holds twins.
    """
    if COUNTERFACTUAL in table.column_names:
        raise BadInput(
            f"the table already has a column {COUNTERFACTUAL!r}",
            place=f"task {schema.name!r}",
            fix="pass the original rows, not rows that were flipped before",
        )
    flips = [_declared(schema, name) for name in _checked(schema, attributes)]
    reasons = [_reasons(table, flip, column) for flip, column in flips]
    first = np.select([r != "" for r in reasons], reasons, default="")
    kept = np.flatnonzero(first == "")
    skipped = Counter(str(reason) for reason in first[first != ""])
    originals = table.take(kept)
    parts = [_flipped(originals, schema, flips, changes) for changes in _combinations(flips)]
    stacked = pa.concat_tables(parts)
    by_row = np.argsort(np.tile(np.arange(len(kept)), len(parts)), kind="stable")
    return Twins(table=stacked.take(by_row), skipped=dict(sorted(skipped.items())))


def attribute_groups(values: pa.ChunkedArray, attribute: SensitiveAttribute) -> pa.ChunkedArray:
    """Group names of an attribute from the readable values of its column; a value without a group is missing."""
    if attribute.groups is None:
        return values
    groups = attribute.groups
    return _mapped(values, {v: groups.get(v) for v in values.unique().to_pylist() if v is not None})


def _checked(schema: Schema, attributes: Sequence[str]) -> Sequence[str]:
    place = f"flipped attributes of task {schema.name!r}"
    declared = ", ".join(flip.attribute for flip in schema.flips) or "none"
    if not attributes:
        raise BadInput("no attribute to flip", place=place, fix=f"name one or more of: {declared}")
    for name in attributes:
        if name not in {flip.attribute for flip in schema.flips}:
            raise BadInput(f"no flip is declared for {name!r}", place=place, fix=f"name one or more of: {declared}")
        if list(attributes).count(name) > 1:
            raise BadInput(f"{name!r} is named twice", place=place, fix="name each attribute once")
    return attributes


def _declared(schema: Schema, name: str) -> tuple[Flip, str]:
    """The flip of an attribute and the attribute's own column."""
    flip = next(f for f in schema.flips if f.attribute == name)
    own = next((a.column for a in schema.sensitive if a.name == name), None)
    touched = set(flip.swaps) if flip.cycle is None else {flip.cycle[0]}
    hidden = touched - {f.name for f in schema.features if f.kind == "categorical"}
    place = f"task {schema.name!r}, flip of {name!r}"
    if hidden:
        raise BadInput(
            f"it changes {sorted(hidden)}, which the schema does not list as categorical features",
            place=place,
            fix="flip only columns that a model sees: a twin that reads like its original tells nothing",
        )
    if own is None or own not in touched:
        raise BadInput(
            f"it leaves the attribute's own column {own!r} as it is" if own else "no such sensitive attribute",
            place=place,
            fix="declare the attribute under sensitive and swap the values of its column",
        )
    return flip, own


def _alternatives(flip: Flip) -> list[_Change]:
    if flip.cycle is None:
        return [flip.swaps]
    column, values = flip.cycle
    shifts = range(1, len(values))
    return [{column: {v: values[(i + shift) % len(values)] for i, v in enumerate(values)}} for shift in shifts]


def _combinations(flips: Sequence[tuple[Flip, str]]) -> Iterator[tuple[_Change, ...]]:
    nothing: _Change = {}
    for changes in product(*([nothing, *_alternatives(flip)] for flip, _ in flips)):
        if any(changes):
            yield changes


def _reasons(table: pa.Table, flip: Flip, own: str) -> NDArray[np.str_]:
    """Why each row has no twin in this attribute; empty where it has one."""
    change = _alternatives(flip)[0]
    flippable = [value for value, other in change[own].items() if other != value]
    name = flip.attribute
    reasons = np.where(_is_in(table[own], flippable), "", f"{name}: its value has no swap").astype(object)
    reasons[table[ATTRIBUTE_PREFIX + name].is_null().to_numpy()] = f"{name}: missing"
    for column in sorted(change.keys() - {own}):
        stated = {value for value, other in change[column].items() if other != value}
        against = _contradicts(table[own], table[column], stated) & (reasons == "")
        reasons[against] = f"{name}: {column} contradicts {own}"
    return reasons.astype(str)


def _contradicts(own: pa.ChunkedArray, column: pa.ChunkedArray, stated: set[str]) -> NDArray[np.bool_]:
    """Rows whose value in `column` states another group than the one they have."""
    pairs = pa.table({"own": own, "value": column}).group_by(["value", "own"]).aggregate([([], "count_all")])
    by_value: dict[str, Counter[str]] = {}
    for pair in pairs.to_pylist():
        if pair["value"] in stated and pair["own"] is not None:
            by_value.setdefault(pair["value"], Counter())[pair["own"]] = pair["count_all"]
    against = np.zeros(len(own), dtype=bool)
    for value, counts in by_value.items():
        (usual, rows), total = counts.most_common(1)[0], counts.total()
        if rows >= _STATES_FROM * total:
            against |= _is_in(column, [value]) & ~_is_in(own, [usual])
    return against


def _flipped(
    originals: pa.Table, schema: Schema, flips: Sequence[tuple[Flip, str]], changes: Sequence[_Change]
) -> pa.Table:
    table = originals
    for change in changes:
        for column, mapping in change.items():
            table = _replaced(table, column, _mapped(table[column], mapping))
    touched = {column for change in changes for column in change}
    for attribute in schema.sensitive:
        if attribute.column in touched:
            name = ATTRIBUTE_PREFIX + attribute.name
            same = pc.equal(table[attribute.column], originals[attribute.column])
            groups = attribute_groups(table[attribute.column], attribute)
            table = _replaced(table, name, pc.if_else(same, table[name], groups))  # an unchanged row keeps its group
    changed = [(flip.attribute, own) for (flip, own), change in zip(flips, changes, strict=True) if change]
    named = ([f"{name}={value}" for value in table[own].to_pylist()] for name, own in changed)
    return table.append_column(
        COUNTERFACTUAL, pa.array([",".join(parts) for parts in zip(*named, strict=True)], pa.string())
    )


def _replaced(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def _mapped(values: pa.ChunkedArray, mapping: Mapping[str, str | None]) -> pa.ChunkedArray:
    encoded = values.combine_chunks().dictionary_encode()
    new = [mapping.get(value, value) for value in encoded.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(new, pa.string()).take(encoded.indices)])


def _is_in(values: pa.ChunkedArray, members: Collection[str]) -> NDArray[np.bool_]:
    encoded = values.combine_chunks().dictionary_encode(null_encoding="encode")
    found = np.array([value in members for value in encoded.dictionary.to_pylist()], dtype=bool)
    return found[encoded.indices.to_numpy(zero_copy_only=False)]
