"""A trial's own front, the front of all, and what is told of them, against brute force."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equiray.metrics.fronts import hypervolume
from equiray.runs.search.judged import judged
from equiray.runs.search.points import MOST_OF_TRIAL, best_of, front_of, thinned
from equiray.runs.search.trials import hypervolume_course, killed_by, saved_seconds
from equiray.search.ledger import Entry, Ledger
from equiray.search.study import Outcome
from equiray.search.suggesting import covered
from sweep_parts import entry_of, outcome_of, write
from sweep_runs import FAIRNET, sweep_spec

REFERENCE = (0.5, 1.0)  # accuracy above, a difference below
figures = st.integers(0, 20).map(lambda n: n / 20)
PARTIAL = {"unlearning.lambda_gap": 2.0}


def figures_of(values: np.ndarray) -> dict[str, np.ndarray]:
    return {"accuracy": values[:, 0], "equalized_odds_difference_max": values[:, 1], "ece": values[:, 2]}


def dominates(one, other) -> bool:
    return bool(one[0] >= other[0] and one[1] <= other[1] and (one[0] > other[0] or one[1] < other[1]))


@given(arrays(np.float64, st.tuples(st.integers(1, 25), st.just(3)), elements=figures), st.booleans())
@settings(max_examples=60)
def test_a_trials_front_is_what_keeps_the_constraints_and_is_dominated_by_nothing_that_does(values, unknown: bool):
    constraints = [{"metric": "accuracy", "max_loss": 0.2}, {"metric": "ece", "max": 0.6}]
    spec, base = sweep_spec(FAIRNET, constraints=constraints), {"accuracy": 0.6}
    if unknown:
        values = values.copy()
        values[0] = np.nan
    free = np.arange(len(values), dtype=float)[:, None]
    found = judged(spec, figures_of(values), free, base)
    kept = [v for v in values.tolist() if not math.isnan(v[0]) and v[0] >= 0.6 - 0.2 - 1e-12 and v[2] <= 0.6]
    front = {tuple(v[:2]) for v in kept if not any(dominates(other, v) for other in kept)}
    assert {tuple(point) for point in found.values} == front and len(found.values) == len(front)
    assert found.feasible == bool(kept) == (not found.broken)
    assert len(found.free) == len(found.values)
    for point, (place,) in zip(found.values, found.free, strict=True):
        assert values[int(place), :2].tolist() == point
    assert Outcome.of_json(json.loads(json.dumps(found.to_json(), allow_nan=False))).values == found.values
    if kept:
        areas = [max(v[0] - 0.5, 0) * (1 - v[1]) for v in found.values]
        best = found.best["accuracy"], found.best["equalized_odds_difference_max"]
        assert max(best[0] - 0.5, 0) * (1 - best[1]) == pytest.approx(max(areas))


def test_of_points_that_break_something_the_nearest_is_named_with_what_it_breaks():
    constraints = [{"metric": "accuracy", "min": 0.9}, {"metric": "ece", "max": 0.1}]
    spec = sweep_spec(FAIRNET, constraints=constraints)
    values = np.array([[0.5, 0.1, 0.0], [0.8, 0.1, 0.15], [np.nan, 0.1, 0.0]])
    found = judged(spec, figures_of(values), np.zeros((3, 1)), {})
    assert not found.feasible and found.values == [] and found.best["accuracy"] == 0.8
    assert found.broken == {"accuracy ≥ 0.9": pytest.approx(0.1), "ece ≤ 0.1": pytest.approx(0.05)}
    none = judged(sweep_spec(FAIRNET), figures_of(values[2:]), np.zeros((1, 1)), {})
    assert none.broken == {"every objective can be estimated": math.inf}


@given(arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=figures))
@settings(max_examples=40)
def test_the_front_of_a_sweep_is_of_whole_trials_alone(values):
    spec = sweep_spec(FAIRNET)
    entries = [
        Entry(
            **{
                **vars(entry_of(number, Outcome(values=[point], free=[[number / 8]], best={}, broken={}))),
                "status": ("done", "done", "stopped")[number % 3],
            }
        )
        for number, point in enumerate(values.tolist())
    ]
    found = front_of(spec, entries)
    whole = {number: point for number, point in enumerate(values.tolist()) if number % 3 < 2}
    front = [n for n, point in whole.items() if not any(dominates(other, point) for other in whole.values())]
    assert {tuple(whole[point.trial]) for point in found} == {tuple(whole[n]) for n in front}
    assert len({tuple(whole[point.trial]) for point in found}) == len(found)
    accuracies = [whole[point.trial][0] for point in found]
    assert accuracies == sorted(accuracies, reverse=True)
    assert all((point.id, point.free) == (f"t{point.trial}p0", (point.trial / 8,)) for point in found)


def test_the_points_that_are_kept_are_those_a_greedy_choice_keeps():
    spec, rng = sweep_spec(FAIRNET), np.random.default_rng(0)
    angle = np.sort(rng.uniform(0, np.pi / 2, 60))
    values = np.column_stack([0.4 + 0.5 * np.sin(angle), 1.1 - 0.9 * np.cos(angle)])  # some beyond the reference
    chosen: list[int] = []
    for _ in range(5):
        areas = [
            -1 if place in chosen else hypervolume(values[[*chosen, place]], REFERENCE, spec.directions)
            for place in range(len(values))
        ]
        chosen.append(int(np.argmax(areas)))
    assert thinned(spec, values, 5).tolist() == sorted(chosen)
    assert thinned(spec, values[:5], 5).tolist() == list(range(5))
    kept = thinned(spec, values)
    assert len(kept) == MOST_OF_TRIAL
    assert covered(spec, values[kept]) > 0.995 * covered(spec, values)


def test_the_best_point_covers_most_by_itself():
    spec = sweep_spec(FAIRNET)
    values = np.array([[0.9, 0.9], [0.7, 0.2], [0.6, 0.1], [0.7, 0.2]])
    areas = (values[:, 0] - 0.5) * (1 - values[:, 1])
    assert best_of(spec, values) == int(np.argmax(areas)) == 1
    assert best_of(spec, np.array([[0.1, 0.9], [0.2, 1.5]])) == 0  # none covers any


def test_the_course_of_the_hypervolume_is_that_of_all_points_so_far():
    spec, rng = sweep_spec(FAIRNET), np.random.default_rng(1)
    entries, grid = [], np.stack(np.meshgrid(np.arange(100) / 100, np.arange(100) / 100), axis=-1) + 0.005
    for number in range(8):
        if number == 3:
            entries.append(entry_of(number, None, status="failed"))
            continue
        points = np.round(rng.uniform(0.4, 1, (3, 2)), 2).tolist()
        entries.append(entry_of(number, outcome_of(points), status="stopped" if number == 5 else "done"))
    points, expected = [], []
    for count, entry in enumerate(entries, start=1):
        points += entry.outcome.values if entry.status == "done" and entry.outcome else []
        area = [
            (grid[..., 0] > 0.5) & (grid[..., 0] < accuracy) & (grid[..., 1] > gap) & (grid[..., 1] < 1)
            for accuracy, gap in points
        ]
        expected.append((count, float(np.any(area, axis=0).mean()) if points else 0.0))
    assert hypervolume_course(spec, entries) == [(count, pytest.approx(area)) for count, area in expected]
    assert hypervolume_course(spec, []) == []


def test_what_ending_trials_saved():
    def ended(step: int, seconds: float, status: str = "stopped") -> Entry:
        return entry_of(0, None, status=status, seconds=seconds, curve=((0, 40, {}), (step, 40, {})))

    whole = entry_of(1, outcome_of([[0.7, 0.1]]), curve=((40, 40, {}),))
    assert saved_seconds([whole]) is None
    # 10 s for half of the steps, and 30 s for three quarters
    assert saved_seconds([whole, ended(20, 10.0), ended(30, 30.0, "infeasible")]) == 20.0
    assert saved_seconds([whole, ended(20, 10.0, "failed")]) is None  # it was not ended, it died


def test_which_constraint_killed_how_many(tmp_path: Path):
    constraints = [
        {"metric": "accuracy", "min": 0.5},
        {"metric": "ece", "max": 0.1},
        {"metric": "accuracy", "min": 0.55},
    ]
    spec = sweep_spec(FAIRNET, constraints=constraints)
    entries = [
        entry_of(0, outcome_of([[0.7, 0.1]])),
        entry_of(1, outcome_of([], {"accuracy ≥ 0.55": 0.1, "ece ≤ 0.1": 0.2})),
        # its name starts like another's
        entry_of(2, None, broken={"accuracy ≥ 0.55": 0.1}, reason="broke accuracy ≥ 0.55 at steps 0 and 10"),
        entry_of(3, None, status="failed", reason="accuracy ≥ 0.5 is a name"),
    ]
    ledger = write(tmp_path / "trials.jsonl", entries)
    expected = {"accuracy ≥ 0.5": 0, "ece ≤ 0.1": 1, "accuracy ≥ 0.55": 2}
    assert killed_by(spec, ledger) == expected == killed_by(spec, Ledger(ledger.path))
