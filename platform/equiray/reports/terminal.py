"""`print_summary`: the run on a terminal, the table first of all."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from equiray.reports.audit_tables import disparity_table
from equiray.reports.comparison import comparison_table, groups_table
from equiray.reports.described import described_overview, described_tables, load_described
from equiray.reports.fairnet import FairnetFile, is_fairnet, load_fairnet
from equiray.reports.fairnet.summary import overview
from equiray.reports.fairnet.tables import short_table
from equiray.reports.figures import Figures
from equiray.reports.key_figures import task_words
from equiray.reports.run_directory import RunRecord
from equiray.reports.summary import write_summary
from equiray.reports.tables import Cell, Table, group_table, intrinsic_table, paper_table

_OF_GROUPS = ("selection_rate", "tpr", "fpr", "accuracy", "impact_ratio", "mae", "mean_prediction")
_COMPARED = ("selection_rate", "tpr", "fpr", "accuracy", "mae", "mean_prediction")
_MOST_GROUPS = 30
VERDICTS = ("PASS", "FAIL", "INCONCLUSIVE")
_COLOURS = {"better": "bold cyan", "worse": "bold yellow", "changed": "bold", "missing": "dim italic"}


def print_summary(run_dir: Path, console: Console) -> None:
    """Print the summary and the stage x model tables of a finished run.

    Raises
    ------
    BadInput
        The directory or ``results.json`` is absent, or a file does not follow its contract.
    Incomplete
        The run stopped before its results.
    """
    run = load_described(run_dir)
    tables = described_tables(run_dir)
    if tables:
        _print_described(run, tables, console)
        return
    if is_fairnet(run_dir):
        _print_fairnet(run, load_fairnet(run_dir), console)
        return
    figures = Figures(run.results.estimates)
    console.print(Text(run.name, style="bold"))
    console.print(Text("\n".join(write_summary(run, figures))))
    for task, told in run.details.tasks.items():
        for warning in told.warnings:
            console.print(Text(f"{task}: {warning}", style="yellow"))
    for templates in figures.intrinsic_sets():
        _print(intrinsic_table(figures, templates), task_words(run, templates), console)
    for task in figures.decision_tasks():
        if figures.is_comparison(task):
            _print_comparison(run, figures, task, console)
            continue
        for attribute in figures.attributes(task):
            title = f"{task_words(run, task)}, by {attribute}"
            if not figures.is_audit(task):
                _print(paper_table(figures, task, attribute), title, console)
                continue
            _print(disparity_table(figures, task, attribute, _alike(run, task, attribute)), title, console)
            _print(group_table(figures, task, attribute, metrics=_OF_GROUPS, most=_MOST_GROUPS), "Its groups", console)


def _print_described(run: RunRecord, tables: Mapping[str, Table], console: Console) -> None:
    console.print(Text(run.name, style="bold"))
    console.print(Text("\n".join(described_overview(run.path))))
    for title, table in tables.items():
        _print(table, title, console)


def _print_fairnet(run: RunRecord, document: FairnetFile, console: Console) -> None:
    console.print(Text(run.name, style="bold"))
    console.print(Text("\n".join(overview(document, run.frontiers))))
    for task in document.tasks:
        for warning in task.warnings:
            console.print(Text(f"{task.title}: {warning}", style="yellow"))
        _print(short_table(document, task), f"{task.title}, by {task.attribute}", console)


def _print_comparison(run: RunRecord, figures: Figures, task: str, console: Console) -> None:
    """Limits of A and of B stand in the report: here they would leave no room for those of the change."""
    _print(comparison_table(figures, task, None, limits=False), f"{task_words(run, task)}, all rows", console)
    for attribute in figures.attributes(task):
        title = f"{task_words(run, task)}, by {attribute}"
        _print(comparison_table(figures, task, attribute, limits=False), title, console)
        _print(
            groups_table(figures, task, attribute, metrics=_COMPARED, most=_MOST_GROUPS, limits=False),
            "Its groups",
            console,
        )


def _alike(run: RunRecord, task: str, attribute: str) -> Mapping[str, float]:
    details = run.details.tasks.get(task)
    return details.at_equality.get(attribute, {}) if details else {}


def _print(table: Table | None, title: str, console: Console) -> None:
    if table is None:
        return
    out = RichTable(title=escape(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    out.add_column(table.corner)
    for place, (short, _) in enumerate(table.columns):
        # rows that speak of what is left out have no cells
        cells = [cell.value for block in table.blocks for row in block.rows for cell in row.cells[place : place + 1]]
        # a column of verdicts keeps its width, others break their lines first: a verdict is never cut
        verdicts = [len(cell) for cell in cells if cell in VERDICTS]
        out.add_column(Text(short), justify="left", no_wrap=bool(verdicts), min_width=max(verdicts, default=None))
    for block in table.blocks:
        indent = 2 if block.title else 0
        if block.title:
            out.add_row(Text(block.title, style="italic"))
        for row in block.rows:
            out.add_row(Padding(_Name(row.label), (0, 0, 0, indent)), *(_text(cell) for cell in row.cells))
    console.print()
    console.print(out)


def _text(cell: Cell) -> Text:
    text = Text(f"{cell.value}{cell.mark}", style=_COLOURS.get(cell.style, ""))
    return text.append(f" {cell.interval}", style="not bold dim") if cell.interval else text


class _Name(NamedTuple):
    """A row's name, whole in a column of any width: broken after blanks and after the `*` of an intersection."""

    name: str

    @property
    def _parts(self) -> list[str]:
        return re.findall(r"[^\s*]*[\s*]+|[^\s*]+", self.name)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [""]
        for part in self._parts:
            if lines[-1] and cell_len(lines[-1] + part.rstrip()) > options.max_width:
                lines.append("")
            lines[-1] += part
        yield Text("\n".join(line.rstrip() for line in lines), overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        longest = max((cell_len(part.rstrip()) for part in self._parts), default=0)
        return Measurement(longest, cell_len(self.name)).clamp(max_width=options.max_width)
