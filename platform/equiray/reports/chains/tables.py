"""The tables of a data set: methods, groups, outcomes of chains, the grid, bounds, early stopping."""

from collections.abc import Iterable, Mapping, Sequence

from equiray.metrics.estimates import Estimate
from equiray.reports.axes import axis_over
from equiray.reports.chains.names import (
    PEOPLE,
    POOLED,
    QUESTIONS,
    SIDES,
    figure_words,
    method_words,
    tau_words,
    verdict,
)
from equiray.reports.chains.parts import Outcomes
from equiray.reports.chains.record import Bounds, ChainsFile, ChainsTask, Grid
from equiray.reports.figures import read_effect
from equiray.reports.panels import Block, Panel, interval_row, signed
from equiray.reports.tables import MOST_GROUPS, Cell, Table, TableBlock, TableRow, plain_cell
from equiray.reports.words import bracket, count, metric_words, number, share

_RATES = ("selection_rate", "tpr", "fpr", "accuracy", "refusal_rate", "parse_failure_rate")
_OF_ALL = ("accuracy", "refusal_rate", "parse_failure_rate")
"""Figures that belong to no attribute: they stand in the table of each."""


def columns_of(task: ChainsTask) -> list[tuple[str, str | None]]:
    """Figure and group (of BBQ the context) of each column."""
    return list(QUESTIONS) if task.is_questions else [(metric, None) for metric in PEOPLE]


def estimate_of(task: ChainsTask, stage: str, column: tuple[str, str | None], attribute: str) -> Estimate | None:
    """The estimate that stands in a column."""
    metric, group = column
    found = task.get(stage, metric, attribute, group)
    return found or (task.get(stage, metric, None) if metric in _OF_ALL else None)


def methods_table(document: ChainsFile, task: ChainsTask, attribute: str) -> Table | None:
    """Levels of every method, and below them the paired changes against the reference."""
    columns = columns_of(task)
    measured = ordered(document.methods)
    levels, changes = [], []
    for method in measured:
        found = [estimate_of(task, method, column, attribute) for column in columns]
        if any(found):
            levels.append(TableRow(label=method_words(method), cells=tuple(map(plain_cell, found))))
        effects = [estimate_of(task, f"{method}-{document.reference}", column, attribute) for column in columns]
        if any(effects):
            changes.append(TableRow(label=method_words(method), cells=tuple(map(change_cell, effects))))
    reference = method_words(document.reference).lower()
    titles = {"Figures": levels, f"Paired change against {reference}": changes}
    blocks = [TableBlock(title=title, rows=tuple(rows)) for title, rows in titles.items() if rows]
    heads = tuple((figure_words(*column), figure_words(*column)) for column in columns)
    return Table(corner="Method", columns=heads, blocks=tuple(blocks)) if blocks else None


def change_cell(effect: Estimate | None) -> Cell:
    """A paired change with its limits and what they let one say."""
    if effect is None or effect.value is None:
        return plain_cell(effect)
    reading = read_effect(effect)
    style = reading if reading in ("better", "worse", "changed") else ""
    return Cell(value=signed(effect), interval=bracket(effect), note=verdict(effect), style=style)


def change_panels(document: ChainsFile, task: ChainsTask, attribute: str) -> list[Panel]:
    """The paired change of each figure, a row a method."""
    found: dict[tuple[str, str | None], list[tuple[str, Estimate]]] = {}
    for column in columns_of(task):
        stages = (
            (m, estimate_of(task, f"{m}-{document.reference}", column, attribute)) for m in ordered(document.methods)
        )
        rows = [(method_words(m), e) for m, e in stages if e is not None and e.value is not None]
        if rows:
            found[column] = rows
    limits = [x for rows in found.values() for _, e in rows for x in (e.value, e.low, e.high) if x is not None]
    axis = axis_over(limits, symmetric=True)
    return [
        Panel(
            title=f"Change in {figure_words(*column)[:1].lower()}{figure_words(*column)[1:]}",
            meaning=f"against {method_words(document.reference).lower()}, the same cases",
            blocks=(Block(title="", rows=tuple(interval_row(e, axis, label) for label, e in rows)),),
            ticks=axis.ticks,
            zero=axis.at(0),
            sides=SIDES.get(rows[0][1].direction),
        )
        for column, rows in found.items()
    ]


def group_table(document: ChainsFile, task: ChainsTask, attribute: str) -> Table | None:
    """Rates of every group under each method; of BBQ what was refused and unparsed of the category's groups."""
    found = [e for e in task.estimates if e.attribute == attribute and e.group is not None and "-" not in e.stage]
    metrics = [m for m in _RATES if any(e.metric == m for e in found)]
    blocks = []
    for method in ordered(document.methods):
        mine = {(e.group, e.metric): e for e in found if e.stage == method}
        names = list(dict.fromkeys(group for group, _ in mine))
        rows = [
            TableRow(label=str(name), cells=tuple(_of(mine.get((name, metric))) for metric in metrics))
            for name in names[:MOST_GROUPS]
        ]
        if rows:
            blocks.append(TableBlock(title=method_words(method), rows=tuple(rows)))
    heads = tuple((metric_words(m).short, metric_words(m).label) for m in metrics)
    return Table(corner="Group", columns=heads, blocks=tuple(blocks)) if blocks else None


def outcome_table(parts: Mapping[str, Mapping[str, Outcomes]]) -> Table:
    """Of each group's chains how many were answered, unparsed and refused; a block a side."""
    blocks = [
        TableBlock(title=side, rows=tuple(_outcome_row(name, of) for name, of in groups.items()))
        for side, groups in parts.items()
    ]
    columns = ("Chains", "Answered", "Unparsed", "Refused")
    return Table(corner="Group", columns=tuple((name, name) for name in columns), blocks=tuple(blocks))


def grid_table(grid: Grid, name: str) -> Table:
    """A figure at every temperature (rows) and number of chains (columns)."""
    rows = [
        TableRow(
            label=f"τ {tau_words(tau)}" + (" (majority)" if tau == "inf" else ""), cells=tuple(map(_plain, values))
        )
        for tau, values in zip(grid.temperatures, grid.figures[name], strict=True)
    ]
    columns = tuple((f"N {n}", count(n, "chain")) for n in grid.chains)
    return Table(corner="τ", columns=columns, blocks=(TableBlock(title=figure_words(name), rows=tuple(rows)),))


def bound_table(bounds: Bounds) -> Table:
    """The lowest and the highest rate of each group under any weights, and the gap between groups these allow."""
    both = (bounds.any_scores, bounds.any_assignment)
    rows = [
        TableRow(
            label=name,
            cells=tuple(
                Cell(value=f"{number(of.groups[name].lowest)} – {number(of.groups[name].highest)}")
                if name in of.groups
                else Cell(value="–")
                for of in both
            ),
        )
        for name in bounds.any_scores.groups
    ]
    gap = TableRow(
        label="Gap between groups",
        cells=tuple(Cell(value=f"{number(of.least_gap)} – {number(of.largest_gap)}") for of in both),
    )
    columns = (("Any scores", "whatever the reward model says"), ("These scores", "dealt to other chains"))
    return Table(corner="Group", columns=columns, blocks=(TableBlock(title="", rows=(*rows, gap)),))


def stopping_table(task: ChainsTask) -> Table | None:
    """Chains saved and decisions changed at each risk."""
    rows = [
        TableRow(
            label="certain" if one.risk == 0 else f"risk {share(one.risk)}",
            cells=(
                Cell(value=share(one.saved)),
                Cell(value=f"{one.chains_a_case:.2f}", note=f"of {task.chains}"),
                Cell(value=share(one.changed), note=f"{share(one.changed_low)} – {share(one.changed_high)}"),
            ),
        )
        for one in task.early_stopping
    ]
    names = ("Chains saved", "Chains a case", "Decisions changed")
    columns = tuple((name, name) for name in names)
    return (
        Table(corner="Stop when", columns=columns, blocks=(TableBlock(title="", rows=tuple(rows)),)) if rows else None
    )


def ordered(methods: Sequence[str]) -> list[str]:
    """The method that this page is about first, then the reference and the baselines."""
    return sorted(methods, key=lambda method: method != "reward")


def table_attributes(task: ChainsTask) -> Iterable[str]:
    """What methods are tabled by: all questions and each category, or each attribute."""
    return (POOLED, *task.attributes) if task.is_questions else task.attributes


def _of(estimate: Estimate | None) -> Cell:
    return plain_cell(estimate, f"of {count(estimate.n)}" if estimate and estimate.value is not None else "")


def _plain(value: float | None) -> Cell:
    return Cell(value="n. e.", hint="not estimable", style="missing") if value is None else Cell(value=number(value))


def _outcome_row(name: str, of: Outcomes) -> TableRow:
    def part(n: int) -> Cell:
        return Cell(value=count(n), note=share(n / of.chains) if of.chains else "")

    return TableRow(
        label=name, cells=(Cell(value=count(of.chains)), part(of.answered), part(of.unparsed), part(of.refused))
    )
