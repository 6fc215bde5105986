"""The page's sections as plain records, ready for the template."""

from collections.abc import Sequence
from dataclasses import dataclass

from equiray.reports.curves import Chart, ChartWords, Series, chart_of
from equiray.reports.fairnet import charts, checks, gate_charts, summary, tables
from equiray.reports.fairnet.facts import task_facts
from equiray.reports.fairnet.maps import MapChart, grid_maps
from equiray.reports.fairnet.record import FairnetFile, Task
from equiray.reports.fairnet.standings import cell_standing, parity_frontiers, parity_standing
from equiray.reports.fairnet.trainings import Flagged, NoHarm, Seed, Training
from equiray.reports.frontier_figures import FrontierRecord, notes_of
from equiray.reports.panels import Panel
from equiray.reports.planes import PlaneChart
from equiray.reports.provenance import Fact
from equiray.reports.tables import Table
from equiray.reports.words import attribute_words, count, duration, enumerate_words, number

_OUTCOMES = ("corrected", "harmed", "unchanged")


@dataclass(frozen=True, kw_only=True)
class FlaggedRow:
    """A row that a gate opened for; `moved` is its probability before and after."""

    text: str
    label: str
    group: str
    risk: str
    moved: str
    outcome: str
    style: str


@dataclass(frozen=True, kw_only=True)
class TrainingSection:
    """One training of every method."""

    seed: int
    trades: list[PlaneChart]
    openings: list[PlaneChart]
    maps: list[MapChart]
    standings: list[str]
    choice: list[str]
    detectors: list[PlaneChart]
    no_harm: list[tuple[str, Table]]
    calibration: Table
    calibration_charts: list[PlaneChart]
    flagged: list[FlaggedRow]
    flagged_counts: str
    double_count: Table | None
    times: list[Fact]
    curves: list[Chart]
    warnings: list[str]


@dataclass(frozen=True, kw_only=True)
class TaskSection:
    anchor: str
    title: str
    synthetic: bool
    answer: list[str]
    facts: list[Fact]
    warnings: list[str]
    methods: Table
    methods_caption: str
    panels: list[Panel]
    trainings: list[TrainingSection]
    cells: Table | None
    cells_caption: str
    other_cells: Table | None
    ablations: Table | None
    stress: Table | None


def task_sections(document: FairnetFile, frontiers: Sequence[FrontierRecord]) -> list[TaskSection]:
    """One section for each task."""
    return [_task_section(document, task, i, frontiers) for i, task in enumerate(document.tasks, start=1)]


def _task_section(document: FairnetFile, task: Task, position: int, frontiers: Sequence[FrontierRecord]) -> TaskSection:
    labels = {method.id: method.label for method in document.methods}
    own = task.change("fairnet")
    others = [c for c in task.changes if c.reference == "erm" and c.method != "fairnet"]
    level = own.confidence if own else 0.95
    several = f"Mean over {len(task.seeds)} trainings, below it lowest and highest. " if len(task.seeds) > 1 else ""
    return TaskSection(
        anchor=f"task-{position}",
        title=task.title,
        synthetic=task.synthetic,
        answer=summary.answer(document, task, frontiers),
        facts=task_facts(task),
        warnings=task.warnings,
        methods=tables.methods_table(document, task),
        methods_caption=f"{several}Brackets are {level * 100:g} % "
        "limits of the change against ERM on the same rows; those of the worst cell hold together with those of every "
        "cell. "
        + (
            "A worst cell is the mean of each training's own; its change is of cells averaged first. "
            if several
            else ""
        )
        + "Equalized odds is the mean variant, as in the paper.",
        panels=tables.change_panels(document, task),
        trainings=[_training_section(document, task, seed, frontiers) for seed in task.seeds],
        cells=tables.cells_table(task, [own] if own else [], labels),
        cells_caption=f"Accuracy in every cell of {attribute_words(task.attribute)} and true label, under ERM and "
        f"FairNet; {level * 100:g} % limits that hold for all cells at once, for these trainings as they are."
        + (
            f" Left out, of the worst cell, too, for too few test rows: {'; '.join(own.left_out)}."
            if own and own.left_out
            else ""
        ),
        other_cells=tables.cells_table(task, others, labels),
        ablations=checks.ablations_table(task, own, document.ablations),
        stress=checks.stress_table(task, document.stress),
    )


def _training_section(
    document: FairnetFile, task: Task, seed: Seed, frontiers: Sequence[FrontierRecord]
) -> TrainingSection:
    own = parity_frontiers(task, seed, frontiers)
    gates = {gate.attribute: gate for gate in task.gates}
    standings = (parity_standing(seed, own), cell_standing(seed))
    return TrainingSection(
        seed=seed.seed,
        trades=charts.trade_charts(document, seed, own),
        openings=[c for sweep in seed.sweeps if (c := gate_charts.opening_chart(sweep, len(seed.sweeps)))],
        maps=grid_maps(seed.grid) if seed.grid else [],
        standings=[*(s.said for s in standings), *notes_of(record.reading for record in own)],
        choice=checks.choice_lines(seed),
        detectors=[gate_charts.detector_chart(d, gates.get(d.attribute)) for d in seed.detectors],
        no_harm=[(_harm_caption(seed, each, len(seed.sweeps)), checks.no_harm_table(each)) for each in seed.no_harm],
        calibration=gate_charts.calibration_table(seed.sweeps),
        calibration_charts=gate_charts.calibration_charts(seed.sweeps[0]) if len(seed.sweeps) == 1 else [],
        flagged=[_flagged_row(row) for row in seed.flagged],
        flagged_counts=_flagged_counts(seed),
        double_count=checks.double_count_table(seed.double_count) if seed.double_count else None,
        times=_times(seed.training),
        curves=_curves(seed.training),
        warnings=_hinge_warnings(seed.training),
    )


def _harm_caption(seed: Seed, of: NoHarm, gates: int) -> str:
    gate = f", gate of {attribute_words(of.gate)} with the others shut" if gates > 1 else ""
    rows = f"condition on {count(of.rows.validation, 'validation row')}, outcome on {count(of.rows.test, 'test row')}"
    return f"Seed {seed.seed}{gate}: {rows}."


def _flagged_row(row: Flagged) -> FlaggedRow:
    return FlaggedRow(
        text=row.text,
        label=row.label,
        group=row.group,
        risk=number(row.risk),
        moved=f"{number(row.base)} → {number(row.adapted)}",
        outcome=row.outcome,
        style={"corrected": "better", "harmed": "worse", "unchanged": ""}[row.outcome],
    )


def _flagged_counts(seed: Seed) -> str:
    outcomes = [row.outcome for row in seed.flagged]
    told = [f"{outcomes.count(word)} {word}" for word in _OUTCOMES]
    shown = (
        f"{count(len(outcomes), 'row')} for which a gate opened: {enumerate_words(told)}. How many of each are shown"
    )
    if seed.flagged_totals is None:
        return f"{shown} says nothing of how often they occur: what all of them come to is the exact change above."
    totals = dict(seed.flagged_totals)
    all_told = [f"{totals[word]:,} {word}" for word in _OUTCOMES]
    opened = count(sum(totals.values()), "test row")
    return (
        f"{shown} says nothing of how often they occur. Of all {opened} with an open gate: {enumerate_words(all_told)}."
    )


def _times(training: Training) -> list[Fact]:
    """A run that times detector and adapter as one step leaves no time of the detector."""
    named = {"Base model": training.base_s}
    if training.detector_s is None:
        named["Detector and adapter"] = training.adapter_s
    else:
        named |= {"Detector": training.detector_s, "Adapter": training.adapter_s}
    return [Fact(name, "not measured" if s is None else duration(s)) for name, s in named.items()]


def _curves(training: Training) -> list[Chart]:
    logged = []
    for gate, values in training.open_hinges.items():
        whose = f", gate of {attribute_words(gate)}" if len(training.open_hinges) > 1 else ""
        words = ChartWords(
            f"Share of open hinges{whose}",
            "anchors that the contrastive loss still pulls; at 0 it no longer trains anything",
            (Series("open_hinge", "open", "a"),),
            True,
        )
        logged.append((words, values))
    for name, values in training.curves.items():
        words = name.replace("_", " ")
        logged.append(
            (ChartWords(words[:1].upper() + words[1:], "as logged", (Series("open_hinge", name, "a"),), True), values)
        )
    found = (
        chart_of(words, [{"step": i, "open_hinge": value} for i, value in enumerate(values)])
        for words, values in logged
    )
    return [chart for chart in found if chart]


def _hinge_warnings(training: Training) -> list[str]:
    found = []
    for gate, values in training.open_hinges.items():
        known = [value for value in values if value is not None]
        whose = f"Gate of {attribute_words(gate)}: no" if len(training.open_hinges) > 1 else "No"
        if known and max(known) == 0:
            found.append(f"{whose} hinge of the contrastive loss was ever open: it trained nothing.")
        elif known and known[-1] == 0:
            said = f"{whose} hinge of the contrastive loss was open at the end: it had stopped to train anything."
            found.append(said)
    return found
