"""What a sweep is made of, without Ray: its ledger, what it suggests, what it ends early, and which points it keeps."""

import dataclasses
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equiray.errors import BadInput
from equiray.metrics.fronts import hypervolume
from equiray.runs.search.judged import judged
from equiray.runs.search.points import MOST_OF_TRIAL, best_of, front_of, thinned
from equiray.runs.search.trials import hypervolume_course, killed_by, saved_seconds, trial_document
from equiray.search.ledger import Entry, Ledger
from equiray.search.stopping import Stopping, hopeless
from equiray.search.study import Outcome, Progress, Trial
from equiray.search.suggesting import Suggestions, covered
from equiray.specs.sweep import SweepSpec
from sweep_parts import asked_formula, cut, entry_of, outcome_of, told
from sweep_runs import FAIRNET, UNLEARNING, sweep_spec

REFERENCE = (0.5, 1.0)  # accuracy above, a difference below
figures = st.integers(0, 20).map(lambda n: n / 20)
PARTIAL = {"unlearning.lambda_gap": 2.0}

# ------------------------------------------------------------------ ledger


def hard_entries() -> list[Entry]:
    """Infinite thresholds, figures that are not estimable, words beyond ASCII, a line break that JSON leaves alone."""
    whole = Outcome(
        values=[[0.7, 0.1]], free=[[math.inf, 0.25]], best={"accuracy": 0.7, "ece": math.nan}, broken={"ece ≤ 0.1": 0.2}
    )
    said = (0, 10, {"intrinsic_gap": math.nan}), (5, 10, {"intrinsic_gap": math.inf})
    return [
        entry_of(0, outcome_of([[0.7, 0.1]], accuracy=0.7), origin="known", name="untuned"),
        entry_of(1, whole, settings={"adapter.rank": 8}, reason="breaks ece ≤ 0.1"),
        entry_of(2, None, status="failed", reason="ValueError: naïve\u2028line\nand another"),
        entry_of(3, None, figures={"intrinsic_gap": math.nan}, curve=said, broken={"intrinsic_gap ≤ 0.2": math.inf}),
    ]


def same(one: Entry, other: Entry) -> bool:
    return repr(one).replace("(", "[").replace(")", "]") == repr(other).replace("(", "[").replace(")", "]")


def write(path: Path, entries: list[Entry]) -> Ledger:
    ledger = Ledger(path)
    for entry in entries:
        ledger.start(entry.trial)
        ledger.finish(entry)
    return ledger


def test_a_ledger_comes_back_as_it_was(tmp_path: Path):
    ledger = write(tmp_path / "sweep" / "trials.jsonl", hard_entries())
    back = Ledger(ledger.path)
    assert all(map(same, back.entries, hard_entries())) and len(back.entries) == 4
    assert (back.unfinished, back.next_number, back.earlier_s) == ([], 4, 7.5)
    for line in ledger.path.read_text(encoding="utf-8").split("\n")[:-1]:
        json.loads(line, parse_constant=pytest.fail)  # NaN is no JSON


def test_whatever_is_cut_off_a_ledger_only_the_last_line_is_lost(tmp_path: Path):
    path = write(tmp_path / "trials.jsonl", hard_entries()).path
    text = path.read_bytes()
    inside = [place for place, byte in enumerate(text) if byte >= 0x80]  # in the middle of a character
    ends = [place + shift for place, byte in enumerate(text) if byte == ord("\n") for shift in (-1, 0, 1, 2)]
    for size in sorted({0, *inside, *ends} & set(range(len(text) + 1))):
        path.write_bytes(text[:size])
        lines = text[:size].count(b"\n")
        back = Ledger(path)
        assert len(back.entries) == lines // 2
        assert [trial.number for trial in back.unfinished] == ([lines // 2] if lines % 2 else [])
        assert path.read_bytes() == b"".join(text.splitlines(keepends=True)[:lines])


def test_a_torn_line_is_written_anew_and_nothing_twice(tmp_path: Path):
    path = write(tmp_path / "trials.jsonl", hard_entries()[:2]).path
    with path.open("ab") as file:
        file.write(b'{"started": {"num')
    ledger = Ledger(path)
    (again,) = (hard_entries()[2],)
    ledger.start(again.trial)
    ledger.start(again.trial)
    ledger.finish(again)
    assert len(path.read_bytes().splitlines()) == 6 and len(Ledger(path).entries) == 3


def test_trials_that_were_started_are_begun_again_in_order(tmp_path: Path):
    path = tmp_path / "trials.jsonl"
    ledger = Ledger(path)
    trials = [Trial(number=number, origin="start", settings={"adapter.rank": number}) for number in range(4)]
    for trial in trials:
        ledger.start(trial)
    for number in (2, 0):
        ledger.finish(dataclasses.replace(entry_of(0), trial=trials[number]))
    back = Ledger(path)
    assert back.unfinished == [trials[1], trials[3]] and back.next_number == 4


def test_a_line_that_is_no_line_is_refused(tmp_path: Path):
    path = write(tmp_path / "trials.jsonl", hard_entries()[:1]).path
    path.write_bytes(b"{\n" + path.read_bytes())
    with pytest.raises(BadInput, match=r"cut short or altered.*JSONDecodeError"):
        Ledger(path)


# ------------------------------------------------------------------ suggestions

SPACE = {
    "detector.kind": ["group", "risk", "both"],
    "adapter.rank": {"low": 2, "high": 16, "whole": True},
    "adapter.training.learning_rate": {"low": 0.0001, "high": 0.1, "log": True},
}


def fronts(values: dict[str, Any]) -> Outcome:
    """A front of two points, better with a rate near 0.01 and a high rank; ranks up to 3 break a constraint."""
    off = abs(math.log10(values["adapter.training.learning_rate"]) + 2)
    accuracy = 0.6 + 0.01 * values["adapter.rank"] - 0.1 * off
    if values["adapter.rank"] <= 3:
        return outcome_of([], {"accuracy ≥ 0.5": 0.1}, accuracy=0.4, equalized_odds_difference_max=0.2)
    points = [[accuracy, 0.2], [accuracy - 0.05, 0.1]]
    return outcome_of(points, accuracy=accuracy, equalized_odds_difference_max=0.2)


def searching(algorithm: str, trials: int = 14, **changes: Any) -> SweepSpec:
    search = {"algorithm": algorithm, "trials": trials, "startup": 4} | changes.pop("search", {})
    constraints = [{"metric": "accuracy", "min": 0.5}]
    return sweep_spec(FAIRNET, space=SPACE, search=search, constraints=constraints, **changes)


@pytest.mark.parametrize("algorithm", ["tpe", "nsga2", "random", "grid"])
@pytest.mark.parametrize("learns_from", ["hypervolume", "front"])
def test_a_sweep_that_is_taken_up_again_goes_on_as_it_would_have(tmp_path: Path, algorithm: str, learns_from: str):
    spec = searching(algorithm, search={"learns_from": learns_from}, known={"untuned": {}, "odd": {"adapter.alpha": 2}})
    ledger = Ledger(tmp_path / "trials.jsonl")
    asked_formula(spec, ledger, 14, fronts)
    whole = told(ledger)
    assert [number for number, *_ in whole] == list(range(14))
    for lines in (1, 5, 20):  # after a start, and after an end
        (tmp_path / str(lines)).mkdir()
        resumed = Ledger(cut(ledger.path, tmp_path / str(lines), lines, torn=b'{"fin'))
        asked_formula(spec, resumed, 14, fronts)
        assert told(resumed) == whole, lines


def test_nsga2_goes_on_as_it_would_have_beyond_its_first_population(tmp_path: Path):
    spec = searching("nsga2", 60)
    ledger = Ledger(tmp_path / "trials.jsonl")
    asked_formula(spec, ledger, 60, fronts)
    (tmp_path / "cut").mkdir()
    resumed = Ledger(cut(ledger.path, tmp_path / "cut", 2 * 54))
    asked_formula(spec, resumed, 60, fronts)
    assert told(resumed) == told(ledger)
    origins = [origin for _, origin, _ in told(ledger)]
    assert origins == ["known"] + ["start"] * 49 + ["suggested"] * 10


@pytest.mark.parametrize("algorithm", ["tpe", "nsga2", "random"])
def test_the_seed_alone_decides(tmp_path: Path, algorithm: str):
    drawn = []
    for place, seed in enumerate((0, 0, 1)):
        ledger = Ledger(tmp_path / f"{place}.jsonl")
        asked_formula(searching(algorithm, 10, seed=seed), ledger, 10, fronts)
        drawn.append([settings for *_, settings in told(ledger)])
    assert drawn[0] == drawn[1] != drawn[2]
    assert len({json.dumps(each) for each in drawn[0]}) == 10  # and no trial is drawn twice


def test_known_settings_come_first_and_then_what_is_drawn(tmp_path: Path):
    known = {"mine": {"adapter.rank": 5}, "untuned": {}}
    ledger = Ledger(tmp_path / "trials.jsonl")
    asked_formula(searching("tpe", known=known), ledger, 8, fronts)
    assert [(entry.trial.name, entry.trial.settings) for entry in ledger.entries[:2]] == list(known.items())
    # both lie in the space, so two more are drawn before four are known
    assert [origin for _, origin, _ in told(ledger)] == ["known"] * 2 + ["start"] * 2 + ["suggested"] * 4


def test_a_grid_visits_every_place_once(tmp_path: Path):
    spec = searching("grid", 28)
    ledger = Ledger(tmp_path / "trials.jsonl")
    asked_formula(spec, ledger, 28, fronts)
    places = [settings for _, origin, settings in told(ledger) if origin == "grid"]
    ranks, rates = (2, 9, 16), (0.0001, math.sqrt(0.0001 * 0.1), 0.1)
    expected = itertools.product(["group", "risk", "both"], ranks, rates)
    found = sorted(tuple(place.values()) for place in places)
    for place, wanted in zip(found, sorted(expected), strict=True):
        assert place[:2] == wanted[:2] and place[2] == pytest.approx(wanted[2])
    first = [settings for *_, settings in told(ledger)][1:7]
    assert len({place["detector.kind"] for place in first}) > 1, "a small budget sees one corner"


def test_from_a_trial_that_failed_nothing_is_learned(tmp_path: Path):
    spec = searching("tpe")
    with_failures, without = (Ledger(tmp_path / name) for name in ("with", "without"))
    calls = itertools.count()
    last = asked_formula(spec, with_failures, 6, lambda values: None if next(calls) == 2 else fronts(values))
    asked_formula(spec, without, 2, fronts)
    failed = with_failures.entries[2]
    assert failed.status == "failed" and len(last.study.get_trials()) == 6
    values = [trial.values for trial in last.study.get_trials()]
    assert values.count(None) == 1
    told_again = Suggestions(spec, [failed], 3)
    assert told_again.study.get_trials() == []


def test_settings_outside_the_space_are_not_told():
    spec = searching("tpe", known={"a": {"adapter.rank": 32}, "b": {"adapter.alpha": 1}, "c": {"adapter.rank": 4}})
    made = [
        entry_of(number, outcome_of([[0.7, 0.2]]), origin="known", settings=settings)
        for number, settings in enumerate(spec.known.values())
    ]
    assert len(Suggestions(spec, made[:2], 2).study.get_trials()) == 0
    (heard,) = Suggestions(spec, made, 3).study.get_trials()
    assert heard.params == spec.values_of({"adapter.rank": 4})


@pytest.mark.parametrize("learns_from", ["hypervolume", "front"])
def test_what_is_heard_of_a_trial_with_a_front_of_its_own(learns_from: str):
    spec = searching("tpe", search={"learns_from": learns_from})
    points = [[0.7, 0.2], [0.6, 0.1]]
    broken = outcome_of([], {"accuracy ≥ 0.5": 0.1}, accuracy=0.4, equalized_odds_difference_max=0.3)
    settings = {"adapter.rank": 4}
    entries = [entry_of(0, outcome_of(points), settings=settings), entry_of(1, broken, settings=settings)]
    heard = Suggestions(spec, entries, 2).study.get_trials()
    # areas above .5 and below 1: .1 x .9 and, on top, .1 x .8
    expected = [[0.17], [0.0]] if learns_from == "hypervolume" else [points[0], points[1], [0.4, 0.3]]
    assert sorted(trial.values for trial in heard) == [pytest.approx(each) for each in sorted(expected)]
    excess = {tuple(trial.values): trial.constraints["accuracy ≥ 0.5"] for trial in heard}
    assert sorted(excess.values()) == [0.0] * (len(heard) - 1) + [0.1]
    assert all(trial.params == spec.values_of(settings) for trial in heard)


def test_every_point_of_a_front_does_not_shorten_the_start(tmp_path: Path):
    spec = searching("tpe", search={"learns_from": "front", "startup": 4})
    ledger = Ledger(tmp_path / "trials.jsonl")
    asked_formula(spec, ledger, 6, fronts)
    assert [origin for _, origin, _ in told(ledger)] == ["known", "start", "start", "start", "suggested", "suggested"]


def test_a_trial_that_was_ended_for_a_constraint_is_heard_of_as_breaking_it():
    constraints = [{"metric": "perplexity_ratio", "max": 1.1}, {"metric": "intrinsic_gap", "max": 0.9}]
    spec = sweep_spec(UNLEARNING, constraints=constraints)
    said = {"intrinsic_gap": 0.1, "perplexity_ratio": 1.4}
    ended = entry_of(0, None, figures=said, broken=Stopping(spec, {}).broken(said), settings=PARTIAL)
    (heard,) = Suggestions(spec, [ended], 1).study.get_trials()
    assert heard.values == [0.1, 1.4]
    assert heard.constraints == {"perplexity_ratio ≤ 1.1": pytest.approx(0.3), "intrinsic_gap ≤ 0.9": 0.0}


def test_a_trial_whose_figures_cannot_be_estimated_does_not_end_the_sweep():
    spec = sweep_spec(UNLEARNING)
    ended = entry_of(0, None, figures={"intrinsic_gap": math.nan, "perplexity_ratio": math.nan}, settings=PARTIAL)
    suggestions = Suggestions(spec, [ended], 1)
    assert suggestions.next().origin == "start"
    assert trial_document(spec, ended)["values"] == {"intrinsic_gap": None, "perplexity_ratio": None}


# ------------------------------------------------------------------ ended early


def said_of(*gaps_and_ratios: tuple[float, float], steps: int = 40) -> list[Progress]:
    return [
        Progress(step=10 * place, steps=steps, figures={"intrinsic_gap": gap, "perplexity_ratio": ratio})
        for place, (gap, ratio) in enumerate(gaps_and_ratios)
    ]


def finished_at(step: int, gap: float, ratio: float, number: int = 0) -> Entry:
    figures = {"intrinsic_gap": gap, "perplexity_ratio": ratio}
    return entry_of(number, outcome_of([[gap, ratio]], **figures), curve=((step, 40, figures),))


def stopping(**changes: Any) -> Stopping:
    spec = sweep_spec(UNLEARNING, constraints=[{"metric": "perplexity_ratio", "max_loss": 0.125}], **changes)
    return Stopping(spec, {"perplexity_ratio": 1.0})


@pytest.mark.parametrize(
    ("ratios", "ended"),
    [
        ([1.2], False),
        ([1.2, 1.2], True),
        ([1.0, 1.2, 1.0, 1.2], False),
        ([1.0, 1.2, 1.13], True),
        ([1.0, 1.125, 1.125], False),  # at the bound is within it
        ([1.0, math.nan, math.nan], True),
    ],
)
def test_a_constraint_that_is_broken_twice_in_a_row_ends_a_trial(ratios: list[float], ended: bool):
    said = said_of(*[(0.5, ratio) for ratio in ratios])
    why = stopping().reason(said, [])
    assert (why is not None) == ended
    if why is not None:
        reason, infeasible = why
        assert infeasible and "perplexity_ratio ≤ base + 0.125" in reason
        assert f"steps {said[-2].step} and {said[-1].step}" in reason


def test_another_constraint_each_time_ends_nothing():
    constraints = [{"metric": "perplexity_ratio", "max": 1.1}, {"metric": "intrinsic_gap", "max": 0.5}]
    made = Stopping(sweep_spec(UNLEARNING, constraints=constraints), {})
    assert made.reason(said_of((0.9, 1.0), (0.1, 1.2)), []) is None
    assert made.reason(said_of((0.9, 1.2), (0.9, 1.2)), [])


@pytest.mark.parametrize(
    ("others", "ended"),
    [
        ([(0.1, 1.0)] * 4, 0),  # too few to judge by
        ([(0.1, 1.0)] * 5, 5),
        ([(0.1, 1.0)] * 2 + [(0.9, 1.0)] * 3, 2),
        ([(0.1, 1.0)] * 2 + [(0.9, 1.0)] * 4, 0),  # a third is not more than a third
        ([(0.1, 1.3)] * 5, 0),  # worse in one objective
        ([(0.5, 1.0)] * 5, 0),  # as good in one
    ],
)
def test_the_hopeless_are_those_that_a_third_of_the_finished_ones_beat_half_way(others: list, ended: int):
    spec = sweep_spec(UNLEARNING, search={"stop_hopeless": True})
    finished = [finished_at(20, *figures, number=number) for number, figures in enumerate(others)]
    said = said_of((0.9, 1.0), (0.5, 1.2), (0.5, 1.2))
    assert hopeless(spec, said, finished) == ended
    why = Stopping(spec, {}).reason(said, finished)
    assert (why is None) == (not ended)
    assert why is None or (not why[1] and f"step 20 than {ended} finished" in why[0])
    assert stopping().reason(said_of((0.9, 1.0), (0.5, 1.0), (0.5, 1.0)), finished) is None  # unless asked for


def test_hope_is_judged_once_half_way_by_whole_trials_and_on_all_objectives():
    spec = sweep_spec(UNLEARNING, search={"stop_hopeless": True})
    better = [finished_at(20, 0.1, 1.0, number) for number in range(9)]
    bad = (0.5, 1.2)
    assert hopeless(spec, said_of(bad, bad), better) == 0
    assert hopeless(spec, said_of(bad, bad, bad), better) == 9
    assert hopeless(spec, said_of(bad, bad, bad, bad), better) == 0
    assert hopeless(spec, said_of(bad, bad, bad, steps=20), better) == 0  # all of its steps
    parts = [dataclasses.replace(each, outcome=None) for each in better]
    assert hopeless(spec, said_of(bad, bad, bad), parts) == 0
    unknown = [dataclasses.replace(each, figures={"perplexity_ratio": 1.2}) for each in said_of(bad, bad, bad)]
    assert hopeless(spec, unknown, better) == 0  # the other objective comes last and may be the best of all


# ------------------------------------------------------------------ points


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


# ------------------------------------------------------------------ what is told of a sweep


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
