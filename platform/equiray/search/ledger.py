"""`Ledger`: what became of every trial, line by line on disk, so that a killed sweep loses nothing that was finished.

Notable: a line is written before the searcher hears of its trial. A sweep that is taken up again tells the searcher
the same story, begins with the trials that had been started and not finished, and goes on from there.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from equiray.errors import reading_back, writing
from equiray.search.study import Outcome, Trial, read, written

Status = Literal["done", "stopped", "infeasible", "failed"]
"""Whole, and with feasible points; ended early as hopeless; without a feasible point; died or refused."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One finished trial.

    Attributes
    ----------
    trial : Trial
    status : Status
    outcome : Outcome or None
        Of whole trials.
    figures : mapping of metric to float
        The last that were known of a trial that was ended early, to learn from.
    reason : str or None
        Why it is not ``done``.
    seconds : float
        It took.
    started_s : float
        After the start of the sweep, all its parts added up.
    worker : str or None
        Host and process.
    curve : tuple of (step, steps, figures)
        What it said on its way.
    broken : mapping of constraint to float
        By how much a trial that was ended early broke each constraint that it broke, when it was ended.
    """

    trial: Trial
    status: Status
    outcome: Outcome | None
    figures: Mapping[str, float]
    reason: str | None
    seconds: float
    started_s: float
    worker: str | None
    curve: tuple[tuple[int, int, Mapping[str, float]], ...] = ()
    broken: Mapping[str, float] = field(default_factory=dict)

    @property
    def excess(self) -> Mapping[str, float]:
        """By how much it broke each constraint that it broke, whole or ended early."""
        return self.broken if self.outcome is None else self.outcome.broken

    def to_json(self) -> dict[str, Any]:
        """The line of the ledger."""
        return {
            **vars(self),
            "trial": self.trial.to_json(),
            "outcome": None if self.outcome is None else self.outcome.to_json(),
            "figures": written(self.figures),
            "curve": [(step, steps, written(figures)) for step, steps, figures in self.curve],
            "broken": written(self.broken),
        }

    @classmethod
    def of_json(cls, line: Mapping[str, Any]) -> "Entry":
        """Read `to_json`'s line."""
        outcome = line["outcome"]
        return cls(
            **{
                **line,
                "trial": Trial(**line["trial"]),
                "outcome": None if outcome is None else Outcome.of_json(outcome),
                "figures": read(line["figures"]),
                "curve": tuple((step, steps, read(figures)) for step, steps, figures in line["curve"]),
                "broken": read(line.get("broken", {})),
            }
        )


class Ledger:
    """Trials that were started, and what became of them; `path` is a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self._started: dict[int, Trial] = {}
        self.earlier_s = 0.0
        for line in self._lines():
            if "started" in line:
                trial = Trial(**line["started"])
                self._started[trial.number] = trial
            else:
                entry = Entry.of_json(line["finished"])
                self.entries.append(entry)
                self.earlier_s = max(self.earlier_s, entry.started_s + entry.seconds)

    @property
    def unfinished(self) -> list[Trial]:
        """Started by an earlier part of the sweep, and not finished."""
        finished = {entry.trial.number for entry in self.entries}
        return [trial for number, trial in sorted(self._started.items()) if number not in finished]

    @property
    def next_number(self) -> int:
        """Of a trial that was never started."""
        return max(self._started, default=-1) + 1

    def start(self, trial: Trial) -> None:
        """Note that a trial begins."""
        if trial.number not in self._started:
            self._started[trial.number] = trial
            self._append({"started": trial.to_json()})

    def finish(self, entry: Entry) -> None:
        """Note what became of a trial."""
        self.entries.append(entry)
        self._append({"finished": entry.to_json()})

    def _append(self, line: Mapping[str, Any]) -> None:
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())

    def _lines(self) -> list[dict[str, Any]]:
        """Every whole line; one that a kill cut short is the last, and is written anew."""
        if not self.path.is_file():
            return []
        lines = self.path.read_bytes().splitlines(keepends=True)  # bytes: a kill may cut a character in two
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()
            with writing(self.path):
                scratch = self.path.with_name(f".{self.path.name}")
                scratch.write_bytes(b"".join(lines))
                scratch.replace(self.path)
        with reading_back(self.path, fix="name a new directory with --out"):
            return [json.loads(line) for line in lines]
