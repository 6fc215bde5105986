"""The tables of a task: methods, and cells; every change is shown as a paired estimate."""

from collections.abc import Sequence

from equiray.metrics.estimates import Estimate
from equiray.reports.axes import axis_over
from equiray.reports.fairnet.record import Change, Changes, FairnetFile, Task
from equiray.reports.panels import Block, Panel, interval_row, signed
from equiray.reports.tables import Cell, Table, TableBlock, TableRow, effect_cell
from equiray.reports.words import bracket, count, number, share

MEASURES = {
    "accuracy": ("Accuracy", "of all rows"),
    "worst_cell": ("Worst cell", "accuracy"),
    "equalized_odds_difference_mean": ("EqOdds mean", "difference"),
    "ece": ("ECE", "calibration error"),
    "open": ("Open", "share of rows"),
}
ANSWER_STYLES = {"yes": "better", "no": "worse", "INCONCLUSIVE": "partial"}


def effect_of(change: Change, task: str, method: str, reference: str, confidence: float, rows: int) -> Estimate:
    """A change of an accuracy as the paired estimate that tables and panels know how to show."""
    return Estimate(
        task=task,
        stage=f"{method}-{reference}",
        model=method,
        metric="accuracy",
        attribute=None,
        group=None,
        value=change.value,
        low=change.low,
        high=change.high,
        confidence=confidence,
        n=rows,
        status="not_estimable" if change.value is None else "estimated",
        direction="higher",
    )


def effects_of(task: Task, of: Changes) -> dict[str, Estimate]:
    """The changes of accuracy and of the worst cell."""
    parts = {"accuracy": of.accuracy, "worst": of.worst}
    return {
        name: effect_of(part, task.task, of.method, of.reference, of.confidence, task.rows.test)
        for name, part in parts.items()
    }


def methods_table(document: FairnetFile, task: Task) -> Table:
    """Every method: levels as means over trainings, changes against ERM, and whether it must know the group."""
    rows = []
    for method in document.methods:
        points = [point for seed in task.seeds if (point := seed.point(method.id))]
        if not points:
            continue
        cells = [mean_cell([getattr(point, name) for point in points], as_share=name == "open") for name in MEASURES]
        changes = task.change(method.id)
        effects = effects_of(task, changes) if changes else {}
        cells += [stacked(effects[name]) if name in effects else Cell(value="–") for name in ("accuracy", "worst")]
        cells.append(Cell(value="yes" if method.needs_group else "no"))
        rows.append(TableRow(label=method.label, cells=tuple(cells)))
    columns = (
        *MEASURES.values(),
        ("Δ accuracy", "against ERM"),
        ("Δ worst cell", "against ERM"),
        ("Group?", "known when deciding"),
    )
    return Table(corner="Method", columns=columns, blocks=(TableBlock(title="", rows=tuple(rows)),))


def short_table(document: FairnetFile, task: Task) -> Table:
    """What a terminal has room for: accuracy, the worst cell, how both changed, and the verdicts."""
    rows = []
    for method in document.methods:
        points = [point for seed in task.seeds if (point := seed.point(method.id))]
        levels = [mean_cell([getattr(p, name) for p in points], as_share=False) for name in ("accuracy", "worst_cell")]
        changes = task.change(method.id)
        if changes:
            effects = effects_of(task, changes)
            cells = [effect_cell(effects["worst"]), effect_cell(effects["accuracy"])]
            cells += [Cell(value=a, style=ANSWER_STYLES[a]) for a in (changes.worst_up, changes.accuracy_kept)]
        else:
            cells = [Cell(value="–")] * 4
        if points:
            rows.append(TableRow(label=method.label, cells=(*levels, *cells)))
    names = ("Accuracy", "Worst cell", "Δ worst cell", "Δ accuracy", "Up as asked?", "Kept as asked?")
    return Table(
        corner="Method", columns=tuple((n, n) for n in names), blocks=(TableBlock(title="", rows=tuple(rows)),)
    )


def mean_cell(values: Sequence[float | None], *, as_share: bool) -> Cell:
    """The mean over trainings and below it the range; null in every training is a figure that the method lacks."""
    known = [value for value in values if value is not None]
    show = share if as_share else number
    if not known:
        return Cell(value="–", hint="has no gates") if as_share else missing()
    if len(known) < len(values):
        return missing(f"in {len(values) - len(known)} of {count(len(values), 'training')}")
    ends = dict.fromkeys((show(min(known)), show(max(known))))
    return Cell(value=show(sum(known) / len(known)), note=" – ".join(ends) if len(ends) > 1 else "")


def missing(note: str = "") -> Cell:
    """A figure that could not be estimated."""
    return Cell(value="n. e.", note=note, hint="not estimable", style="missing")


def stacked(effect: Estimate) -> Cell:
    """A change with its limits below it, for narrow columns."""
    cell = effect_cell(effect)
    if effect.value is None:
        return cell
    return Cell(value=cell.value, note=cell.interval, hint=cell.note, style=cell.style)


def change_panels(document: FairnetFile, task: Task) -> list[Panel]:
    """Changes of every method against ERM on one axis: the worst cell beside all rows."""
    labels = {method.id: method.label for method in document.methods}
    found = [(labels[c.method], effects_of(task, c)) for c in task.changes if c.reference == "erm"]
    extent = [x for _, e in found for each in e.values() for x in (each.value, each.low, each.high) if x is not None]
    if not extent:
        return []
    axis = axis_over(extent, symmetric=True)
    words = {
        "worst": ("Change in worst-cell accuracy", "against ERM; limits hold together with those of every cell"),
        "accuracy": ("Change in accuracy", "against ERM, on the same test rows"),
    }
    return [
        Panel(
            title=title,
            meaning=meaning,
            blocks=(Block(title="", rows=tuple(interval_row(e[name], axis, label) for label, e in found)),),
            ticks=axis.ticks,
            zero=axis.at(0),
            sides=("worse", "better"),
        )
        for name, (title, meaning) in words.items()
    ]


def cells_table(task: Task, found: Sequence[Changes], labels: dict[str, str]) -> Table | None:
    """Accuracy of every cell under both methods, and how it changed; a block for each method."""
    blocks = [
        TableBlock(
            title=labels[of.method] if len(found) > 1 else "",
            rows=tuple(
                TableRow(
                    label=cell.name,
                    cells=(
                        Cell(value=count(cell.rows)),
                        level_cell(cell.first),
                        level_cell(cell.second),
                        effect_cell(effect_of(cell, task.task, of.method, of.reference, of.confidence, cell.rows)),
                    ),
                )
                for cell in of.cells
            ),
        )
        for of in found
    ]
    after = labels[found[0].method] if len(found) == 1 else "Method"
    columns = (("Rows", "Rows"), (labels["erm"], labels["erm"]), (after, after), ("Change", "Change"))
    return Table(corner="Cell", columns=columns, blocks=tuple(blocks)) if found else None


def level_cell(value: float | None) -> Cell:
    """A figure without a comparison."""
    return missing() if value is None else Cell(value=number(value))


def change_words(effect: Estimate) -> str:
    """``+0.121 [0.083, 0.159]``."""
    return f"{signed(effect)} {bracket(effect)}".strip()
