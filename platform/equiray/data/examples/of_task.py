"""A table task as `Examples`: rows as text, intersections as attributes."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.compute import pc
from equiray.data.examples.record import Examples
from equiray.data.schema import ATTRIBUTE_PREFIX, MISSING_GROUP, Schema, Task
from equiray.data.text import CountTokens, Serializer, question_frame
from equiray.data.wording import Template
from equiray.errors import BadInput


def fit_row_serializer(
    task: Task, *, template: Template = "text", order: Sequence[str], max_tokens: int, count_tokens: CountTokens
) -> Serializer:
    """A serializer whose budget is for a row's text alone: a classifier reads no question.

    Parameters
    ----------
    task : Task
    template : {"text", "list", "json"}
    order : sequence of str
        Features, most important first.
    max_tokens : int
        Of a row's text, special tokens included.
    count_tokens : callable
        Token counts of texts, as the classifier will read them.

    Raises
    ------
    BadInput
        As `Serializer.fit`.
    """
    empty, frame = count_tokens(["", question_frame(task.schema)])
    budget = max_tokens + frame - empty
    return Serializer.fit(task, template=template, order=order, max_tokens=budget, count_tokens=count_tokens)


def examples_of_task(task: Task, serializer: Serializer, attributes: Sequence[str]) -> Examples:
    """Every row of a task as text, in the order of its table.

    Parameters
    ----------
    task : Task
    serializer : Serializer
        Fitted to the task (`fit_row_serializer`); its token budget decides which features a row's text keeps. What it
        leaves out anywhere is a warning of the examples.
    attributes : sequence of str
        Sensitive attributes of the schema; ``sex*race`` is an intersection, its groups are named ``Female*Black``.

    Raises
    ------
    BadInput
        An attribute is not declared, or some row does not fit the serializer's budget.
    """
    table, schema = task.table, task.schema
    positive, negative = schema.answers
    dropped = [f"{feature.feature} from {feature.rows:,}" for feature in serializer.dropped]
    cut = (f"over the budget of tokens, left out of rows: {', '.join(dropped)}",)
    return Examples(
        name=schema.name,
        title=schema.title,
        row_id=table["row_id"].to_numpy(),
        inputs=serializer.texts(table),
        label=table["label"].to_numpy(),
        classes=(negative, positive),
        attributes={name: group_column(table, schema, name) for name in attributes},
        split=_strings(table["split"]),
        synthetic=False,
        source_sha256=task.source_sha256,
        warnings=schema.warnings + (cut if dropped else ()),
    )


def group_column(table: pa.Table, schema: Schema, name: str) -> NDArray[np.str_]:
    """The group of each row; a row of an intersection is ``(missing)`` in the part that is.

    Raises
    ------
    BadInput
        The schema does not declare the attribute, or a part of the intersection.
    """
    declared = [attribute.name for attribute in schema.sensitive]
    parts = name.split("*")
    for part in parts:
        if part not in declared:
            place = f"attributes {name!r} of task {schema.name!r}"
            raise BadInput(f"{part!r} is not declared", place=place, fix=f"declared: {', '.join(declared)}")
    columns = [pc.fill_null(table[ATTRIBUTE_PREFIX + part], MISSING_GROUP) for part in parts]
    return _strings(pc.binary_join_element_wise(*columns, "*"))


def _strings(column: pa.ChunkedArray) -> NDArray[np.str_]:
    encoded = column.combine_chunks().dictionary_encode()
    return np.array(encoded.dictionary.to_pylist() or [""], dtype=np.str_)[encoded.indices.to_numpy()]
