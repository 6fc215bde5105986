"""``search.json`` and ``results.json`` of a sweep: its front on both splits, what stands beside it, and its trials."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from equiray.metrics.estimates import Direction, Estimate
from equiray.metrics.fronts import Replicated, hypervolume, hypervolume_limits, stability
from equiray.metrics.intervals.limits import Interval
from equiray.runs.directory import RunDirectory
from equiray.runs.results_document import RESULTS, results_document
from equiray.runs.search.importance import importance_of
from equiray.runs.search.kinds import Planned
from equiray.runs.search.points import BASE, Arrays, Point
from equiray.runs.search.trials import (
    hypervolume_course,
    killed_by,
    number,
    saved_seconds,
    space_document,
    trial_document,
)
from equiray.search.ledger import Ledger
from equiray.specs.goals import direction_of
from equiray.specs.sweep import SweepSpec

SCHEMA, SEARCH = "equiray.search/1", "search.json"
SMALL_TRIALS = 8
"""Fewer are a look, not a search."""

_TARGETS = ("intrinsic_gap_signed",)


class Read(NamedTuple):
    """Points on both splits, the front's first: figures by metric, those of the test split with resamples and limits.

    `less` are the differences of `pairs`, a point of the front less one that stands beside it, as places in `points`.
    """

    points: Sequence[Point]
    front: int
    validation: list[dict[str, float]]
    test: list[dict[str, float]]
    replicated: Replicated
    limits: Interval
    pairs: list[tuple[int, int]]
    less: Replicated | None
    less_limits: Interval | None


def read_points(
    planned: Planned,
    front: Sequence[Point],
    ledger: Ledger,
    arrays: Mapping[str, Mapping[int, Arrays]],
    confidence: float,
) -> Read:
    """The front, and beside it the base and the settings that the spec names, with the thresholds they would get."""
    beside = [Point(id="base", trial=BASE, name="base")]
    for entry in sorted(ledger.entries, key=lambda entry: entry.trial.number):
        if entry.trial.origin == "known" and entry.outcome is not None:
            usual = planned.usual(arrays["validation"][entry.trial.number])
            name = str(entry.trial.name)
            beside.append(Point(id=name, trial=entry.trial.number, free=usual, name=name))
    points, test = [*front, *beside], arrays["test"]
    replicated = planned.replicated(points, test)
    pairs = [(one, other) for one in range(len(front)) for other in range(len(front), len(points))]
    less = _differences(replicated, pairs) if pairs else None
    return Read(
        points=points,
        front=len(front),
        validation=planned.figures("validation", points, arrays["validation"]),
        test=planned.figures("test", points, test),
        replicated=replicated,
        limits=planned.limits(points, test, replicated, confidence),
        pairs=pairs,
        less=less,
        less_limits=None if less is None else planned.limits(points, test, less, confidence, pairs),
    )


def _differences(of: Replicated, pairs: Sequence[tuple[int, int]]) -> Replicated:
    ones, others = (of.at(places) for places in zip(*pairs, strict=True))
    return replace(ones, values=ones.values - others.values, replicates=ones.replicates - others.replicates)


def write_documents(
    spec: SweepSpec,
    planned: Planned,
    ledger: Ledger,
    read: Read,
    frontier: Mapping[str, Any] | None,
    directory: RunDirectory,
    command: str,
) -> None:
    """Write both; the report is made from them."""
    estimates = _estimates(spec, planned, read)
    directory.write_json(SEARCH, search_document(spec, planned, ledger, read, frontier, directory, command, estimates))
    rows = {planned.about.title: planned.about.rows["test"]}
    directory.write_json(RESULTS, results_document(spec.sha256(), rows, estimates))


def search_document(
    spec: SweepSpec,
    planned: Planned,
    ledger: Ledger,
    read: Read,
    frontier: Mapping[str, Any] | None,
    directory: RunDirectory,
    command: str,
    estimates: Sequence[Estimate],
) -> dict[str, Any]:
    """The document of ``search.json`` (docs/contracts/search.md)."""
    about, entries = planned.about, ledger.entries
    points = _points(spec, planned, ledger, read)
    ended = max((entry.started_s + entry.seconds for entry in entries), default=0.0)
    return {
        "schema": SCHEMA,
        "name": spec.name,
        "smoke": len(entries) < SMALL_TRIALS,
        "kind": spec.kind,
        "task": about.title,
        "attribute": about.attribute,
        "rows": {split: about.rows[split] for split in ("validation", "test")},
        "seed": spec.seed,
        "confidence": spec.statistics.confidence,
        "objectives": [
            {"metric": each.metric, "direction": each.direction, "reference": each.reference}
            for each in spec.objectives
        ],
        "constraints": [
            {"name": each.name, "metric": each.metric, **each.bounds(planned.base.get(each.metric)), "killed": killed}
            for each, killed in zip(spec.constraints, killed_by(spec, ledger).values(), strict=True)
        ],
        "algorithm": {
            "name": spec.search.chosen,
            "why": spec.search.why,
            "startup": spec.search.startup,
            "trials": spec.search.trials,
        },
        "space": space_document(spec),
        "trials": [trial_document(spec, entry) for entry in sorted(entries, key=lambda each: each.trial.number)],
        "front": points[: read.front],
        "beside": points[read.front :],
        "frontier": frontier,
        "hypervolume": _hypervolume(spec, ledger, read),
        "importance": importance_of(spec, entries),
        "cost": {
            "seconds": round(sum(entry.seconds for entry in entries), 1),
            "wall_seconds": round(ended, 1),
            "stopped_seconds_saved": saved_seconds(entries),
        },
        "warnings": list(about.warnings),
        "estimates": [estimate.to_json() for estimate in estimates],
        "command": command,
        "durations_s": directory.durations(),
        "source": about.source,
        "source_sha256": about.source_sha256,
        "licence": about.licence,
    }


def _points(spec: SweepSpec, planned: Planned, ledger: Ledger, read: Read) -> list[dict[str, Any]]:
    low, high = read.limits
    shares = _stability(spec, read)
    settings = {entry.trial.number: spec.values_of(entry.trial.settings) for entry in ledger.entries}
    changed = {entry.trial.number: dict(entry.trial.settings) for entry in ledger.entries}
    gates = planned.gates
    found = []
    for place, point in enumerate(read.points):
        test = {
            metric: {
                "value": number(read.replicated.values[place, column]),
                "low": number(low[place, column]),
                "high": number(high[place, column]),
            }
            for column, metric in enumerate(planned.metrics)
        }
        found.append(
            {
                "id": point.id,
                "trial": None if point.trial == BASE else point.trial,
                "name": point.name,
                "settings": {**settings.get(point.trial, {}), **changed.get(point.trial, {})},
                "thresholds": {}
                if point.trial == BASE
                else dict(zip(gates, map(_threshold, point.free), strict=False)),
                "open": _share(read.test[place].get("activation_rate")) if gates and point.trial != BASE else None,
                "validation": {metric: number(read.validation[place][metric]) for metric in planned.metrics},
                "test": test,
                "stability": number(shares[place]) if place < read.front else None,
            }
        )
    return found


def _stability(spec: SweepSpec, read: Read) -> list[float]:
    """Of the front's points, among themselves."""
    if not read.front:
        return []
    objectives = range(len(spec.objectives))
    return stability(read.replicated.at(range(read.front)).only(objectives), spec.directions).tolist()


def _hypervolume(spec: SweepSpec, ledger: Ledger, read: Read) -> dict[str, Any]:
    reference, metrics = [each.reference for each in spec.objectives], [each.metric for each in spec.objectives]
    chosen = [[figures[metric] for metric in metrics] for figures in read.validation[: read.front]]
    test = None
    if read.front:
        of = read.replicated.at(range(read.front)).only(range(len(metrics)))
        value, low, high = hypervolume_limits(of, reference, spec.directions, spec.statistics.confidence)
        test = {"value": number(value), "low": number(low), "high": number(high)}
    return {
        "validation": hypervolume(np.reshape(chosen, (-1, len(metrics))), reference, spec.directions),
        "test": test,
        "curve": hypervolume_course(spec, ledger.entries),
    }


def _estimates(spec: SweepSpec, planned: Planned, read: Read) -> list[Estimate]:
    """Of every point on test rows, and of each of the front less each of what stands beside it, paired.

    Limits of all points hold at once, and so do those of all differences.
    """
    points = read.points
    named = [("front" if place < read.front else "beside", point.id) for place, point in enumerate(points)]
    estimates = _records(spec, planned, read.replicated, read.limits, named)
    if read.less is not None and read.less_limits is not None:
        named = [("front-beside", f"{points[one].id}-{points[other].id}") for one, other in read.pairs]
        estimates += _records(spec, planned, read.less, read.less_limits, named)
    return estimates


def _records(
    spec: SweepSpec, planned: Planned, replicated: Replicated, limits: Interval, named: Sequence[tuple[str, str]]
) -> list[Estimate]:
    """One estimate for each point, named by (stage, model), and metric."""
    low, high = limits
    found = []
    for place, (stage, model) in enumerate(named):
        for column, metric in enumerate(planned.metrics):
            value, *ends = (number(of[place, column]) for of in (replicated.values, low, high))
            found.append(
                Estimate(
                    task=planned.about.title,
                    stage=stage,
                    model=model,
                    metric=metric,
                    attribute=planned.about.attribute_of(metric),
                    group=None,
                    value=value,
                    low=ends[0],
                    high=ends[1],
                    confidence=spec.statistics.confidence,
                    n=replicated.units[column],
                    status="not_estimable" if value is None else "partial" if ends[0] is None else "estimated",
                    direction=_direction(metric, stage),
                )
            )
    return found


def _direction(metric: str, stage: str) -> Direction:
    if metric in _TARGETS:  # a difference of two has no better direction of its own
        return "none" if "-" in stage else "zero"
    return direction_of(metric)


def _share(value: float | None) -> float | None:
    return None if value is None else number(value)


def _threshold(tau: float) -> float | str:
    return float(tau) if math.isfinite(tau) else str(tau)
