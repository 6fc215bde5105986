"""From a FairNet run's predictions to its figures: every method's level, and its paired change from the base."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.schema import MISSING_GROUP
from equiray.metrics.counting import Attribute, Layout
from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation import CountedEvidence, Labels, Setting, changes_of
from equiray.metrics.intervals.limits import Limits
from equiray.metrics.repeated import accuracy_change, cell_changes
from equiray.mitigation.gating.changes import number
from equiray.policies import Subject
from equiray.runs.counted_evidence import counts_file, decided_evidence
from equiray.runs.decisions import CLASSES, Groups, count_decisions, joint_tables
from equiray.runs.directory import RunDirectory
from equiray.runs.fairnet.planning import PlannedTask
from equiray.runs.fairnet.predictions import of_split, right
from equiray.runs.fairnet.vulnerable import FEWEST_ROWS
from equiray.runs.fairnet.words import scored

BASE = "erm"
WORST_UP, ACCURACY_KEPT = 0.08, -0.003
"""What a correction is asked for: so much better a worst cell, at no more of a loss in accuracy."""

ASKED = (
    f"the worst cell up by {WORST_UP:g} or more, its lower limit above 0; accuracy down by {-ACCURACY_KEPT:g} at most, "
    "its lower limit above −0.01 (−0.02 where there are fewer than 8,000 test rows)"
)
"""The same in words, for the reader of the report."""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """Test rows as methods decide them: the table of each method of each seed."""

    planned: PlannedTask
    tables: Mapping[Subject, pa.Table]

    @property
    def groups(self) -> Groups:
        """Groups of each attribute that is reported, without the missing."""
        rows = self.planned.rows("test")
        return {
            each.attribute: tuple(name for name in each.groups if name != MISSING_GROUP)
            for each in self.planned.grouped(rows)
        }

    def of_method(self, method: str) -> list[pa.Table]:
        """A method's tables, a seed after the other."""
        return [table for subject, table in self.tables.items() if subject.stage == method]


def evidence_of(
    decided: Decided, spec_sha256: str, confidence: float, directory: RunDirectory
) -> dict[Subject, CountedEvidence]:
    """Counts of every method and seed, kept in the run directory, and what follows from them.

    Nothing is said of moved scores (`words.scored`): their AUC and calibration would be those of the thresholds.
    """
    names = tuple(dict.fromkeys(name for attribute in decided.groups for name in attribute.split("*")))
    attributes = tuple(Attribute(name=name) for name in names)
    found = {}
    for subject, table in decided.tables.items():
        layout = Layout(attributes=attributes, classes=CLASSES, scores=scored(subject.stage))
        model = f"{spec_sha256} {subject.model} {subject.stage}"
        counts = count_decisions(table, layout, model=model, origin=f"{subject.task}.{subject.model}.{subject.stage}")
        counts.save(directory.path / counts_file(subject))
        found[subject] = decided_evidence(counts, decided.groups, subject, confidence)
    return found


def effects_of(decided: Decided, confidence: float) -> list[Estimate]:
    """Each method's change from the base of the same seed, on the same rows."""
    found: list[Estimate] = []
    for subject, table in decided.tables.items():
        base = decided.tables[subject._replace(stage=BASE)]
        if subject.stage != BASE:
            labels = Labels(subject.task, f"{subject.stage}-{BASE}", subject.model)
            tables = list(joint_tables(base, table, decided.groups))
            found += changes_of(tables, Setting(labels=labels, confidence=confidence))
    return found


def change_of(
    planned: PlannedTask, method: str, first: Sequence[pa.Table], second: Sequence[pa.Table], confidence: float
) -> dict[str, Any]:
    """A method's change from the base over all seeds, as ``fairnet.json`` has it; see `change_between`."""
    before, after = (np.stack([right(of_split(table, "test")) for table in tables]) for tables in (first, second))
    return change_between(planned, method, before, after, confidence)


def change_between(
    planned: PlannedTask, method: str, before: NDArray[np.bool_], after: NDArray[np.bool_], confidence: float
) -> dict[str, Any]:
    """The same from whether each seed decides each test row right, bool [S, N].

    Cells with fewer than `FEWEST_ROWS` test rows are left out, of the worst cell, too.
    """
    rows = planned.rows("test")
    grouped = planned.steering_groups(rows)
    names = [name for name in grouped.groups if name != MISSING_GROUP]
    code, counted = planned.cells(rows), counted_cells(planned)
    place_of = np.full(2 * len(grouped.groups), -1)
    place_of[counted] = np.arange(len(counted))
    cell = place_of[code]
    known = cell >= 0
    value, limits = accuracy_change(before, after, confidence)
    cells = cell_changes(before[:, known], after[:, known], cell[known], len(counted), confidence)
    shares = (float(before.mean()), float(after.mean()))
    worst = (number(cells.first.min()), number(cells.second.min()))
    return {
        "method": method,
        "reference": BASE,
        "trainings": len(after),
        "confidence": confidence,
        "accuracy": _change(*shares, value, limits),
        "worst": _change(*worst, cells.worst, cells.worst_limits),
        "cells": [
            {
                "name": f"{names[counted[place] // 2]}, label {counted[place] % 2}",
                "rows": int(cells.rows[place]),
                **_change(
                    cells.first[place],
                    cells.second[place],
                    cells.change[place],
                    Limits(cells.low[place], cells.high[place]),
                ),
            }
            for place in range(len(cells.rows))
        ],
        "left_out": [
            f"{names[place // 2]}, label {place % 2} ({np.count_nonzero(code == place)} rows)"
            for place in np.setdiff1d(np.arange(2 * len(names)), counted).tolist()
        ],
        "worst_up": _reached(cells.worst, cells.worst_limits, WORST_UP, 0.0),
        "accuracy_kept": _reached(value, limits, ACCURACY_KEPT, -0.01 if len(rows) >= 8000 else -0.02),
    }


def counted_cells(planned: PlannedTask) -> NDArray[np.int64]:
    """Cells with enough test rows to be listed, which is decided by numbers of rows alone; int64, ascending."""
    rows = planned.rows("test")
    known = sum(name != MISSING_GROUP for name in planned.steering_groups(rows).groups)
    sizes = np.bincount(planned.cells(rows), minlength=2 * known)[: 2 * known]
    return np.flatnonzero(sizes >= FEWEST_ROWS)


def _reached(value: float, limits: Limits, least: float, lower: float) -> str:
    """Whether a change is as large as asked for and its lower limit is; INCONCLUSIVE where the limits hold both."""
    if np.isnan(value) or np.isnan(limits.low):
        return "INCONCLUSIVE"
    if value >= least and limits.low > lower:
        return "yes"
    return "INCONCLUSIVE" if limits.high >= least else "no"


def _change(first: Any, second: Any, value: float, limits: Limits) -> dict[str, float | None]:
    parts = {"first": first, "second": second, "value": value, "low": limits.low, "high": limits.high}
    return {name: number(found) for name, found in parts.items()}
