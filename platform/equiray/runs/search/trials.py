"""What ``search.json`` says of the space and of every trial, and what the budget went into."""

import math
from collections.abc import Sequence
from typing import Any

from equiray.search.ledger import Entry, Ledger
from equiray.search.suggesting import covered
from equiray.specs.sweep import RangeSpec, SweepSpec

Record = dict[str, Any]


def number(value: float) -> float | None:
    """As JSON has it: null where it is not estimable."""
    return float(value) if math.isfinite(value) else None


def space_document(spec: SweepSpec) -> list[Record]:
    """Every searched key with its range or its choices."""
    found = []
    for key, among in spec.space.items():
        if isinstance(among, RangeSpec):
            kind = "int" if among.whole else "float"
            found.append(
                {"key": key, "kind": kind, "choices": None, "low": among.low, "high": among.high, "log": among.log}
            )
        else:
            choices = {"kind": "choice", "choices": list(among), "low": None, "high": None, "log": False}
            found.append({"key": key, **choices})
    return found


def trial_document(spec: SweepSpec, entry: Entry) -> Record:
    """One trial; `values` are those of its best point on validation rows, or the last that were known."""
    metrics = [each.metric for each in spec.objectives]
    known = {metric: number(entry.figures[metric]) for metric in metrics if metric in entry.figures}
    points = entry.outcome.values if entry.outcome is not None else []
    return {
        "number": entry.trial.number,
        "origin": entry.trial.origin,
        "name": entry.trial.name,
        "settings": {**spec.values_of(entry.trial.settings), **entry.trial.settings},
        "status": entry.status,
        "reason": entry.reason,
        "values": known or None,
        "points": len(points),
        "hypervolume": covered(spec, points) if points else None,
        "seconds": entry.seconds,
        "started_s": entry.started_s,
        "worker": entry.worker,
    }


def killed_by(spec: SweepSpec, ledger: Ledger) -> dict[str, int]:
    """How many infeasible trials broke each constraint, alone or with others."""
    names = {each.name: 0 for each in spec.constraints}
    for entry in ledger.entries:
        if entry.status == "infeasible":
            for name in names:
                names[name] += name in entry.excess
    return names


def hypervolume_course(spec: SweepSpec, entries: Sequence[Entry]) -> list[tuple[int, float]]:
    """(trials so far, hypervolume on validation rows of all their points), in the order in which they were finished."""
    points: list[Sequence[float]] = []
    course = []
    for count, entry in enumerate(entries, start=1):
        if entry.status == "done" and entry.outcome is not None:
            points += entry.outcome.values
        course.append((count, covered(spec, points) if points else 0.0))
    return course


def saved_seconds(entries: Sequence[Entry]) -> float | None:
    """What trials that were ended early would have taken besides, had their steps gone on as fast; None if none was."""
    saved = []
    for entry in entries:
        if entry.outcome is None and entry.status in ("stopped", "infeasible") and entry.curve:
            step, steps, _ = entry.curve[-1]
            saved.append(entry.seconds * (steps - step) / max(step, 1))
    return round(sum(saved), 1) if saved else None
