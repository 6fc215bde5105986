"""From predictions to estimates, and from a run to what its report wants to know beside the figures."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

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
)
from equiray.runs.directory import RunDirectory
from equiray.runs.predictions import Cell, PreparedTask, cells, predictions_file, test_decisions
from equiray.specs import RunSpec

FULL_ROWS, FULL_FAMILIES = 500, 20
"""Below these a result is labelled ``smoke`` (docs/contracts)."""


def task_results(
    prepared: PreparedTask, spec: RunSpec, directory: RunDirectory, resampling: Resampling
) -> Iterator[Estimate]:
    """Estimates of every cell of one task on its test split, and each stage's paired effect over the baseline."""
    task = prepared.schema.name
    decided: dict[Cell, Decisions] = {}
    groupings: list[Grouping] = []
    for cell in cells(spec):
        predictions = directory.read_table(predictions_file(task, cell))
        assert predictions is not None, "results are computed after the last prediction"
        decided[cell], rows = test_decisions(predictions)
        groupings = [grouping(rows, attribute) for attribute in prepared.attributes]
        labels = Labels(task=task, stage=cell.stage, model=cell.model)
        yield accuracy_estimate(decided[cell], labels, resampling)
        for groups in groupings:
            yield from group_estimates(decided[cell], groups, labels, resampling)
    for cell, after in decided.items():
        before = decided.get(Cell(cell.model, "baseline"))
        if cell.stage == "baseline" or before is None:
            continue
        labels = Labels(task=task, stage=f"{cell.stage}-baseline", model=cell.model)
        yield accuracy_effect(before, after, labels, resampling)
        for groups in groupings:
            yield from stage_effects(before, after, groups, labels, resampling)


def grouping(rows: pa.Table, attribute: str) -> Grouping:
    """Groups of an attribute, or of an intersection (``sex*race``: a row belongs where all parts are known)."""
    parts = [rows[name].to_pylist() for name in attribute.split("*")]
    joined = [None if None in values else " * ".join(values) for values in zip(*parts, strict=True)]
    return Grouping.of(attribute, joined)


def task_details(prepared: PreparedTask) -> dict[str, Any]:
    """What the report says about a task's data."""
    task, schema = prepared.task, prepared.schema
    splits = Counter(task.table["split"].to_pylist())
    groups = {
        a.name: Counter(value or "(missing)" for value in task.table[ATTRIBUTE_PREFIX + a.name].to_pylist())
        for a in schema.sensitive
    }
    return {
        "title": schema.title,
        "rows": len(task.table),
        "splits": {name: splits[name] for name in SPLITS},
        "warnings": list(schema.warnings),
        "source": schema.source,
        "source_sha256": task.source_sha256,
        "licence": schema.licence,
        "attributes": {name: dict(sorted(counts.items())) for name, counts in groups.items()},
        "twins": {"made": prepared.augmented.twins, "skipped": dict(prepared.augmented.skipped)},
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
