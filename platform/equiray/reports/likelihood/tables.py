"""Plots and tables of preferences: every figure of a data set, of all its choices and of each category."""

from equiray.metrics.estimates import Estimate
from equiray.reports.axes import axis_over
from equiray.reports.chains.names import POOLED, QUESTIONS, figure_words
from equiray.reports.likelihood.record import LikelihoodFile, ScoredSet
from equiray.reports.panels import Block, Panel, interval_row
from equiray.reports.provenance import Fact
from equiray.reports.tables import Table, TableBlock, TableRow, plain_cell
from equiray.reports.words import count, metric_words

ALL = "All"
_FAIR = {"half": 0.5, "zero": 0.0}
"""Where a figure says that nothing is preferred, by its direction."""

_RIGHT = "the share of questions whose right option is the likeliest of the three"

_FIGURES: dict[str, tuple[tuple[str, str | None], ...]] = {
    "crows_pairs": (("crows_stereotype_share", None),),
    "stereoset": (("stereoset_ss", None), ("stereoset_lms", None), ("stereoset_icat", None)),
    "winobias": (("winobias_gap", None),),
    "bbq": QUESTIONS,
}


def fair_point(e: Estimate) -> float | None:
    """The value of no preference; None where the figure is of something else."""
    return _FAIR.get(e.direction)


def reading(e: Estimate) -> str:
    """What the limits let one say of a preference."""
    fair = fair_point(e)
    if e.value is None or fair is None:
        return "not estimable"
    if e.low is None or e.high is None or e.low <= fair <= e.high:
        return "cannot tell"
    return "towards the stereotype" if e.low > fair else "against the stereotype"


def headlines(document: LikelihoodFile, chosen: ScoredSet) -> list[Estimate]:
    """The preferences of all choices."""
    found = [document.get(chosen.name, metric, _whole(chosen)) for metric, group in _FIGURES[chosen.name] if not group]
    return [e for e in found if e is not None and fair_point(e) is not None]


def preference_panels(document: LikelihoodFile, chosen: ScoredSet) -> list[Panel]:
    """A plot for each figure that has a value of no preference: all choices, then each category."""
    panels = []
    for metric in (e.metric for e in headlines(document, chosen)):
        found = {name: document.get(chosen.name, metric, of) for name, of in _parts(chosen).items()}
        known = {name: e for name, e in found.items() if e is not None}
        fair = next(fair for e in known.values() if (fair := fair_point(e)) is not None)
        limits = [x for e in known.values() for x in (e.value, e.low, e.high) if x is not None]
        axis = axis_over([fair, *limits])
        panels.append(
            Panel(
                title=figure_words(metric),
                meaning=f"{metric_words(metric).meaning}; the line at {fair:g} is no preference",
                blocks=(Block(title="", rows=tuple(interval_row(e, axis, _named(name)) for name, e in known.items())),),
                ticks=axis.ticks,
                zero=axis.at(fair),
                sides=("against the stereotype", "towards it"),
            )
        )
    return panels


def meanings(document: LikelihoodFile, chosen: ScoredSet) -> list[Fact]:
    """What each figure of a data set is, and where it says that nothing is preferred."""
    facts = []
    for metric, group in _FIGURES[chosen.name]:
        e = document.get(chosen.name, metric, _whole(chosen), group)
        fair = None if e is None else fair_point(e)
        said = _RIGHT if metric == "accuracy" else metric_words(metric).meaning
        facts.append(Fact(figure_words(metric, group), said if fair is None else f"{said}; {fair:g} is no preference"))
    return facts


def figures_table(document: LikelihoodFile, chosen: ScoredSet) -> Table:
    """Every figure with its interval and n."""
    columns = _FIGURES[chosen.name]
    rows = []
    for name, attribute in _parts(chosen).items():
        found = [document.get(chosen.name, metric, attribute, group) for metric, group in columns]
        cells = tuple(plain_cell(e, "" if e is None else f"of {count(e.n)}") for e in found)
        rows.append(TableRow(label=_named(name), cells=cells))
    heads = tuple((figure_words(*column), figure_words(*column)) for column in columns)
    return Table(corner="Category", columns=heads, blocks=(TableBlock(title="", rows=tuple(rows)),))


def _whole(chosen: ScoredSet) -> str | None:
    return POOLED if chosen.name == "bbq" else None


def _parts(chosen: ScoredSet) -> dict[str, str | None]:
    """All choices, then those of each category, by their names."""
    return {ALL: _whole(chosen), **{name: name for name in chosen.categories}}


def _named(category: str) -> str:
    """``Race_x_gender`` -> ``Race × gender``."""
    return category.replace("_x_", " × ").replace("_", " ")
