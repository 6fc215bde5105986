"""The tables of an audit: everything that compares an attribute's groups, and the figures over all rows."""

from collections.abc import Mapping

from equiray.metrics.estimates import Estimate
from equiray.reports.figures import AUDIT, Figures
from equiray.reports.tables import Cell, Table, TableBlock, TableRow, plain_cell
from equiray.reports.words import metric_words, model_words, number

DISPARITY_CAPTION = (
    "What compares the groups, with the limits of each figure by itself. “Alike” is what chance alone would make of a "
    "difference or a ratio, on average, if all groups were alike: in small groups it is far from 0, or from 1."
)


def disparity_table(
    figures: Figures, task: str, attribute: str, at_equality: Mapping[str, float] | None = None
) -> Table | None:
    """Every figure of the attribute, and beside it what it would be if all groups were alike, where that is known."""
    expected = at_equality or {}
    blocks = []
    for model in figures.models(task):
        found = [e for e in _disparities(figures, task, attribute) if e.model == model]
        rows = tuple(
            TableRow(
                label=metric_words(e.metric).label,
                cells=(plain_cell(e), Cell(value=number(expected[e.metric]) if e.metric in expected else "–")),
            )
            for e in found
        )
        if rows:
            blocks.append(TableBlock(title=model_words(model), rows=rows))
    columns = (("Value", "Value and limits"), ("Alike", "Expected if all groups were alike"))
    return Table(corner="Measure", columns=columns, blocks=tuple(blocks)) if blocks else None


def headline(figures: Figures, task: str, attribute: str) -> str:
    """The first disparity of an audit, which a folded section still shows; of a run none, which has one a stage."""
    found = _disparities(figures, task, attribute)
    if not found:
        return ""
    cell = plain_cell(found[0])
    return f"{metric_words(found[0].metric).label} {cell.hint or f'{cell.value} {cell.interval}'}"


def _disparities(figures: Figures, task: str, attribute: str) -> list[Estimate]:
    about = (task, AUDIT, attribute, None)
    return [e for e in figures.all if (e.task, e.stage, e.attribute, e.group) == about]
