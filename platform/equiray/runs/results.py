"""From predictions to estimates, and from a run to what its report wants to know beside the figures."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from equiray.data.compute import pc
from equiray.data.schema import ATTRIBUTE_PREFIX, SPLITS
from equiray.metrics.clusters import Resampling
from equiray.metrics.estimates import Estimate
from equiray.metrics.groups import (
    Decisions,
    Grouping,
    Labels,
    accuracy_effect,
    accuracy_estimate,
    group_estimates,
    stage_effects,
    unanswered_estimates,
)
from equiray.runs.context import RunContext
from equiray.runs.predictions import Cell, PreparedTask, cells, predictions_file

FULL_ROWS, FULL_FAMILIES = 500, 20
"""Below these a result is labelled ``smoke`` (docs/contracts)."""


def task_results(prepared: PreparedTask, run: RunContext) -> Iterator[Estimate]:
    """Estimates of every cell of one task on its test split, and each stage's paired effect over the baseline."""
    task, resampling = prepared.schema.name, run.resampling
    decided: dict[Cell, pa.Table] = {}
    groups = {attribute: group_names(prepared, attribute) for attribute in prepared.attributes}
    for cell in cells(run.spec):
        predictions = run.directory.read_table(predictions_file(task, cell))
        assert predictions is not None, "results are computed after the last prediction"
        decided[cell] = predictions.filter(pc.equal(predictions["split"], "test"))
        labels = Labels(task=task, stage=cell.stage, model=cell.model)
        yield from _cell_results(decided[cell], groups, labels, resampling)
    for cell, after in decided.items():
        before = decided.get(Cell(cell.model, "baseline"))
        if cell.stage != "baseline" and before is not None:
            labels = Labels(task=task, stage=f"{cell.stage}-baseline", model=cell.model)
            yield from _effects(before, after, groups, labels, resampling)


Groups = Mapping[str, tuple[str, ...]]
"""Names of the groups of each attribute, over all rows of the task."""


def _cell_results(rows: pa.Table, groups: Groups, labels: Labels, resampling: Resampling) -> Iterator[Estimate]:
    answered = rows.filter(rows["prediction"].is_valid())
    estimates = [accuracy_estimate(_decisions(answered), labels, resampling)]
    for attribute, names in groups.items():
        estimates += group_estimates(_decisions(answered), grouping(answered, attribute, names), labels, resampling)
    yield from _marked(estimates, len(rows) - len(answered))
    if len(answered) < len(rows):
        outcomes = np.array(rows["outcome"].to_pylist())
        for attribute, names in groups.items():
            yield from unanswered_estimates(outcomes, grouping(rows, attribute, names), labels, resampling)


def _effects(
    before: pa.Table, after: pa.Table, groups: Groups, labels: Labels, resampling: Resampling
) -> Iterator[Estimate]:
    both = pc.and_(before["prediction"].is_valid(), after["prediction"].is_valid())
    unanswered = len(after) - pc.sum(both).as_py()
    before, after = before.filter(both), after.filter(both)
    estimates = [accuracy_effect(_decisions(before), _decisions(after), labels, resampling)]
    for attribute, names in groups.items():
        grouped = grouping(after, attribute, names)
        estimates += stage_effects(_decisions(before), _decisions(after), grouped, labels, resampling)
    yield from _marked(estimates, unanswered)


def _decisions(rows: pa.Table) -> Decisions:
    return Decisions(rows["label"].to_numpy(), rows["prediction"].to_numpy())


def _marked(estimates: list[Estimate], unanswered: int) -> Iterator[Estimate]:
    """Where rows have no answer, figures over the others know nothing about them: ``partial``."""
    for estimate in estimates:
        partial = unanswered and estimate.status == "estimated"
        yield replace(estimate, status="partial") if partial else estimate


def group_names(prepared: PreparedTask, attribute: str) -> tuple[str, ...]:
    """Every group of an attribute in the whole task: one without a test row is listed, not lost."""
    joined = _joined(prepared.task.table, [ATTRIBUTE_PREFIX + name for name in attribute.split("*")])
    return tuple(sorted({name for name in joined if name is not None}))


def grouping(rows: pa.Table, attribute: str, names: tuple[str, ...]) -> Grouping:
    """Groups of an attribute, or of an intersection (``sex*race``: a row belongs where all parts are known)."""
    return Grouping.of(attribute, _joined(rows, attribute.split("*")), names)


def _joined(rows: pa.Table, columns: list[str]) -> list[str | None]:
    parts = [rows[name].to_pylist() for name in columns]
    return [None if None in values else " * ".join(values) for values in zip(*parts, strict=True)]


def task_details(prepared: PreparedTask) -> dict[str, Any]:
    """What the report says about a task's data."""
    task, schema = prepared.task, prepared.schema
    splits = Counter(task.table["split"].to_pylist())
    groups = {
        a.name: Counter(value or "(missing)" for value in task.table[ATTRIBUTE_PREFIX + a.name].to_pylist())
        for a in schema.sensitive
    }
    augmented = prepared.augmented
    twins = None if augmented is None else {"made": augmented.twins, "skipped": dict(augmented.skipped)}
    return {
        "title": schema.title,
        "rows": len(task.table),
        "splits": {name: splits[name] for name in SPLITS},
        "warnings": list(schema.warnings),
        "source": schema.source,
        "source_sha256": task.source_sha256,
        "licence": schema.licence,
        "attributes": {name: dict(sorted(counts.items())) for name, counts in groups.items()},
        "twins": twins,
    }


def serialization_details(prepared: PreparedTask) -> dict[str, Any] | None:
    """How a task's rows became text; None where no model read them."""
    serializer = prepared.serializer
    if serializer is None:
        return None
    return {
        "template": serializer.template,
        "order": list(serializer.order),
        "max_tokens": serializer.max_tokens,
        "dropped": {dropped.feature: dropped.rows for dropped in serializer.dropped},
    }
