"""Decisions about the test rows of a task, counted by group: what a run's figures are made of.

Notable: groups are those of the whole task, so that one without a test row is listed and not lost; rows whose
sensitive value is missing are a group of their own, which nothing is compared with but everything is bounded by.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.compute import pc
from equiray.data.schema import ATTRIBUTE_PREFIX, Schema, SensitiveAttribute, Task
from equiray.errors import BadInput
from equiray.metrics.counting import Attribute, Columns, Counts, Layout, count_table
from equiray.metrics.estimation import GroupedScores
from equiray.metrics.estimation.records import figures_of
from equiray.metrics.paired_scores import ScoredRows
from equiray.metrics.tables import MISSING, JointTable, Mass
from equiray.runs.directory import RunDirectory
from equiray.runs.predictions import Cell, predictions_file
from equiray.specs.run import TaskSpec

CLASSES = ("0", "1")
Groups = Mapping[str, tuple[str, ...]]
"""The groups of each attribute and intersection, in the order of the report."""

_COLUMNS = Columns(label="label", prediction="prediction", score="score", outcome="outcome")


class Reported(NamedTuple):
    """That a metric is reported of an attribute (None: over all rows), for each group of it or as one figure."""

    metric: str
    attribute: str | None
    by_group: bool


@dataclass(frozen=True, kw_only=True)
class CountingPlan:
    """How a task's decisions are counted, and what is reported of them."""

    layout: Layout
    groups: Groups
    reported: frozenset[Reported]


def plan_counting(spec: TaskSpec, task: Task) -> CountingPlan:
    """The groups of a task and the metrics that it will have, found by counting its labels as if they were decisions.

    Raises
    ------
    BadInput
        An attribute cannot be counted: its name or its groups' are reserved, one is named twice in an intersection, or
        there are too many groups.
    """
    attributes = tuple(dict.fromkeys(spec.attributes or (a.name for a in task.schema.sensitive)))
    layout = _layout(task.schema, attributes)
    columns = Columns(
        label="label",
        prediction="label",
        score="score",
        attributes={attribute.name: ATTRIBUTE_PREFIX + attribute.name for attribute in layout.attributes},
    )
    scored = task.table.append_column("score", task.table["label"].cast(pa.float64()))
    counts = count_table(scored, layout, columns, model="labels", origin=f"task {spec.name}")
    tables = [counts.table(attribute) for attribute in attributes]
    figures = figures_of(tables)
    return CountingPlan(
        layout=layout,
        groups={table.attribute: tuple(name for name in table.groups if name != MISSING) for table in tables},
        reported=frozenset(
            Reported(figure.metric.id, attribute, attribute is not None and figure.metric.scope != "attribute")
            for attribute, figure in figures
        ),
    )


def _layout(schema: Schema, attributes: tuple[str, ...]) -> Layout:
    declared = {attribute.name: _declared(attribute) for attribute in schema.sensitive}
    named = dict.fromkeys(part for attribute in attributes for part in attribute.split("*"))
    parts = tuple(Attribute(name=name, groups=declared[name]) for name in named)
    return Layout(attributes=parts, classes=CLASSES, scores=True)


def _declared(attribute: SensitiveAttribute) -> tuple[str, ...] | None:
    if attribute.cut is not None:
        return attribute.cut[1:]
    return None if attribute.groups is None else tuple(dict.fromkeys(attribute.groups.values()))


def read_decisions(directory: RunDirectory, task: str, cell: Cell) -> pa.Table:
    """The test rows of a cell's predictions.

    Predictions of earlier versions do not say what became of a question; then a row with a decision was answered.
    """
    table = directory.read_table(predictions_file(task, cell))
    assert table is not None, "results are computed after the last prediction"
    rows = table.filter(pc.equal(table["split"], "test"))
    if "outcome" not in rows.column_names:
        outcome = pc.if_else(rows["prediction"].is_valid(), "answered", "unparsed")
        rows = rows.append_column("outcome", outcome)
    return rows


def count_decisions(rows: pa.Table, layout: Layout, *, model: str, origin: str) -> Counts:
    """Counts of `read_decisions`; raises BadInput where predictions were tampered with."""
    columns = _COLUMNS if layout.scores else replace(_COLUMNS, score=None)
    return count_table(rows, layout, columns, model=model, origin=origin)


def check_same_rows(before: pa.Table, after: pa.Table, *, place: str) -> None:
    """Raise BadInput if decisions at two stages are not about the same rows."""
    if not (before["row_id"].equals(after["row_id"]) and before["label"].equals(after["label"])):
        fix = "remove both files, and the same command makes them again"
        raise BadInput("the predictions of two stages are not about the same rows", place=place, fix=fix)


def joint_tables(before: pa.Table, after: pa.Table, groups: Groups) -> Iterator[JointTable]:
    """Counts of the same rows at two stages, for each attribute."""
    label = after["label"].to_numpy().astype(np.int64)
    decided = (label * 4 + _decisions(before)) * 4 + _decisions(after)
    for attribute, listed, code in grouped(after, groups):
        count = np.bincount(code * 32 + decided, minlength=len(listed) * 32).reshape(-1, 2, 4, 4)
        yield JointTable(attribute=attribute, groups=listed, classes=CLASSES, mass=Mass(count))


def scored_rows(before: pa.Table, after: pa.Table) -> ScoredRows:
    """Scores of the same rows at two stages."""
    first, second = (rows["score"].to_numpy().astype(np.float64) for rows in (before, after))  # null becomes NaN
    return ScoredRows(label=after["label"].to_numpy() == 1, first=first, second=second)


def grouped(rows: pa.Table, groups: Groups) -> Iterator[GroupedScores]:
    """Each row's group of every attribute; those whose sensitive value is missing are the last."""
    for attribute, names in groups.items():
        code = _codes(rows, attribute, names)
        yield GroupedScores(attribute, (*names, *([MISSING] if (code == len(names)).any() else [])), code)


def _decisions(rows: pa.Table) -> NDArray[np.int64]:
    """0 or 1; 2 where the model refused, 3 where its answer was not understood."""
    unanswered = np.where(pc.equal(rows["outcome"], "refused").to_numpy(), 2, 3)
    there = rows["prediction"].is_valid().to_numpy()
    return np.where(there, pc.fill_null(rows["prediction"], 0).to_numpy(), unanswered).astype(np.int64)


def _codes(rows: pa.Table, attribute: str, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Each row's place among the groups, one past them where a sensitive value is missing."""
    parts = [rows[name].combine_chunks().cast(pa.string()) for name in attribute.split("*")]
    known = [pc.if_else(pc.equal(part, ""), pa.scalar(None, pa.string()), part) for part in parts]
    joined = known[0] if len(known) == 1 else pc.binary_join_element_wise(*known, "*")
    places = pc.index_in(joined, value_set=pa.array(names, pa.string()))
    assert places.null_count == joined.null_count, "every group of the test rows is one of the task's"
    return pc.fill_null(places, len(names)).to_numpy().astype(np.int64)
