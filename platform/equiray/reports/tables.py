"""The tables: stage x model as in the paper's tables 1 and 2, groups with their rates, intrinsic before and after."""

from collections.abc import Container, Iterable
from dataclasses import dataclass

from equiray.metrics.estimates import Estimate
from equiray.reports.figures import (
    AUDIT,
    GROUP_RATES,
    INTRINSIC_METRICS,
    TABLE_METRICS,
    Figures,
    effect_phrase,
    is_effect,
    read_effect,
)
from equiray.reports.panels import signed
from equiray.reports.words import attribute_words, bracket, count, metric_words, model_words, number, stage_words

MOST_GROUPS = 300
"""Groups that a table shows: thousands of rows are for a program to read."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure; `mark` is an arrow and `style` its colour class where a paired effect is clear.

    `note` stands below the figure; `hint` only shows where a pointer rests on it and repeats what stands elsewhere.
    """

    value: str
    interval: str = ""
    note: str = ""
    hint: str = ""
    mark: str = ""
    style: str = ""


@dataclass(frozen=True, kw_only=True)
class TableRow:
    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class TableBlock:
    """Rows under one heading; an empty title needs no heading row."""

    title: str
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """`columns` are (short name, full name); the first column holds the row labels, headed `corner`."""

    corner: str
    columns: tuple[tuple[str, str], ...]
    blocks: tuple[TableBlock, ...]


def paper_table(figures: Figures, task: str, attribute: str) -> Table | None:
    """Acc, AccP, DP and EqOdds of every stage and model; None where the run has no such figure."""
    columns = [m for m in TABLE_METRICS if any(e.task == task and e.metric == m for e in figures.all)]
    blocks = []
    for model in figures.models(task):
        rows = [_paper_row(figures, task, stage, model, columns, attribute) for stage in figures.stages(task)]
        rows = [row for row in rows if row is not None]
        if rows:
            blocks.append(TableBlock(title=model_words(model), rows=tuple(rows)))
    return _table("Stage", columns, blocks)


def _paper_row(
    figures: Figures, task: str, stage: str, model: str, columns: list[str], attribute: str
) -> TableRow | None:
    # Accuracy belongs to no attribute: the same figure stands in the table of each.
    found = [
        figures.get(task, stage, model, metric, attribute) or figures.get(task, stage, model, metric)
        for metric in columns
    ]
    if not any(found):
        return None
    return TableRow(label=stage_words(stage), cells=tuple(_marked_cell(figures, e) for e in found))


def _marked_cell(figures: Figures, e: Estimate | None) -> Cell:
    if e is None:
        return plain_cell(None)
    baseline = figures.get(e.task, "baseline", e.model, e.metric, e.attribute, e.group)
    effect = figures.effect(baseline, e.stage) if baseline else None
    reading = read_effect(effect) if effect else "cannot tell"
    if effect is None or reading not in ("better", "worse", "changed"):
        return plain_cell(e)
    plain = plain_cell(e)
    mark = "▲" if (effect.value or 0) > 0 else "▼"
    hint = f"{effect_phrase(effect)} than at baseline: paired difference {signed(effect)} {bracket(effect)}"
    return Cell(value=plain.value, interval=plain.interval, note=plain.note, hint=hint, mark=mark, style=reading)


def plain_cell(e: Estimate | None, note: str = "") -> Cell:
    """A figure without a comparison, and what stands below it; None is one that was not measured."""
    if e is None:
        return Cell(value="–", hint="not measured")
    if e.value is None:
        return Cell(value="n. e.", note=note, hint="not estimable", style="missing")
    partial = "partial" if e.status == "partial" else ""
    return Cell(value=number(e.value, e.metric), interval=bracket(e), note=note or partial, style=partial)


def group_table(
    figures: Figures, task: str, attribute: str, *, metrics: Container[str] | None = None, most: int = MOST_GROUPS
) -> Table | None:
    """For each model, stage and group: the rates, with the number of rows each was counted over.

    Only some `metrics`, by default all there are; at most `most` groups, and a line that says how many more there are.
    """
    groups = figures.groups(task, attribute)
    left_out = len(groups) - most
    present = figures.group_metrics(task, attribute)
    columns = [m for m in GROUP_RATES if m in present] + [m for m in present if m not in GROUP_RATES]
    columns = [m for m in columns if metrics is None or m in metrics]
    blocks = []
    for model in figures.models(task):
        for stage in figures.stages(task):
            rows = [_group_row(figures, task, stage, model, columns, attribute, group) for group in groups[:most]]
            rows = [row for row in rows if row is not None]
            if rows and left_out > 0:
                rows.append(TableRow(label=f"… and {count(left_out, 'more group')}: see results.json", cells=()))
            if rows:
                where = "" if stage == AUDIT else f" · {stage_words(stage)}"
                blocks.append(TableBlock(title=model_words(model) + where, rows=tuple(rows)))
    return _table("Group", columns, blocks)


def _group_row(
    figures: Figures, task: str, stage: str, model: str, columns: list[str], attribute: str, group: str
) -> TableRow | None:
    found = [figures.get(task, stage, model, metric, attribute, group) for metric in columns]
    if not any(found):
        return None
    return TableRow(label=group, cells=tuple(plain_cell(e, f"of {count(e.n)}" if e else "") for e in found))


def intrinsic_table(figures: Figures, templates: str) -> Table | None:
    """Every intrinsic metric before and after, and the paired change, per attribute and group."""
    mine = [e for e in figures.all if e.task == templates and e.metric in INTRINSIC_METRICS]
    levels = [stage for stage in figures.stages(templates) if any(e.stage == stage for e in mine)]
    effects = [stage for stage in figures.stages(templates, effects=True) if any(e.stage == stage for e in mine)]
    stages = [*levels, *effects]
    blocks = []
    for model in figures.models(templates):
        for attribute in dict.fromkeys(e.attribute for e in mine if e.model == model):
            rows = _intrinsic_rows(figures, templates, model, attribute, stages, mine)
            title = attribute_words(attribute) if attribute else "Any text"
            title = title if len(figures.models(templates)) == 1 else f"{title} · {model}"
            blocks.append(TableBlock(title=title, rows=rows))
    if not blocks:
        return None
    return Table(
        corner="Measure", columns=tuple((stage_words(s), stage_words(s)) for s in stages), blocks=tuple(blocks)
    )


def _intrinsic_rows(
    figures: Figures, templates: str, model: str, attribute: str | None, stages: list[str], mine: Iterable[Estimate]
) -> tuple[TableRow, ...]:
    measured = [(e.metric, e.group) for e in mine if e.model == model and e.attribute == attribute]
    wanted = sorted(dict.fromkeys(measured), key=lambda pair: INTRINSIC_METRICS.index(pair[0]))
    rows = []
    for metric, group in wanted:
        found = [figures.get(templates, stage, model, metric, attribute, group) for stage in stages]
        label = metric_words(metric).label + (f", {group}" if group else "")
        rows.append(
            TableRow(label=label, cells=tuple(effect_cell(e) if e and is_effect(e) else plain_cell(e) for e in found))
        )
    return tuple(rows)


def effect_cell(effect: Estimate) -> Cell:
    """A paired difference with its sign, coloured where its interval excludes 0."""
    reading = read_effect(effect)
    if reading == "not estimable":
        return plain_cell(effect)
    style = reading if reading in ("better", "worse", "changed") else ""
    return Cell(value=signed(effect), interval=bracket(effect), note=effect_phrase(effect), style=style)


def _table(corner: str, columns: Iterable[str], blocks: Iterable[TableBlock]) -> Table | None:
    words = tuple((metric_words(m).short, metric_words(m).label) for m in columns)
    filled = tuple(blocks)
    return Table(corner=corner, columns=words, blocks=filled) if filled and words else None
