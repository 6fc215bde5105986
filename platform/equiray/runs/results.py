"""From predictions to figures: what is known about every model at every stage of a task, and what a stage changes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation import CountedEvidence, Labels, Setting, changes_of, score_changes_of
from equiray.metrics.verdicts import Evidence
from equiray.policies import StoredEvidence, Subject
from equiray.runs.context import RunContext
from equiray.runs.counted_evidence import counts_file, decided_evidence
from equiray.runs.decisions import (
    CountingPlan,
    check_same_rows,
    count_decisions,
    grouped,
    joint_tables,
    read_decisions,
    scored_rows,
)
from equiray.runs.gate import subjects_of
from equiray.runs.predictions import Cell, cells, predictions_file


@dataclass(frozen=True, kw_only=True)
class TaskResults:
    """What is known about a task: `evidence` of each model and stage, and the paired `effects` of the stages."""

    evidence: Mapping[Subject, CountedEvidence]
    effects: Sequence[Estimate]

    @property
    def estimates(self) -> list[Estimate]:
        """Every figure, levels first."""
        return [estimate for one in self.evidence.values() for estimate in one.estimates] + list(self.effects)


def task_results(task: str, plan: CountingPlan, run: RunContext) -> TaskResults:
    """Count a task's test rows, keep the counts in the run directory, and say what follows from them.

    Raises
    ------
    BadInput
        Predictions were tampered with.
    Incomplete
        Counts cannot be written.
    """
    decided = {cell: read_decisions(run.directory, task, cell) for cell in cells(run.spec)}
    evidence = {Subject(task, cell.stage, cell.model): _count(task, cell, decided[cell], plan, run) for cell in decided}
    effects = [effect for cell in decided for effect in _effects(task, cell, decided, plan, run)]
    return TaskResults(evidence=evidence, effects=effects)


def all_evidence(
    estimates: Iterable[Estimate], of_tasks: Iterable[Mapping[Subject, CountedEvidence]]
) -> dict[Subject, Evidence]:
    """What `gate` would read of the run directory: what was counted, and of all else the estimates."""
    counted = {subject: evidence for of_task in of_tasks for subject, evidence in of_task.items()}
    return {
        subject: counted.get(subject) or StoredEvidence(estimates=tuple(found))
        for subject, found in subjects_of(estimates).items()
    }


def _count(task: str, cell: Cell, rows: pa.Table, plan: CountingPlan, run: RunContext) -> CountedEvidence:
    subject = Subject(task, cell.stage, cell.model)
    model = f"{run.spec.sha256()} {cell.model} {cell.stage}"
    counts = count_decisions(rows, plan.layout, model=model, origin=predictions_file(task, cell))
    counts.save(run.directory.path / counts_file(subject))
    return decided_evidence(counts, plan.groups, subject, run.spec.statistics.confidence)


def _effects(
    task: str, cell: Cell, decided: Mapping[Cell, pa.Table], plan: CountingPlan, run: RunContext
) -> list[Estimate]:
    """The change of every metric from the baseline of the same model, on the same rows."""
    before = Cell(cell.model, "baseline")
    if cell == before or before not in decided:
        return []
    first, second = decided[before], decided[cell]
    check_same_rows(first, second, place=f"{predictions_file(task, before)} and {predictions_file(task, cell)}")
    labels = Labels(task=task, stage=f"{cell.stage}-{before.stage}", model=cell.model)
    setting = Setting(labels=labels, confidence=run.spec.statistics.confidence)
    of_decisions = changes_of(list(joint_tables(first, second, plan.groups)), setting)
    return of_decisions + score_changes_of(scored_rows(first, second), list(grouped(second, plan.groups)), setting)
