"""The tables: methods, cells, the no-harm condition, ablations, stress, and gates with group thresholds."""

from collections.abc import Iterable, Sequence

from equiray.metrics.estimates import Estimate
from equiray.reports.axes import axis_over
from equiray.reports.fairnet.record import Ablation, Change, Changes, FairnetFile, Stress, Task
from equiray.reports.fairnet.trainings import DoubleCount, Measured, NoHarm, Seed
from equiray.reports.panels import Block, Panel, interval_row, signed
from equiray.reports.tables import Cell, Table, TableBlock, TableRow, effect_cell
from equiray.reports.words import bracket, count, number, share

MEASURES = {
    "accuracy": ("Accuracy", "of all rows"),
    "worst_cell": ("Worst cell", "accuracy"),
    "equalized_odds_difference_mean": ("EqOdds mean", "equalized odds difference"),
    "ece": ("ECE", "calibration error"),
    "open": ("Open", "share of rows with an open gate"),
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
        cells = [_mean_cell([getattr(point, name) for point in points], as_share=name == "open") for name in MEASURES]
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


def _mean_cell(values: Sequence[float | None], *, as_share: bool) -> Cell:
    """The mean over trainings and below it the range; null in every training is a figure that the method lacks."""
    known = [value for value in values if value is not None]
    show = share if as_share else number
    if not known:
        return Cell(value="–", hint="has no gates") if as_share else missing()
    if len(known) < len(values):
        return missing(f"in {len(values) - len(known)} of {count(len(values), 'training')}")
    ends = dict.fromkeys((show(min(known)), show(max(known))))
    return Cell(value=show(sum(known) / len(known)), note=" – ".join(ends) if len(known) > 1 else "")


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
                        _level(cell.first),
                        _level(cell.second),
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


def _level(value: float | None) -> Cell:
    return missing() if value is None else Cell(value=number(value))


def no_harm_table(found: NoHarm) -> Table:
    """The exact change of accuracy by the gate beside what the published condition makes of rates alone."""
    exact = found.exact
    limits = "" if exact.low is None or exact.high is None else f"[{_signed(exact.low)}, {_signed(exact.high)}]"
    gain = f"At risk are {share(found.prevalence)} of the rows; {share(found.tpr)} of them are flagged, and the "
    gain += f"adapter always on changes their accuracy by {_signed(found.d_min)}: the product of the three."
    loss = f"{share(found.fpr)} of the others are flagged, and the adapter always on costs them "
    loss += f"{number(found.d_maj)} of accuracy: their share of the rows times both."
    margin = "Gain less loss: what the published condition promises; it holds where this is 0 or more."
    holds = {True: "the condition holds", False: "the condition does not hold", None: "not estimable"}[found.holds]
    selection = (
        "Exact change less margin: what the gate gains or loses by choosing, within each group, rows that the adapter "
        "serves better or worse than the others; the published condition takes it to be 0."
    )
    rows = (
        (
            "Exact change of accuracy",
            found.exact.value,
            limits,
            "Counted row by row: the gate against every gate shut.",
        ),
        ("Gain among those at risk", found.gain, "", gain),
        ("Loss among the others", found.loss, "", loss),
        (f"Margin ({holds})", found.margin, "", margin),
        ("Selection term", found.selection, "", selection),
    )
    lines = tuple(
        TableRow(
            label=label,
            cells=(
                missing() if value is None else Cell(value=_signed(value), interval=interval),
                Cell(value="", note=said),
            ),
        )
        for label, value, interval, said in rows
    )
    return Table(
        corner="Of all rows",
        columns=(("Accuracy", "Share of rows"), ("Meaning", "What it says")),
        blocks=(TableBlock(title="", rows=lines),),
    )


def _signed(value: float | None) -> str:
    text = number(value)
    return f"+{text}" if value is not None and value > 0 and text.strip("0.") else text


def ablations_table(task: Task, own: Changes | None, ablations: Iterable[Ablation]) -> Table | None:
    """FairNet with a part taken away, below FairNet itself, each against ERM."""
    taken = [(ablation.label, ablation.change) for ablation in ablations if ablation.task == task.task]
    rows = []
    for label, change in [("FairNet, whole", own), *taken] if own else taken:
        assert change is not None
        effects = effects_of(task, change)
        cells = (
            effect_cell(effects["worst"]),
            effect_cell(effects["accuracy"]),
            *(Cell(value=a, style=ANSWER_STYLES[a]) for a in (change.worst_up, change.accuracy_kept)),
        )
        rows.append(TableRow(label=label, cells=cells))
    columns = (
        ("Δ worst cell", "against ERM"),
        ("Δ accuracy", "against ERM"),
        ("Better?", "worst cell"),
        ("Kept?", "accuracy"),
    )
    table = Table(corner="FairNet", columns=columns, blocks=(TableBlock(title="", rows=tuple(rows)),))
    return table if taken else None


def stress_table(task: Task, stress: Iterable[Stress]) -> Table | None:
    """What shifts and noise do: how far the gates open, what is gained, and what is harmed."""
    rows = []
    for each in stress:
        if each.task == task.task:
            effects = (
                effect_of(part, task.task, "fairnet", "erm", 0.95, task.rows.test)
                for part in (each.worst, each.accuracy)
            )
            shares = (missing() if v is None else Cell(value=share(v)) for v in (each.open, each.harmed))
            rows.append(TableRow(label=each.label, cells=(*map(effect_cell, effects), *shares)))
    columns = (
        ("Δ worst cell", "against ERM"),
        ("Δ accuracy", "against ERM"),
        ("Open", "share of rows"),
        ("Harmed", "share of rows"),
    )
    return Table(corner="Under", columns=columns, blocks=(TableBlock(title="", rows=tuple(rows)),)) if rows else None


def double_count_table(found: DoubleCount) -> Table:
    """Gate and group thresholds, each alone and both together."""
    named = {"Gate alone": found.gate, "Group thresholds alone": found.thresholds, "Both": found.both}
    shown = {**MEASURES, "equalized_odds_difference_max": ("EqOdds max", "equalized odds difference")}
    rows = tuple(TableRow(label=label, cells=tuple(_measured(of, m) for m in shown)) for label, of in named.items())
    return Table(corner="Rule", columns=tuple(shown.values()), blocks=(TableBlock(title="", rows=rows),))


def _measured(of: Measured, measure: str) -> Cell:
    value = getattr(of, measure)
    if measure == "open":
        return Cell(value="–") if value is None else Cell(value=share(value))
    return _level(value)


def choice_lines(seed: Seed) -> list[str]:
    """How the threshold of this training was chosen."""
    choice = seed.choice
    written = ", ".join(
        "shut" if t == "inf" else "open" if t == "-inf" else number(float(t)) for t in choice.thresholds
    )
    lines = [
        f"Seed {seed.seed}: threshold {written}, {choice.reason}; {count(choice.feasible)} of "
        f"{count(choice.candidates, 'threshold')} kept the constraints. On the validation rows that chose it, which is "
        f"too good to be true, the worst cell goes from {number(choice.base_worst_cell)} to "
        f"{number(choice.worst_cell)}."
    ]
    if choice.left_out:
        lines.append(f"Seed {seed.seed}: too few validation rows to choose by: {', '.join(choice.left_out)}.")
    return lines


def change_words(effect: Estimate) -> str:
    """``+0.121 [0.083, 0.159]``."""
    return f"{signed(effect)} {bracket(effect)}".strip()
