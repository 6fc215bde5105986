"""What a careful reader asks next: when it cannot hurt, which part does the work, what shifts do, what adds up."""

from collections.abc import Iterable

from equiray.reports.fairnet.record import Ablation, Changes, Stress, Task
from equiray.reports.fairnet.tables import ANSWER_STYLES, MEASURES, effect_of, effects_of, level_cell, missing
from equiray.reports.fairnet.trainings import Choice, DoubleCount, Limited, Measured, NoHarm, Seed
from equiray.reports.tables import Cell, Table, TableBlock, TableRow, effect_cell
from equiray.reports.words import count, number, share


def no_harm_table(found: NoHarm) -> Table:
    """What the published condition makes of validation rows, beside the exact change there and on test rows."""
    seen, met = found.exact.validation, found.exact.test
    gain = f"The vulnerable group has {share(found.prevalence)} of the rows; {share(found.tpr)} of them are flagged, "
    gain += f"and the adapter always on changes their accuracy by {_signed(found.d_min)}: the product of the three."
    loss = f"{share(found.fpr)} of the others are flagged, and the adapter always on costs them "
    loss += f"{_signed(found.d_maj).removeprefix('+')} of accuracy: their share of the rows times both."
    margin = "Gain less loss: what the published condition promises; it holds where this is 0 or more."
    chose = "Counted row by row: the gate against every gate shut. These rows chose the threshold, so it is too good."
    counted = f"The same of {count(found.rows.test, 'row')} that chose nothing: what the promise is held against."
    holds = {True: "the condition holds", False: "the condition does not hold", None: "not estimable"}[found.holds]
    selection = (
        "Exact change on validation rows less margin: what the gate gains or loses by choosing, within each group, "
        "rows that the adapter serves better or worse than the others; the published condition takes it to be 0."
    )
    rows = (
        ("Validation: gain in the vulnerable group", found.gain, "", gain),
        ("Validation: loss in the others", found.loss, "", loss),
        (f"Validation: margin ({holds})", found.margin.value, _limits(found.margin), margin),
        ("Validation: exact change of accuracy", seen.value, _limits(seen), chose),
        ("Validation: selection term", found.selection.value, _limits(found.selection), selection),
        ("Test: exact change of accuracy", met.value, _limits(met), counted),
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
        columns=(("Share of rows", "Share of rows"), ("What it says", "What it says")),
        blocks=(TableBlock(title="", rows=lines),),
    )


def _limits(of: Limited) -> str:
    return "" if of.low is None or of.high is None else f"[{_signed(of.low)}, {_signed(of.high)}]"


def _signed(value: float | None) -> str:
    """Four decimals: the terms of the condition are small shares of all rows."""
    if value is None:
        return "not estimable"
    text = f"{value:+.4f}".replace("-", "−")
    return text if text.strip("+−0.") else "0.0000"


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
        ("Up?", "as asked"),
        ("Kept?", "as asked"),
    )
    table = Table(corner="FairNet", columns=columns, blocks=(TableBlock(title="", rows=tuple(rows)),))
    return table if taken else None


def stress_table(task: Task, stress: Iterable[Stress]) -> Table | None:
    """What shifts and noise do: how far the gates open, what is gained, and what is harmed."""
    rows = []
    for each in stress:
        if each.task == task.task:
            effects = (
                effect_of(part, task.task, "fairnet", "erm", each.confidence, each.rows)
                for part in (each.worst, each.accuracy)
            )
            shares = (missing() if v is None else Cell(value=share(v)) for v in (each.open, each.harmed))
            rows.append(
                TableRow(label=each.label, cells=(Cell(value=count(each.rows)), *map(effect_cell, effects), *shares))
            )
    columns = (
        ("Rows", "test"),
        ("Δ worst cell", "against ERM"),
        ("Δ accuracy", "against ERM"),
        ("Open", "share of rows"),
        ("Harmed", "share of rows"),
    )
    return Table(corner="Under", columns=columns, blocks=(TableBlock(title="", rows=tuple(rows)),)) if rows else None


def double_count_table(found: DoubleCount) -> Table:
    """Gate and group thresholds, each alone and both together."""
    named = {"Gate alone": found.gate, "Group thresholds alone": found.thresholds, "Both": found.both}
    shown = {**MEASURES, "equalized_odds_difference_max": ("EqOdds max", "difference")}
    rows = tuple(TableRow(label=label, cells=tuple(_measured(of, m) for m in shown)) for label, of in named.items())
    return Table(corner="Rule", columns=tuple(shown.values()), blocks=(TableBlock(title="", rows=rows),))


def _measured(of: Measured, measure: str) -> Cell:
    value = getattr(of, measure)
    if measure == "open":
        return Cell(value="–") if value is None else Cell(value=share(value))
    return level_cell(value)


def _looked_at(choice: Choice) -> str:
    """Whose groups chose."""
    rows = count(choice.rows, "validation row")
    if not choice.groups_known:
        return f"No group was looked at: accuracy of {rows} chose."
    share_known = f"Groups of {count(choice.groups_known)} of {rows} were known"
    if choice.by == "accuracy":
        return f"{share_known}, too few in every cell to choose by: accuracy of all rows chose."
    return f"{share_known} and looked at." if choice.groups_known < choice.rows else f"Groups of all {rows} were known."


def _chosen_by(choice: Choice) -> str:
    name = {"worst_cell": "the worst cell", "accuracy": "accuracy"}[choice.by]
    of_cell = (choice.base_worst_cell, choice.worst_cell)
    ends = of_cell if choice.by == "worst_cell" else (choice.base.get("accuracy"), choice.figures.get("accuracy"))
    first, last = map(number, ends)
    return f"{name} goes from {first} to {last}"


def threshold_words(choice: Choice) -> str:
    """The thresholds of all gates."""
    words = {"inf": "shut", "-inf": "open"}
    return ", ".join(words.get(str(t)) or number(float(t)) for t in choice.thresholds)


def choice_lines(seed: Seed) -> list[str]:
    """How the threshold of this training was chosen."""
    choice = seed.choice
    lines = [
        f"Seed {seed.seed}: threshold {threshold_words(choice)}, {choice.reason}; {count(choice.feasible)} of "
        f"{count(choice.candidates, 'threshold')} kept the constraints. {_looked_at(choice)} On the validation rows "
        f"that chose it, which is too good to be true, {_chosen_by(choice)}."
    ]
    if choice.left_out:
        lines.append(f"Seed {seed.seed}: too few validation rows to choose by: {', '.join(choice.left_out)}.")
    return lines
