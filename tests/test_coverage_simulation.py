"""The coverage simulation: what it computes for many samples at once is what the exported estimator says of each."""

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from equiray.metrics.catalogue import METRICS
from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation import GroupedScores, Labels, Setting, changes_of, estimates_of, score_changes_of
from equiray.metrics.estimation.comparison import PairedTables, compare
from equiray.metrics.intervals import binomial
from equiray.metrics.paired_scores import ScoredRows
from equiray.metrics.tables import GroupTable, JointTable, Mass
from metric_tables import target_sums

SAMPLES = 7
SETTING = Setting(labels=Labels("t", "s", "m"))
NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def simulation() -> Iterator[SimpleNamespace]:
    """The benchmark's modules, which import each other by their bare names."""
    folder = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        parts = ("cells", "decided", "scored", "targets", "paired", "changes", "measure")
        yield SimpleNamespace(**{name: import_module(f"coverage_{name}") for name in parts})
    finally:
        sys.path.remove(folder)


def said(table: GroupTable) -> dict[tuple[str, str | None], Estimate]:
    """What the exported estimator says, by metric and group."""
    return {(e.metric, e.group): e for e in estimates_of([table], SETTING) if e.attribute == "g"}


def agree(found, place: int, estimate: Estimate) -> None:
    ours = (found.estimate[place], found.interval.low[place], found.interval.high[place])
    theirs = (estimate.value, estimate.low, estimate.high)
    np.testing.assert_allclose(
        np.array(ours), [np.nan if x is None else x for x in theirs], rtol=1e-9, atol=1e-12, err_msg=estimate.metric
    )


@pytest.mark.parametrize("what", ["plain", "unanswered", "weighted"])
def test_decisions(simulation, what):
    generator = np.random.default_rng(1)
    counts = generator.integers(0, 60, (SAMPLES, 3, 2, 4, 3)) * (generator.random((SAMPLES, 3, 2, 4, 3)) < 0.8)
    counts[0, 1, 1] = 0  # a group without positives
    counts[1, 2] = 0  # a group without rows
    if what != "unanswered":
        counts[..., 2:, :] = 0
    mass = simulation.decided.weighed(counts, np.array([0.5, 1, 4]))
    mass = mass if what == "weighted" else Mass(mass.count)
    sample = simulation.decided.Sample(mass, mass.count[2])
    exported = [
        said(decided_table(*(None if part is None else part[each] for part in mass))) for each in range(SAMPLES)
    ]
    asked = 0
    for metric in METRICS.values():
        if metric.reads != "mass":
            continue
        groups = NAMES if metric.scope != "attribute" else (None,)
        for place, group in enumerate(groups):
            found = sample.figure(metric, place, plain=False)
            for each in range(SAMPLES):
                agree(found, each, exported[each][metric.id, group])
            asked += 1
    assert asked == 10 * 3 + 12


def decided_table(*mass: np.ndarray | None) -> GroupTable:
    return GroupTable(attribute="g", groups=NAMES, classes=("0", "1"), mass=Mass(*mass))


@pytest.mark.parametrize("weighted", [False, True])
def test_scores(simulation, weighted):
    generator, scored = np.random.default_rng(2), simulation.scored
    counts = generator.poisson(0.4, (SAMPLES, 2, 2, len(scored.GRID), 3 if weighted else 1))
    weights = scored.WEIGHTS if weighted else np.ones(1)
    sample = scored.Scores(counts, weights, counts[0].sum(-1))
    exported = []
    for each in counts:
        powers = [each @ weights**power for power in (0, 1, 2)]
        exported.append(
            said(scored.score_table(NAMES[:2], powers[0].astype(np.int64), *(powers[1:] if weighted else ())))
        )
    found = {}
    for name, find in sample.figures("{}"):
        found.setdefault(name, []).append(find())
    for name, each in found.items():
        for place, of_group in enumerate(each):
            group = NAMES[place] if METRICS[name].scope != "attribute" else None
            for s in range(SAMPLES):
                agree(of_group, s, exported[s][name, group])
    assert found.keys() == {m.id for m in METRICS.values() if m.reads in ("scores", "score_sums")}


def test_real_valued_predictions(simulation, monkeypatch):
    targets, cells = simulation.targets, simulation.cells
    drawn = []
    monkeypatch.setattr(targets, "drawn", lambda *given: drawn.append(cells.drawn(*given)) or drawn[-1])
    cell = cells.Cell("targets", (30, 30), 0.5, "normal")
    found = [(name, find()) for name, find in targets.targets(cell, np.random.default_rng(3), SAMPLES)]
    exported = [said(target_table(*each)) for each in zip(*drawn, strict=True)]
    places = {"mae": 0, "rmse": 0, "mean_prediction": 0, "mean_prediction_difference": 0}
    for name, one in found:
        group = NAMES[places[name]] if METRICS[name].scope == "group" else None
        places[name] += 1
        for s in range(SAMPLES):
            agree(one, s, exported[s][name, group])
    assert list(places.values()) == [2, 2, 2, 1]


def target_table(levels: np.ndarray, errors: np.ndarray) -> GroupTable:
    """The rows themselves, added up one by one."""
    ends = np.arange(0.5, 400) / 400
    parts = []
    for group in (0, 1):
        prediction = np.repeat(stats.norm.ppf(ends, 3, 2) + 0.5 * group, levels[group])
        error = np.abs(np.repeat(stats.norm.ppf(ends, 0.5), errors[group]))
        parts.append((prediction, error))
    return real_valued(parts)


def real_valued(groups: list[tuple[np.ndarray, np.ndarray]]) -> GroupTable:
    """Of predictions and errors of each group's rows."""
    group = np.repeat(np.arange(len(groups)), [len(error) for _, error in groups])
    prediction, error = (np.concatenate(column) for column in zip(*groups, strict=True))
    sums = target_sums(group, prediction - error, prediction, len(groups))
    return GroupTable(attribute="g", groups=NAMES[: len(groups)], classes=(), targets=sums)


def test_paired_changes(simulation, monkeypatch):
    paired, cells = simulation.paired, simulation.cells
    drawn = []
    monkeypatch.setattr(paired, "drawn", lambda *given: drawn.append(cells.drawn(*given)) or drawn[-1])
    cell = cells.Cell("paired", (60,) * 3, 0.2, "spread")
    found = {}
    for name, find in paired.paired(cell, np.random.default_rng(4), SAMPLES):
        found.setdefault(name.removeprefix("change of "), []).append(find())
    (joint,) = drawn
    for s in range(SAMPLES):
        table = JointTable(attribute="g", groups=NAMES, classes=("0", "1"), mass=Mass(joint[s]))
        exported = {(e.metric, e.group): e for e in changes_of([table], SETTING) if e.attribute == "g"}
        for name, each in found.items():
            for place, one in enumerate(each):
                agree(one, s, exported[name, NAMES[place] if METRICS[name].scope == "group" else None])
    unanswered = {"refusal_rate", "parse_failure_rate"}  # whose changes are simulated nowhere: all rows are answered
    assert found.keys() == {name for name, _ in exported} - unanswered


def test_paired_changes_of_scores(simulation, monkeypatch):
    changes, cells, scored = simulation.changes, simulation.cells, simulation.scored
    drawn = []
    monkeypatch.setattr(changes, "drawn", lambda *given: drawn.append(cells.drawn(*given)) or drawn[-1])
    cell = cells.Cell("paired scores", (60, 60), 0.2, "tied")

    def found() -> dict:
        rows: dict = {}
        for name, find in changes.paired_scores(cell, np.random.default_rng(5), SAMPLES):
            rows.setdefault(name.removeprefix("change of "), []).append(find())
        return rows

    found()
    exported = []
    for of in drawn[0]:
        sides = [scored.score_table(NAMES[:2], side(of)) for side in (changes.first, changes.second)]
        moved, grid = changes.GRID[changes.MOVES], changes.GRID
        values = {"mean_score": [moved - grid] * 2, "brier": [moved**2 - grid**2, (1 - moved) ** 2 - (1 - grid) ** 2]}
        shifts = {metric: [shift_table(of, np.stack(each))] for metric, each in values.items()}
        joint = JointTable(attribute="g", groups=NAMES[:2], classes=("0", "1"), mass=Mass(both_decided(changes, of)))
        tables = PairedTables(first=[sides[0]], second=[sides[1]], joint=[joint], shifts=shifts)
        exported.append({(e.metric, e.group): e for e in compare(tables, SETTING).estimates if e.attribute == "g"})
    areas = found()["auc, of rows at hand"]
    for s, of in enumerate(drawn[0]):
        of_run = score_changes_of(*scored_rows(changes, of), SETTING)
        for place, one in enumerate(areas):
            (theirs,) = [e for e in of_run if (e.metric, e.group) == ("auc", NAMES[place])]
            agree(one, s, theirs)
    for family in (NAMES[:2], (None,)):
        confidence = exported[0]["brier" if family[0] else "mean_score_difference", family[0]].confidence
        monkeypatch.setattr(changes, "CONFIDENCE", confidence)
        monkeypatch.setattr(changes, "HALF", (1 + confidence) / 2)
        for name, each in found().items():
            if name not in METRICS or (METRICS[name].scope == "group") != (family[0] is not None):
                continue
            for place, one in enumerate(each):
                for s in range(SAMPLES):
                    agree(one, s, exported[s][name, family[place]])


def shift_table(of: np.ndarray, values: np.ndarray) -> GroupTable:
    """What rows [2, 2, S, 3] change, by label [2, 3, S], one by one."""
    rows = [np.repeat(values.transpose(0, 2, 1).ravel(), of[group].ravel()) for group in (0, 1)]
    return real_valued([(each, each) for each in rows])


def scored_rows(changes, of: np.ndarray) -> tuple[ScoredRows, list[GroupedScores]]:
    """The rows themselves."""
    group, label, score, move = np.repeat(np.indices(of.shape).reshape(4, -1), of.ravel(), axis=1)
    rows = ScoredRows(label=label == 1, first=changes.GRID[score], second=changes.GRID[changes.MOVES[move, score]])
    return rows, [GroupedScores("g", NAMES[:2], group)]


def both_decided(changes, of: np.ndarray) -> np.ndarray:
    """Joint counts of decisions at .5."""
    joint = np.zeros((2, 2, 4, 4), np.int64)
    for (group, label, score, move), n in np.ndenumerate(of):
        joint[group, label, int(score >= 50), int(changes.MOVES[move, score] >= 50)] += n
    return joint


def test_every_metric_of_the_catalogue_is_simulated_or_has_no_limits(simulation):
    """Each kind of cell is asked, and nothing in the catalogue that has an interval is left out."""
    asked, kinds = set(), set()
    for cell in simulation.cells.cells():
        if cell.kind in kinds:
            continue
        kinds.add(cell.kind)
        study = simulation.measure.STUDIES[cell.kind](cell, np.random.default_rng(0), 2)
        asked |= {name for name, _ in study}
    assert kinds == simulation.measure.STUDIES.keys()
    assert {name for name, metric in METRICS.items() if metric.interval != "none"} <= asked


def test_cells_are_told_apart_by_their_names(simulation):
    names = [str(cell) for cell in simulation.cells.cells()]
    assert len(set(names)) == len(names) > 500


def test_what_is_remembered_is_what_would_be_computed_and_ends_with_the_cell(simulation):
    real, given = binomial.lower_limit, (np.array([3.0]), np.array([9.0]), np.array([[0.025]]), np.array([True]))
    with simulation.cells.remembered():
        first, again = binomial.lower_limit(*given), binomial.lower_limit(*given)
        assert again is first == real(*given)
        other = binomial.lower_limit(given[0], given[1], given[2], np.array([False]))
        assert other != first
    assert binomial.lower_limit is real


def test_a_stopped_run_goes_on_where_it_stopped(simulation, tmp_path, monkeypatch):
    measure, cells = simulation.measure, simulation.cells
    kept = tmp_path / "cells.jsonl"
    tasks = [(str(cell), cell, 50) for cell in list(cells.cells())[:3]]
    whole = list(measure.results(tasks, 1, kept))
    lines = kept.read_text().splitlines(keepends=True)
    assert len(lines) == len(whole) == 3
    kept.write_text(lines[0] + lines[1][:40])  # killed in the middle of a line

    done, real = [], measure.measure
    monkeypatch.setattr(measure, "measure", lambda task: done.append(task[0]) or real(task))
    again = list(measure.results(tasks, 1, kept))
    assert done == [task[0] for task in tasks[1:]]
    assert [json.dumps(line["found"]) for line in again] == [json.dumps(line["found"]) for line in whole]
    assert [json.loads(line)["task"] for line in kept.read_text().splitlines()] == [task[0] for task in tasks]

    monkeypatch.setattr(measure, "code_sha256", lambda: "of other code")
    list(measure.results(tasks, 1, kept))
    assert len(done) == 5, "what other code found is not taken up"


def test_every_kind_of_cell_finds_what_can_be_kept(simulation):
    kinds = {cell.kind: cell for cell in simulation.cells.cells()}
    for cell in kinds.values():
        line = simulation.measure.measure((str(cell), cell._replace(sizes=tuple(min(n, 200) for n in cell.sizes)), 30))
        rows = json.loads(json.dumps(line))["found"]
        assert len(rows) >= 4 and all(0 <= row["covered"] <= 1 and row["estimable"] > 0 for row in rows)


def test_only_what_is_doubtful_is_drawn_again(simulation, monkeypatch):
    measure = simulation.measure
    row = measure.Covered(metric="tpr", cell="c", samples=10, estimable=1.0, covered=0.95, width=1.0, regular=False)
    asked = []

    def simulate(cell, part, simulations, wanted=None):
        asked.append((part, wanted))
        found = {0: row.covered, 1: 0.934} if part == 0 else {1: 0.94 + part / 1000}
        return {place: measure.Covered(**{**vars(row), "covered": covered}) for place, covered in found.items()}

    monkeypatch.setattr(measure, "simulate", simulate)
    first, second = measure.cover(None, 10)
    assert asked == [(0, None), *((part, {1}) for part in range(1, 9))]
    assert (first.covered, first.samples, second.samples) == (0.95, 10, 80)
    assert second.covered == pytest.approx(0.9445)
    too_high = measure.Covered(**{**vars(row), "covered": 0.966})
    assert not too_high.doubtful and measure.Covered(**{**vars(too_high), "regular": True}).doubtful
