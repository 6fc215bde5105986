"""Rows that a bundle is asked about: are they what its serializer was fitted to?"""

import numpy as np
import pyarrow as pa

from equiray.data.schema import Feature, Schema
from equiray.errors import BadInput


def checked_rows(rows: pa.Table, schema: Schema) -> pa.Table:
    """The columns that a serializer reads, categories as text, and a row id each.

    Raises
    ------
    BadInput
        There are no rows; or a feature's column is absent, stands twice, or is text where numbers are meant or the
        other way round.
    """
    place = f"rows of task {schema.name!r}"
    if not len(rows):
        raise BadInput("there are no rows to decide", place=place, fix="give at least one")
    counts = {feature.name: rows.column_names.count(feature.name) for feature in schema.features}
    for name, count in counts.items():
        if count != 1:
            problem = f"no column {name!r}" if not count else f"{count} columns {name!r}"
            raise BadInput(problem, place=place, fix=f"give one column each: {', '.join(counts)}")
    columns = {feature.name: _typed(rows[feature.name], feature, place) for feature in schema.features}
    ids = rows["row_id"] if "row_id" in rows.column_names else pa.array(np.arange(len(rows)))
    return pa.table({"row_id": ids, **columns})


def _typed(column: pa.ChunkedArray, feature: Feature, place: str) -> pa.ChunkedArray:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_null(kind):
        return column.cast(pa.float64() if feature.kind == "numeric" else pa.string())
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (numeric if feature.kind == "numeric" else text):
        raise BadInput(
            f"column {feature.name!r} is {kind}", place=place, fix=f"it is {feature.kind}: give {_meant(feature)}"
        )
    return column.cast(kind) if numeric else column.cast(pa.string())


def _meant(feature: Feature) -> str:
    return "numbers" if feature.kind == "numeric" else "its values as text"
