"""JSON rows as the table that a bundle decides, and the groups that they say."""

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from equiray.data.schema import Feature, Schema, SensitiveAttribute
from equiray.serving.decisions.records import Groups, Row
from equiray.serving.guard.refusals import Refused

_LARGEST_TEXT = 10_000  # characters of a cell; more is no value of a column


def table_of(rows: Sequence[Row], schema: Schema) -> pa.Table:
    """The columns of the task's features.

    Raises
    ------
    Refused
        422: a column is absent or unknown, or a value is of another kind than the column.
    """
    features = {feature.name: feature for feature in schema.features}
    for place, row in enumerate(rows):
        if row.keys() != features.keys():
            _refuse_columns(place, row, features)
    return pa.table({name: _column(rows, feature) for name, feature in features.items()})


def groups_of(rows: Sequence[Row], schema: Schema, said: Sequence[Groups] | None) -> list[dict[str, str | None]]:
    """Each row's group of every attribute: as the request says, else as the task makes it of its columns.

    Raises
    ------
    Refused
        422: not one entry a row, or an attribute that the task does not have.
    """
    if said is not None and len(said) != len(rows):
        problem = f"{len(said)} entries for {len(rows)} rows"
        raise Refused(422, "attributes_unlike_rows", f"{problem}: give one for each row, in order", param="attributes")
    known = [attribute.name for attribute in schema.sensitive]
    for place, groups in enumerate(said or ()):
        if unknown := [name for name in groups if name not in known]:
            message = f"no attribute is called {unknown[0][:100]!r}; the task has {', '.join(known)}"
            raise Refused(422, "unknown_attribute", message, param=f"attributes.{place}")
    columns = {feature.name for feature in schema.features}
    made = [attribute for attribute in schema.sensitive if attribute.column in columns]
    return [
        {attribute.name: _group(attribute, row[attribute.column]) for attribute in made}
        | (dict(said[place]) if said else {})
        for place, row in enumerate(rows)
    ]


def _group(attribute: SensitiveAttribute, value: Any) -> str | None:
    if value is None:
        return None
    if attribute.cut is not None:
        bound, at_or_below, above = attribute.cut
        return at_or_below if value <= bound else above
    return value if attribute.groups is None else attribute.groups.get(value)


def _column(rows: Sequence[Row], feature: Feature) -> pa.Array:
    values = [row[feature.name] for row in rows]
    if feature.kind == "numeric":
        for place, value in enumerate(values):
            if value is not None and (type(value) not in (int, float) or not math.isfinite(value)):
                _refuse_value(place, feature, value, "a number")
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    for place, value in enumerate(values):
        if value is not None and (type(value) is not str or len(value) > _LARGEST_TEXT):
            _refuse_value(place, feature, value, "a text, as the task writes it")
    return pa.array(values, pa.string())


def _refuse_columns(place: int, row: Row, features: Mapping[str, Feature]) -> None:
    missing = [name for name in features if name not in row]
    unknown = [name for name in row if name not in features]
    if missing:
        problem = f"no column {missing[0]!r}" + (f", nor {len(missing) - 1} more" if len(missing) > 1 else "")
    else:
        near = difflib.get_close_matches(unknown[0], features, n=1)
        problem = f"no such column: {unknown[0][:100]!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    message = f"{problem}; a row has {', '.join(features)}"
    raise Refused(422, "wrong_columns", message, param=f"rows.{place}")


def _refuse_value(place: int, feature: Feature, value: Any, meant: str) -> None:
    message = f"{repr(value)[:60]} is no value of {feature.name!r}: give {meant}"
    raise Refused(422, "wrong_value", message, param=f"rows.{place}.{feature.name}")
