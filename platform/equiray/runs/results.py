"""From predictions to estimates, and from a run to what its report wants to know beside the figures."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

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
    for cell in cells(run.spec):
        predictions = run.directory.read_table(predictions_file(task, cell))
        assert predictions is not None, "results are computed after the last prediction"
        decided[cell] = predictions.filter(pc.equal(predictions["split"], "test"))
        labels = Labels(task=task, stage=cell.stage, model=cell.model)
        yield from _cell_results(decided[cell], prepared.attributes, labels, resampling)
    for cell, after in decided.items():
        before = decided.get(Cell(cell.model, "baseline"))
        if cell.stage != "baseline" and before is not None:
            labels = Labels(task=task, stage=f"{cell.stage}-baseline", model=cell.model)
            yield from _effects(before, after, prepared.attributes, labels, resampling)


def _cell_results(
    rows: pa.Table, attributes: tuple[str, ...], labels: Labels, resampling: Resampling
) -> Iterator[Estimate]:
    answered = rows.filter(rows["prediction"].is_valid())
    if len(answered) < len(rows):
        for attribute in attributes:
            yield from unanswered_estimates(
                rows["prediction"].is_null().to_numpy(), grouping(rows, attribute), labels, resampling
            )
    yield accuracy_estimate(_decisions(answered), labels, resampling)
    for attribute in attributes:
        estimates = group_estimates(_decisions(answered), grouping(answered, attribute), labels, resampling)
        # Rows without an answer are a part of the group that these figures know nothing about.
        yield from (_partial(e) for e in estimates) if len(answered) < len(rows) else estimates


def _effects(
    before: pa.Table, after: pa.Table, attributes: tuple[str, ...], labels: Labels, resampling: Resampling
) -> Iterator[Estimate]:
    both = pc.and_(before["prediction"].is_valid(), after["prediction"].is_valid())
    before, after = before.filter(both), after.filter(both)
    yield accuracy_effect(_decisions(before), _decisions(after), labels, resampling)
    for attribute in attributes:
        groups = grouping(after, attribute)
        yield from stage_effects(_decisions(before), _decisions(after), groups, labels, resampling)


def _decisions(rows: pa.Table) -> Decisions:
    return Decisions(rows["label"].to_numpy(), rows["prediction"].to_numpy())


def _partial(estimate: Estimate) -> Estimate:
    return replace(estimate, status="partial") if estimate.status == "estimated" else estimate


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
