"""What is tried next: the same after a kill as without one, and learned from what trials came to."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from equiray.runs.search.trials import trial_document
from equiray.search.ledger import Ledger
from equiray.search.stopping import Stopping
from equiray.search.study import Outcome
from equiray.search.suggesting import Suggestions
from equiray.specs.sweep import SweepSpec
from sweep_parts import asked_formula, cut, entry_of, outcome_of, told
from sweep_runs import FAIRNET, UNLEARNING, sweep_spec

REFERENCE = (0.5, 1.0)  # accuracy above, a difference below
figures = st.integers(0, 20).map(lambda n: n / 20)
PARTIAL = {"unlearning.lambda_gap": 2.0}

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
