"""The folded tables of a run: every figure at every stage, and what a stage changed in each group."""

from collections.abc import Container

from equiray.reports.figures import GROUP_RATES, UNANSWERED, Figures, is_effect
from equiray.reports.run_directory import TaskDetails
from equiray.reports.tables import MOST_GROUPS, Cell, Table, TableBlock, TableRow, effect_cell, plain_cell
from equiray.reports.words import metric_words, model_words, number, stage_words

FULL_CAPTION = (
    "Every figure, with the limits of each by itself. “Alike” is what chance alone would make of a difference or a "
    "ratio, on average, if all groups were alike: in small groups it is far from 0, or from 1."
)


def full_table(figures: Figures, task: str, attribute: str | None, details: TaskDetails | None) -> Table | None:
    """All that compares the attribute's groups, or is about all rows: stages side by side, then their paired changes.

    Beside a disparity stands what it would be if all groups were alike, where that is known. Refusals and parse
    failures are left out where there are none.
    """
    mine = [e for e in figures.all if (e.task, e.attribute, e.group) == (task, attribute, None)]
    refused = {e.metric for e in mine if e.metric in UNANSWERED and e.value}
    mine = [e for e in mine if e.metric not in UNANSWERED or e.metric in refused]
    stages = [*figures.stages(task), *figures.stages(task, effects=True)]
    stages = [stage for stage in stages if any(e.stage == stage for e in mine)]
    blocks = []
    for model in figures.models(task):
        metrics = dict.fromkeys(e.metric for e in mine if e.model == model)
        rows = tuple(
            TableRow(
                label=metric_words(metric).label,
                cells=tuple(_cell(figures, details, task, stage, model, metric, attribute) for stage in stages),
            )
            for metric in metrics
        )
        if rows:
            blocks.append(TableBlock(title=model_words(model), rows=rows))
    columns = tuple((stage_words(stage), stage_words(stage)) for stage in stages)
    return Table(corner="Measure", columns=columns, blocks=tuple(blocks)) if blocks else None


def _cell(
    figures: Figures,
    details: TaskDetails | None,
    task: str,
    stage: str,
    model: str,
    metric: str,
    attribute: str | None,
) -> Cell:
    found = figures.get(task, stage, model, metric, attribute)
    if found is not None and is_effect(found):
        return effect_cell(found)
    alike = details.alike(model, stage, attribute).get(metric) if details and attribute else None
    note = "" if alike is None else f"{'partial; ' if found and found.status == 'partial' else ''}alike {number(alike)}"
    return plain_cell(found, note)


def shown_of_groups(figures: Figures, task: str, attribute: str) -> list[str]:
    """The metrics of single groups that the page of a run shows: the rates that are read most, refusals if there are
    any, and what no catalogue knows. All others stand in results.json.
    """
    unanswered = [
        metric
        for metric in UNANSWERED
        if any(e.value for e in figures.all if (e.task, e.attribute, e.metric) == (task, attribute, metric))
    ]
    known = [*GROUP_RATES, *unanswered]
    return known + [m for m in figures.group_metrics(task, attribute) if not metric_words(m).meaning]


def group_changes(figures: Figures, task: str, attribute: str, metrics: Container[str]) -> Table | None:
    """What each stage changed in the rates of every group, on the same rows: who gains, and who pays."""
    groups, stages = figures.groups(task, attribute)[:MOST_GROUPS], figures.stages(task, effects=True)
    changed = [metric for metric in figures.group_metrics(task, attribute) if metric in metrics]
    blocks = []
    for model in figures.models(task):
        for stage in stages:
            rows = [_group_row(figures, task, stage, model, changed, attribute, group) for group in groups]
            rows = tuple(row for row in rows if row is not None)
            if rows:
                blocks.append(TableBlock(title=f"{model_words(model)} · {stage_words(stage)}", rows=rows))
    columns = tuple((metric_words(m).short, metric_words(m).label) for m in changed)
    return Table(corner="Group", columns=columns, blocks=tuple(blocks)) if blocks else None


def _group_row(
    figures: Figures, task: str, stage: str, model: str, metrics: list[str], attribute: str, group: str
) -> TableRow | None:
    found = [figures.get(task, stage, model, metric, attribute, group) for metric in metrics]
    if not any(found):
        return None
    return TableRow(label=group, cells=tuple(effect_cell(e) if e else plain_cell(None) for e in found))
