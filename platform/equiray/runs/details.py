"""What a run's report wants to know beside the figures: ``details.json``."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from equiray.data.schema import ATTRIBUTE_PREFIX, SPLITS
from equiray.metrics.clusters import Resampling
from equiray.metrics.tables import MISSING
from equiray.reports.words import model_words, stage_words
from equiray.runs.counted_evidence import table_warnings
from equiray.runs.predictions import PreparedTask
from equiray.runs.results import TaskResults

_DRAWS = 500  # standard error about 1 %


def task_details(prepared: PreparedTask, results: TaskResults, *, seed: int) -> dict[str, Any]:
    """What the report says about a task's data, and what chance alone would make of its disparities."""
    task, schema = prepared.task, prepared.schema
    splits = Counter(task.table["split"].to_pylist())
    groups = {
        a.name: Counter(value or MISSING for value in task.table[ATTRIBUTE_PREFIX + a.name].to_pylist())
        for a in schema.sensitive
    }
    augmented = prepared.augmented
    twins = None if augmented is None else {"made": augmented.twins, "skipped": dict(augmented.skipped)}
    return {
        "title": schema.title,
        "rows": len(task.table),
        "splits": {name: splits[name] for name in SPLITS},
        "warnings": [*schema.warnings, *_left_open(results)],
        "source": schema.source,
        "source_sha256": task.source_sha256,
        "licence": schema.licence,
        "attributes": {name: dict(sorted(counts.items())) for name, counts in groups.items()},
        "twins": twins,
        "at_equality_of": _at_equality(results, seed),
    }


def _left_open(results: TaskResults) -> Iterable[str]:
    """What limits the figures of each model and stage, every sentence once."""
    told = (
        table_warnings(evidence, f"{model_words(of.model)}, {stage_words(of.stage)}")
        for of, evidence in results.evidence.items()
    )
    return dict.fromkeys(line for lines in told for line in lines)


def _at_equality(results: TaskResults, seed: int) -> dict[str, Mapping[str, Mapping[str, float]]]:
    """By model and stage (``raw.baseline``), attribute and metric."""
    draws = Resampling(replicates=_DRAWS, seed=seed)
    return {f"{of.model}.{of.stage}": evidence.at_equality(draws) for of, evidence in results.evidence.items()}


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
