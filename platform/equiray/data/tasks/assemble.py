"""From a raw table and its schema to a `Task`: codes become words, every check that needs rows is made, rows are split.

The built-in tasks and the user's own table pass through the same function, so they are held to the same checks.
"""

import numpy as np
import pyarrow as pa

from equiray.data.columns import as_numbers, as_text
from equiray.data.compute import pc
from equiray.data.own_table import TableSpec
from equiray.data.reading import check_columns
from equiray.data.schema import ATTRIBUTE_PREFIX, MISSING_GROUP, Feature, Schema, SensitiveAttribute, Task
from equiray.data.splits import assign_splits, subsample
from equiray.data.tasks import checks
from equiray.data.tasks.raw import RawTable

UNKNOWN = "unknown"


def assemble(spec: TableSpec, schema: Schema, raw: RawTable, *, seed: int, rows: int | None = None) -> Task:
    """Decode, check and split a table.

    Parameters
    ----------
    spec : TableSpec
        The document that `schema` was made from.
    schema : Schema
    raw : RawTable
    seed : int
        Decides the splits (unless the table brings its own) and the subsample, together with the row ids.
    rows : int, optional
        Keep that many rows, in the proportions of split x label x first attribute. A row keeps the split that it has
        in the full table, so a larger subsample never moves a row from test to training.

    Raises
    ------
    BadInput
        See `equiray.data.tasks.checks` and `equiray.data.columns`.
    """
    check_columns(raw.table.column_names, spec.columns(), raw.place)
    checks.check_size(raw, rows)
    label = checks.checked_label(as_text(raw.table[spec.label.column], spec.label.column, raw.place), spec, raw.place)
    features = {feature.name: _feature(raw, feature) for feature in schema.features}
    attributes = {ATTRIBUTE_PREFIX + a.name: _attribute(raw, a, schema) for a in schema.sensitive}
    for attribute in schema.sensitive:
        checks.check_groups(attributes[ATTRIBUTE_PREFIX + attribute.name], attribute, raw.place)
    strata = _strata(label, attributes[ATTRIBUTE_PREFIX + schema.sensitive[0].name])
    split = _split(spec, raw, strata, seed)
    columns = {"row_id": pa.array(raw.row_ids), "split": split, "label": label, **features, **attributes}
    table = pa.table(columns)
    if rows is not None and rows < table.num_rows:
        strata = np.char.add(np.char.add(np.asarray(split, dtype=str), "|"), strata)
        table = table.filter(pa.array(subsample(raw.row_ids, strata, rows, seed)))
    return Task(schema=schema, table=table.sort_by("row_id").combine_chunks(), source_sha256=raw.sha256)


def _feature(raw: RawTable, feature: Feature) -> pa.Array:
    column = raw.table[feature.name]
    if feature.kind == "numeric":
        return as_numbers(column, feature.name, raw.place)
    return pc.fill_null(_readable(raw, feature), UNKNOWN)


def _readable(raw: RawTable, feature: Feature) -> pa.Array:
    codes = as_text(raw.table[feature.name], feature.name, raw.place)
    if feature.codebook is None:
        return codes
    return checks.decoded(codes, feature.codebook, f"the codebook of {feature.name!r}", raw.place)


def _attribute(raw: RawTable, attribute: SensitiveAttribute, schema: Schema) -> pa.Array:
    """The attribute's group for each row, null where the source has no value."""
    if attribute.cut is not None:
        bound, at_or_below, above = attribute.cut
        numbers = as_numbers(raw.table[attribute.column], attribute.column, raw.place, nulls=True)
        return pc.if_else(pc.less_equal(numbers, bound), pa.scalar(at_or_below), pa.scalar(above))
    feature = next((f for f in schema.features if f.name == attribute.column), None)
    if feature is None:
        values = as_text(raw.table[attribute.column], attribute.column, raw.place)
    else:
        values = _readable(raw, feature)
    if attribute.groups is None:
        return values
    return checks.decoded(values, attribute.groups, f"the groups of {attribute.name!r}", raw.place)


def _strata(label: pa.Array, first_attribute: pa.Array) -> np.ndarray:
    groups = pc.fill_null(first_attribute, MISSING_GROUP)
    return np.asarray(pc.binary_join_element_wise(label.cast(pa.string()), groups, "|"), dtype=str)


def _split(spec: TableSpec, raw: RawTable, strata: np.ndarray, seed: int) -> pa.Array:
    if spec.split is None:
        return pa.array(assign_splits(raw.row_ids, strata, seed).tolist(), pa.string())
    return checks.checked_split(as_text(raw.table[spec.split], spec.split, raw.place), spec.split, raw.place)
