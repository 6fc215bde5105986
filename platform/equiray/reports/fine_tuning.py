"""The part of a report that shows how classifiers were fine-tuned: before and after, by task and stage."""

from collections.abc import Sequence
from dataclasses import dataclass

from equiray.reports.key_figures import task_words
from equiray.reports.run_directory import FineTuningDetails, RunRecord, ValidationDetails
from equiray.reports.tables import Cell, Table, TableBlock, TableRow
from equiray.reports.words import duration, number, stage_words

CAPTION = (
    "On validation rows, which chose the checkpoint: accuracy, and log loss in nats. “Before” is the same model, asked "
    "the same question zero-shot. Every stage makes equally many updates, unless a time budget stops it."
)
_COLUMNS = (
    ("Before", "Accuracy before, log loss"),
    ("After", "Accuracy of the kept checkpoint, log loss"),
    ("Kept", "Step of the kept checkpoint, of all steps"),
    ("Time", "Training time"),
)


@dataclass(frozen=True, kw_only=True)
class FineTuningSection:
    """`label` is ``short run`` where a time budget stopped a training."""

    label: str
    table: Table
    warnings: list[str]


def fine_tuning_section(run: RunRecord) -> FineTuningSection | None:
    """None where nothing was fine-tuned."""
    trained = run.details.fine_tuning
    if not trained:
        return None
    tasks = dict.fromkeys(one.task for one in trained)
    blocks = [
        TableBlock(title=task_words(run, task), rows=tuple(_row(one) for one in trained if one.task == task))
        for task in tasks
    ]
    return FineTuningSection(
        label="short run" if is_short(trained) else "",
        table=Table(corner="Stage", columns=_COLUMNS, blocks=tuple(blocks)),
        warnings=fine_tuning_warnings(run),
    )


def is_short(trained: Sequence[FineTuningDetails]) -> bool:
    """Whether a time budget stopped a training."""
    return any(one.label == "short run" for one in trained)


def fine_tuning_warnings(run: RunRecord) -> list[str]:
    """Failure signs, each with its task and stage."""
    return [
        f"{task_words(run, one.task)}, {stage_words(one.stage)}: {line}"
        for one in run.details.fine_tuning
        for line in one.warnings
    ]


def _row(one: FineTuningDetails) -> TableRow:
    kept = Cell(
        value=f"{one.best_step} of {one.steps}", note="stopped by its time budget" if one.label == "short run" else ""
    )
    cells = (_measured(one.before), _measured(one.best), kept, Cell(value=duration(one.seconds)))
    return TableRow(label=stage_words(one.stage), cells=cells)


def _measured(at: ValidationDetails) -> Cell:
    return Cell(value=number(at.accuracy), note=f"log loss {number(at.log_loss)}")
