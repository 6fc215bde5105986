"""Which trials are ended before their last step."""

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import strategies as st

from equiray.search.ledger import Entry
from equiray.search.stopping import Stopping, hopeless
from equiray.search.study import Progress
from sweep_parts import entry_of, outcome_of
from sweep_runs import UNLEARNING, sweep_spec

REFERENCE = (0.5, 1.0)  # accuracy above, a difference below
figures = st.integers(0, 20).map(lambda n: n / 20)
PARTIAL = {"unlearning.lambda_gap": 2.0}


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
