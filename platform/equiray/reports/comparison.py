"""Two sets of predictions side by side: each figure of A, of B, B minus A, and what that lets one say."""

from collections.abc import Container, Iterable
from typing import NamedTuple

from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation.comparison import SAME_CLAIM
from equiray.reports.axes import axis_over
from equiray.reports.figures import COMPARED, Figures, Readings, count_readings, read_effect
from equiray.reports.panels import Block, Panel, interval_row, signed
from equiray.reports.run_directory import ComparisonDetails, RunRecord
from equiray.reports.tables import MOST_GROUPS, Cell, Table, TableBlock, TableRow, plain_cell
from equiray.reports.words import NO_BREAK, attribute_words, bracket, count, enumerate_words, metric_words, number

CHANGE = "B-A"
CAPTION = (
    "Limits of A and of B are those of each figure by itself; those of B − A hold for all of them at once, and where "
    "they include 0 we cannot tell. Areas under the curve, calibration errors and differences of mean scores have "
    "limits as of independent rows, which are wider. Where rows have no answer, B − A is about rows that both answered."
)
ATTRIBUTE_CAPTION = "What compares the groups, under A, under B, and the paired change, with limits as above."
GROUPS_CAPTION = "Rates of each group; the limits of B − A hold for all groups and rates of this comparison at once."

_FIRST_RATES = ("selection_rate", "tpr", "fpr", "accuracy")
_COLUMNS = (("A", "A"), ("B", "B"), ("B − A", "B − A, paired"), ("Reading", "What it lets one say"))


class Compared(NamedTuple):
    """One figure of both sides and its change, None where there is none."""

    first: Estimate | None
    second: Estimate | None
    change: Estimate | None

    @property
    def is_nothing(self) -> bool:
        """0 of both, such as refusals where nobody is refused: nothing to compare."""
        return all(e is not None and e.value == 0 for e in (self.first, self.second))

    @property
    def any(self) -> Estimate:
        found = self.first or self.second or self.change
        assert found is not None
        return found


def compared(figures: Figures, task: str, attribute: str | None) -> list[Compared]:
    """Every figure of an attribute, or of all rows, in the order of the results."""
    sides: dict[tuple[str, str | None], dict[str, Estimate]] = {}
    for e in figures.all:
        if e.task == task and e.attribute == attribute:
            sides.setdefault((e.metric, e.group), {})[e.stage] = e
    found = [Compared(*(stages.get(stage) for stage in (*COMPARED, CHANGE))) for stages in sides.values()]
    return [each for each in found if each.change or not each.is_nothing]


def reading_words(change: Estimate | None) -> str:
    """``B is fairer`` of what compares groups, ``B is better`` over all rows, else ``higher under B``."""
    reading = read_effect(change) if change else "not estimable"
    if change is None or reading not in ("better", "worse", "changed"):
        return "the same" if reading == "identical" else reading
    if change.group is not None or reading == "changed":
        return f"{'higher' if (change.value or 0) > 0 else 'lower'} under B"
    side = "B" if reading == "better" else "A"
    return f"{side} is {'fairer' if change.attribute is not None else 'better'}"


def comparison_table(figures: Figures, task: str, attribute: str | None, *, limits: bool = True) -> Table | None:
    """What compares the groups of an attribute, or the figures over all rows; limits of A and B only if asked for."""
    found = [each for each in compared(figures, task, attribute) if each.any.group is None]
    found.sort(key=lambda each: each.any.metric != "accuracy")
    rows = tuple(TableRow(label=metric_words(each.any.metric).label, cells=_cells(each, limits)) for each in found)
    return Table(corner="Measure", columns=_COLUMNS, blocks=(TableBlock(title="", rows=rows),)) if rows else None


def groups_table(
    figures: Figures,
    task: str,
    attribute: str,
    *,
    most: int = MOST_GROUPS,
    metrics: Container[str] | None = None,
    limits: bool = True,
) -> Table | None:
    """The rates of each group, rate by rate: some `metrics`, by default all; at most `most` groups."""
    blocks: dict[str, list[TableRow]] = {}
    names = figures.groups(task, attribute)
    for each in compared(figures, task, attribute):
        if each.any.group in names[:most] and (metrics is None or each.any.metric in metrics):
            row = TableRow(label=each.any.group or "", cells=_cells(each, limits))
            blocks.setdefault(each.any.metric, []).append(row)
    if len(names) > most:
        more = TableRow(label=f"… and {count(len(names) - most, 'more group')}: see results.json", cells=())
        blocks = {metric: [*rows, more] for metric, rows in blocks.items()}
    order = [*(metric for metric in _FIRST_RATES if metric in blocks), *sorted(blocks.keys() - set(_FIRST_RATES))]
    filled = tuple(TableBlock(title=metric_words(metric).label, rows=tuple(blocks[metric])) for metric in order)
    return Table(corner="Group", columns=_COLUMNS, blocks=filled) if filled else None


def comparison_panels(figures: Figures, task: str, attribute: str) -> list[Panel]:
    """B − A of what compares groups: differences, of which less is fairer, and what is fairer the higher it is."""
    changes = [e for e in changes_between_groups(figures, task) if e.attribute == attribute and e.value is not None]
    axis = axis_over((x for e in changes for x in (e.value, e.low, e.high) if x is not None), symmetric=True)
    panels = []
    for direction, title, sides in (
        ("lower", "Change in differences between groups", ("B is fairer", "A is fairer")),
        ("higher", "Change in ratio and in the worst group", ("A is fairer", "B is fairer")),
    ):
        rows = tuple(interval_row(e, axis, metric_words(e.metric).short) for e in changes if e.direction == direction)
        if rows:
            blocks = (Block(title="", rows=rows),)
            meaning = "B − A on the same rows; filled and coloured only where the limits exclude 0"
            panels.append(
                Panel(title=title, meaning=meaning, blocks=blocks, ticks=axis.ticks, zero=axis.at(0), sides=sides)
            )
    return panels


def comparison_summary(run: RunRecord, figures: Figures, task: str, title: str) -> Iterable[str]:
    """What was compared, and what may be said of it."""
    details = run.details.comparison or ComparisonDetails()
    rows = run.results.n_rows if isinstance(run.results.n_rows, int) else sum(run.results.n_rows.values())
    differ = ""
    if details.differing is not None:
        share = details.differing / max(rows, 1)
        differ = f" They answer differently in {count(details.differing, 'row')} ({100 * share:.1f} %)."
    yield f"{title}: A is “{details.first}”, B is “{details.second}”, on the same {count(rows, 'row')}.{differ}"
    yield " ".join(_accuracy(figures, task))
    yield " ".join(_fairness(figures, task, details))


def comparison_note(run: RunRecord, figures: Figures) -> str:
    """What brackets mean where two are compared."""
    details = run.details.comparison or ComparisonDetails()
    own = sorted({e.confidence for e in figures.all if e.stage in COMPARED})
    sizes = [details.families.get(name, 0) for name in ("overall", "groups")]
    levels = " and ".join(f"{level * 100:g} %" for level in own)
    return (
        f"Brackets beside A and B are {levels} intervals of each figure by itself. Those of B − A hold all at once "
        f"with {details.confidence * 100:g} % confidence, within each of two families: the {count(sizes[0], 'claim')} "
        f"over all groups, and the {count(sizes[1], 'claim')} about single groups. So one that excludes 0 is no "
        "accident of having looked at many."
    )


def changes_between_groups(figures: Figures, task: str) -> list[Estimate]:
    """B − A of everything that compares groups; of metrics that change alike, one."""
    return [
        e
        for e in figures.all
        if (e.task, e.stage, e.group) == (task, CHANGE, None) and e.attribute is not None and e.metric not in SAME_CLAIM
    ]


def _cells(each: Compared, limits: bool) -> tuple[Cell, ...]:
    first, second = (plain_cell(e) if limits else _bare(e) for e in (each.first, each.second))
    return first, second, _change_cell(each.change), Cell(value=reading_words(each.change) if each.change else "–")


def _bare(e: Estimate | None) -> Cell:
    plain = plain_cell(e)
    return Cell(value=plain.value, hint=plain.hint, style=plain.style)


def _change_cell(change: Estimate | None) -> Cell:
    if change is None or change.value is None:
        return plain_cell(change)
    reading = read_effect(change)
    style = reading if reading in ("better", "worse", "changed") else ""
    if change.group is not None and style:
        style = "changed"  # a higher rate of one group is neither good nor bad by itself
    note = "partial" if change.status == "partial" else ""
    return Cell(value=signed(change), interval=bracket(change), note=note, style=style)


def _accuracy(figures: Figures, task: str) -> Iterable[str]:
    for metric in ("accuracy", "mae"):
        found = {e.stage: e for e in figures.all if (e.task, e.metric, e.attribute) == (task, metric, None)}
        if len(found) < 3 or any(e.value is None for e in found.values()):
            continue
        first, second, change = (found[stage] for stage in (*COMPARED, CHANGE))
        words = {"cannot tell": "we cannot tell which is better", "identical": "the same"}
        said = words.get(read_effect(change), reading_words(change))
        label = metric_words(metric).label
        limits = bracket(change).replace(" ", NO_BREAK)
        yield f"{label} is {number(first.value)} under A and {number(second.value)} under B: {said}, the change being"
        yield f"{signed(change)}{NO_BREAK}{limits}."


def _fairness(figures: Figures, task: str, details: ComparisonDetails) -> Iterable[str]:
    changes = changes_between_groups(figures, task)
    readings = count_readings(changes)
    if not readings.compared:
        yield "Nothing that compares groups could be compared."
        return
    sides = {"better": "B is fairer in", "worse": "A is fairer in"}
    for reading, says in sides.items():
        if readings[reading]:
            yield f"{says} {readings[reading]} of {count(readings.compared, 'comparison')} between groups:"
            yield f"{_named(e for e in changes if read_effect(e) == reading)}."
    yield _untold(readings)
    yield f"All of this holds at once with {details.confidence * 100:g} % confidence."


def _untold(readings: Readings) -> str:
    told = readings["better"] + readings["worse"]
    if not told:
        return f"In none of {count(readings.compared, 'comparison')} between groups can we tell which is fairer."
    return f"In {readings['cannot tell']} we cannot tell." if readings["cannot tell"] else ""


def _named(changes: Iterable[Estimate]) -> str:
    by_attribute: dict[str, list[str]] = {}
    for e in changes:
        label = metric_words(e.metric).label
        by_attribute.setdefault(attribute_words(e.attribute or ""), []).append(label[:1].lower() + label[1:])
    return "; ".join(f"by {attribute} {enumerate_words(names)}" for attribute, names in by_attribute.items())
