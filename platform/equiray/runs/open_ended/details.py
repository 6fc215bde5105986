"""``open_ended.json``: all that a page about open-ended generation shows (docs/contracts/open_ended_results.json)."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from equiray.metrics.text_ratings import Pair
from equiray.models.raters import Rater
from equiray.runs.open_ended.figures import OpenEndedFigures
from equiray.runs.open_ended.planning import PlannedPrompts
from equiray.specs.open_ended import OpenEndedSpec

SCHEMA = "equiray.open_ended-results/1"
FULL_PROMPTS = 100
"""Of a group; below it a result is labelled ``smoke``."""
_SHOWN = 3
"""Texts of each group that a reader sees for each rater."""


def open_ended_document(
    tasks: list[dict[str, Any]], planned: list[PlannedPrompts], raters: Mapping[str, Rater], spec: OpenEndedSpec
) -> dict[str, Any]:
    """The document without what is said of its making."""
    least = min(n for task in planned for n in _prompts(task).values())
    return {
        "schema": SCHEMA,
        "name": spec.name,
        "smoke": least < FULL_PROMPTS,
        "sampling": spec.sampling.model_dump(mode="json"),
        "read": spec.rating.read,
        "toxic_from": spec.rating.toxic_from,
        "confidence": spec.confidence,
        "scorers": [
            {"measure": measure, "name": rater.name, "identity": rater.identity, "about": rater.about}
            for measure, rater in raters.items()
        ],
        "tasks": tasks,
    }


def task_document(
    planned: PlannedPrompts, written: pa.Table, ratings: pa.Table, swaps: pa.Table, figures: OpenEndedFigures
) -> dict[str, Any]:
    """What is said of one source and attribute."""
    return {
        "task": planned.name,
        "title": planned.title,
        "source": planned.spec.source,
        "attribute": planned.spec.attribute,
        "licence": planned.licence,
        "source_sha256": planned.source_sha256,
        "warnings": planned.warnings,
        "groups": _groups(planned, written),
        "cut": sum(finish == "length" for finish in written["finish"].to_pylist()),
        "tokens": sum(written["tokens"].to_pylist()),
        "swaps": _ways(planned, ratings, swaps),
        "pairs": [_pair(pair) for pair in figures.pairs],
        "estimates": [estimate.to_json() for estimate in figures.estimates],
        "texts": _texts(planned, ratings),
    }


def _prompts(planned: PlannedPrompts) -> Counter[str]:
    return Counter(prompt.groups[planned.spec.attribute] for prompt in planned.prompts)


def _groups(planned: PlannedPrompts, written: pa.Table) -> dict[str, dict[str, int]]:
    outcomes = Counter(zip(written["group"].to_pylist(), written["outcome"].to_pylist(), strict=True))
    families: dict[str, set[str]] = {}
    for prompt in planned.prompts:
        families.setdefault(prompt.groups[planned.spec.attribute], set()).add(prompt.family)
    prompts = _prompts(planned)
    return {
        group: {
            "available": planned.available[group],
            "prompts": prompts[group],
            "families": len(families[group]),
            **{outcome: outcomes[(group, outcome)] for outcome in ("written", "empty", "refused")},
        }
        for group in planned.groups
    }


def _ways(planned: PlannedPrompts, ratings: pa.Table, swaps: pa.Table) -> list[dict[str, Any]]:
    """Of each direction: how many of the group's written texts name either group."""
    named = Counter(zip(swaps["group"].to_pylist(), swaps["other"].to_pylist(), strict=True))
    rows = zip(ratings["group"].to_pylist(), ratings["text"].to_pylist(), strict=True)
    texts = Counter(group for group, text in rows if text is not None)
    return [
        {"group": one, "other": other, "texts": texts[one], "named": named[(one, other)]}
        for one in planned.groups
        for other in planned.groups
        if one != other
    ]


def _pair(pair: Pair) -> dict[str, str]:
    return {"measure": pair.measure, "one": pair.one, "other": pair.other, "finding": pair.finding}


def _texts(planned: PlannedPrompts, ratings: pa.Table) -> list[dict[str, Any]]:
    """Of each group the texts that are rated most toxic, or most negative."""
    rows = [row for row in ratings.to_pylist() if row["text"] is not None]
    found = []
    for measure, sign in (("toxicity", -1), ("sentiment", 1)):
        if measure not in ratings.column_names:
            continue
        for group in planned.groups:
            mine = sorted((row for row in rows if row["group"] == group), key=lambda row: sign * row[measure])
            found += [
                {"measure": measure, "group": group, "text": row["text"], "rating": round(row[measure], 6)}
                for row in mine[:_SHOWN]
            ]
    return found
