"""Invented trials: entries of a ledger, and a sweep that asks a formula in place of a model."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from equiray.search.ledger import Entry, Ledger
from equiray.search.study import Outcome, Trial
from equiray.search.suggesting import Suggestions
from equiray.specs.sweep import SweepSpec


def outcome_of(points: Sequence[Sequence[float]], broken: Mapping[str, float] | None = None, **best: float) -> Outcome:
    return Outcome(values=points, free=[[] for _ in points], best=best, broken=broken or {})


def entry_of(number: int, outcome: Outcome | None = None, **changes: Any) -> Entry:
    trial = Trial(
        number=number,
        origin=changes.pop("origin", "start"),
        settings=changes.pop("settings", {}),
        name=changes.pop("name", None),
    )
    known = {
        "status": "done" if outcome is not None and outcome.feasible else "infeasible",
        "figures": dict(outcome.best) if outcome is not None else {},
        "reason": None,
        "seconds": 1.5,
        "started_s": 2.0 * number,
        "worker": "host:1",
    }
    return Entry(trial=trial, outcome=outcome, **(known | changes))


def asked_formula(
    spec: SweepSpec, ledger: Ledger, trials: int, formula: Callable[[Mapping[str, Any]], Outcome | None]
) -> Suggestions:
    """As `run_trials` does, one trial at a time, without Ray; a formula's None is a trial that fails."""
    queue = ledger.unfinished
    suggestions = Suggestions(spec, ledger.entries, ledger.next_number, queue)
    while len(ledger.entries) < trials:
        trial = queue.pop(0) if queue else suggestions.next()
        ledger.start(trial)
        outcome = formula(spec.values_of(trial.settings))
        status = "failed" if outcome is None else "done" if outcome.feasible else "infeasible"
        entry = Entry(
            trial=trial,
            status=status,
            outcome=outcome,
            figures=dict(outcome.best) if outcome else {},
            reason=None,
            seconds=1.0,
            started_s=float(len(ledger.entries)),
            worker=None,
        )
        ledger.finish(entry)
        suggestions.tell(entry)
    return suggestions


def told(ledger: Ledger) -> list[tuple[int, str, dict[str, Any]]]:
    return [(each.trial.number, each.trial.origin, dict(each.trial.settings)) for each in ledger.entries]


def cut(path: Path, folder: Path, lines: int, torn: bytes = b"") -> Path:
    """The ledger that a kill after so many lines leaves."""
    kept = folder / "trials.jsonl"
    kept.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]) + torn)
    return kept


def near(value: float, other: float) -> bool:
    return math.isclose(value, other, rel_tol=1e-12, abs_tol=1e-12)


def write(path: Path, entries: list[Entry]) -> Ledger:
    """A ledger with these trials."""
    ledger = Ledger(path)
    for entry in entries:
        ledger.start(entry.trial)
        ledger.finish(entry)
    return ledger
