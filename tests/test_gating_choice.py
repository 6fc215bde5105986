"""Thresholds chosen on validation rows: constraints, ties, and what may never be chosen on."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiray.errors import BadInput
from equiray.mitigation.gating.choice import choose
from equiray.mitigation.gating.thresholds import sweep
from equiray.specs.fairnet import ThresholdSpec
from gated_cases import by_hand, drawn, outcomes_of


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.01, 0.1]), st.sampled_from([0.1, 0.5, 1.0]))
@settings(max_examples=60, deadline=None)
def test_no_candidate_within_the_constraints_does_better(seed, loss, most):
    outcomes = drawn(40, groups=2, seed=seed, ties=0.5, unknown=0.1)
    spec = ThresholdSpec(max_accuracy_loss=loss, max_open=most)
    chosen = choose(sweep(outcomes, "sex"), spec)
    taus = [-np.inf, *np.unique(outcomes.risk[~np.isnan(outcomes.risk)]).tolist(), np.inf]
    base = by_hand(outcomes, [np.inf])
    if np.isnan(base["worst_group_accuracy_cells"]):
        return
    allowed = [
        found
        for found in (by_hand(outcomes, [tau]) for tau in taus)
        if base["accuracy"] - found["accuracy"] <= loss + 1e-9 and found["activation_rate"] <= most + 1e-9
    ]
    best = max((f["worst_group_accuracy_cells"], -f["activation_rate"]) for f in allowed)
    found = by_hand(outcomes, chosen.thresholds)
    assert (chosen.worst_cell, -chosen.figures["activation_rate"]) == pytest.approx(best)
    assert found["worst_group_accuracy_cells"] == pytest.approx(chosen.worst_cell)
    assert found["accuracy"] >= base["accuracy"] - loss - 1e-9
    assert chosen.base["accuracy"] == pytest.approx(base["accuracy"])


def rows_that_gain():
    """Two groups of two labels, four rows each; opening above .5 mends every wrong row of group b."""
    label, code = np.tile([0, 1], 8), np.repeat([0, 1], 8)
    right = np.where(label, 0.75, 0.25)
    base = np.where((code == 1) & (np.arange(16) % 4 < 2), 1 - right, right)
    risk = np.where((code == 1) & (np.arange(16) % 4 < 2), 0.75, 0.25)
    return label, risk, np.stack([base, right], 1), {"sex": (("a", "b"), code)}


def test_the_gate_that_mends_the_worst_cell_is_opened_no_further_than_needed():
    chosen = choose(sweep(outcomes_of(*rows_that_gain()), "sex"), ThresholdSpec())
    assert chosen.thresholds == (0.25,) and not chosen.closed
    assert (chosen.base_worst_cell, chosen.worst_cell) == (0.5, 1.0)
    assert chosen.figures["activation_rate"] == 0.25  # everybody's gate open is as good, and opens more
    assert (chosen.candidates, chosen.feasible) == (3, 3)


def test_a_budget_that_is_too_small_keeps_the_gate_shut():
    chosen = choose(sweep(outcomes_of(*rows_that_gain()), "sex"), ThresholdSpec(max_open=0.2))
    assert chosen.closed and chosen.feasible == 1 and "stays shut" in chosen.reason
    assert json.loads(json.dumps(chosen.to_json()))["thresholds"] == ["inf"]


def test_gates_that_only_harm_stay_shut():
    label, risk, probability, groups = rows_that_gain()
    chosen = choose(sweep(outcomes_of(label, risk, probability[:, ::-1], groups), "sex"), ThresholdSpec())
    assert chosen.closed and chosen.worst_cell == chosen.base_worst_cell == 1.0


def test_an_accuracy_that_falls_by_just_what_it_may_is_allowed():
    label = np.repeat([0, 1], [1000, 10])  # one of 1010 rows more is wrong: the only way to mend a positive
    base = np.where(label, 0.25, 0.25)
    risk, adapted = np.zeros(1010), base.copy()
    risk[[0, 1, 1009]], adapted[[0, 1, 1009]] = 0.5, 0.75
    outcomes = outcomes_of(label, risk, np.stack([base, adapted], 1))
    swept = sweep(outcomes, "sex")
    assert choose(swept, ThresholdSpec(max_accuracy_loss=1 / 1010)).thresholds == (0.0,)
    assert choose(swept, ThresholdSpec(max_accuracy_loss=0.99 / 1010)).closed


@pytest.mark.parametrize("split", ["test", "train"])
def test_no_choice_is_made_on_rows_that_are_not_for_choosing(split):
    with pytest.raises(BadInput, match=f"chosen on the {split} split"):
        choose(sweep(drawn(30, split=split), "sex"), ThresholdSpec())


def test_where_no_cell_has_enough_rows_the_gate_stays_shut_and_says_so():
    chosen = choose(sweep(drawn(30), "sex", fewest_rows=100), ThresholdSpec())
    assert chosen.closed and "no cell of sex has enough rows" in chosen.reason
    assert len(chosen.left_out) == 6 and chosen.to_json()["worst_cell"] is None
