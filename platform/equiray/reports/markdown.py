"""A run's tables as Markdown, for documents that publish figures; every number is one of ``results.json``."""

from pathlib import Path

from equiray.reports.comparison import comparison_table
from equiray.reports.described import described_overview, described_tables, load_described
from equiray.reports.fairnet import FairnetFile, is_fairnet, load_fairnet
from equiray.reports.fairnet.checks import ablations_table, stress_table
from equiray.reports.fairnet.summary import overview
from equiray.reports.fairnet.tables import cells_table, short_table
from equiray.reports.figures import TABLE_METRICS, Figures
from equiray.reports.key_figures import task_words
from equiray.reports.run_directory import RunRecord
from equiray.reports.summary import write_summary
from equiray.reports.tables import Cell, Table, TableBlock, TableRow, effect_cell, intrinsic_table, paper_table
from equiray.reports.words import attribute_words, metric_words, model_words, stage_words


def markdown_tables(run_dir: Path) -> str:
    """The summary, the intrinsic tables, and per task and attribute the stages and their paired effects.

    Raises
    ------
    BadInput
        The directory or ``results.json`` is absent, or a file does not follow its contract.
    Incomplete
        The run stopped before its results.
    """
    run = load_described(run_dir)
    figures = Figures(run.results.estimates)
    made = f"Spec sha256 `{run.results.spec_sha256[:16]}`, command `{run.details.command}`."
    if is_fairnet(run_dir):
        return "\n\n".join([made, *_fairnet_parts(run, load_fairnet(run_dir))]) + "\n"
    tables = described_tables(run_dir)
    if tables:
        shown = [part for title, table in tables.items() for part in (f"### {title}", _markdown(table))]
        return "\n\n".join([made, *described_overview(run_dir), *shown]) + "\n"
    parts = [made, *write_summary(run, figures)]
    for templates in figures.intrinsic_sets():
        parts += _section(run, templates, None, intrinsic_table(figures, templates))
    for task in figures.decision_tasks():
        if figures.is_comparison(task):
            for attribute in (None, *figures.attributes(task)):
                parts += _section(run, task, attribute, comparison_table(figures, task, attribute))
            continue
        for attribute in figures.attributes(task):
            parts += _section(run, task, attribute, paper_table(figures, task, attribute))
            parts += _section(
                run, task, attribute, effects_table(figures, task, attribute), "paired change on the same rows"
            )
    return "\n\n".join(parts) + "\n"


def _fairnet_parts(run: RunRecord, document: FairnetFile) -> list[str]:
    parts = overview(document, run.frontiers)
    labels = {method.id: method.label for method in document.methods}
    for task in document.tasks:
        own = task.change("fairnet")
        shown = {
            "methods on the test rows": short_table(document, task),
            "cells": cells_table(task, [own] if own else [], labels),
            "ablations": ablations_table(task, own, document.ablations),
            "stress": stress_table(task, document.stress),
        }
        for title, table in shown.items():
            parts += [f"### {task.title}: {title}", _markdown(table)] if table else []
    return parts


def effects_table(figures: Figures, task: str, attribute: str) -> Table | None:
    """Each stage minus baseline, on the same test rows, for accuracy and the disparities of an attribute."""
    blocks = []
    for model in figures.models(task):
        rows = []
        for stage in figures.stages(task, effects=True):
            found = [
                figures.get(task, stage, model, metric, attribute) or figures.get(task, stage, model, metric)
                for metric in TABLE_METRICS
            ]
            if any(found):
                cells = tuple(effect_cell(e) if e else Cell(value="–") for e in found)
                rows.append(TableRow(label=stage_words(stage), cells=cells))
        if rows:
            blocks.append(TableBlock(title=model_words(model), rows=tuple(rows)))
    columns = tuple((metric_words(m).short, metric_words(m).label) for m in TABLE_METRICS)
    return Table(corner="Effect", columns=columns, blocks=tuple(blocks)) if blocks else None


def _section(run: RunRecord, task: str, attribute: str | None, table: Table | None, note: str = "") -> list[str]:
    if table is None:
        return []
    by = f", by {attribute_words(attribute).lower()}" if attribute else ""
    return [f"### {task_words(run, task)}{by}{f': {note}' if note else ''}", _markdown(table)]


def _markdown(table: Table) -> str:
    lines = ["| " + " | ".join(["", table.corner, *(short for short, _ in table.columns)]) + " |"]
    lines.append("|---" * (len(table.columns) + 2) + "|")
    for block in table.blocks:
        for number, row in enumerate(block.rows):
            cells = [block.title if number == 0 else "", row.label, *(_plain(cell) for cell in row.cells)]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _plain(cell: Cell) -> str:
    value = f"**{cell.value}**" if cell.style in ("better", "worse", "changed") else cell.value
    return f"{value}{cell.mark} {cell.interval}".strip()
