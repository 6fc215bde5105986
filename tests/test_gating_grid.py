"""Thresholds of several gates on a grid, against a count row by row at each point."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiray.errors import BadInput
from equiray.mitigation.gating.choice import choose
from equiray.mitigation.gating.grid import quantile_thresholds, sweep_at, sweep_grid
from equiray.mitigation.gating.outcomes import CLOSED, OPEN
from equiray.mitigation.gating.thresholds import sweep
from equiray.specs.fairnet import ThresholdSpec
from gated_cases import by_hand, drawn


def assert_as_by_hand(outcomes, swept, places):
    for place in places:
        for metric, value in by_hand(outcomes, swept.thresholds[place]).items():
            np.testing.assert_allclose(swept.figures[metric][place], value, atol=1e-12, err_msg=metric)


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(2, 5), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_point_is_what_a_count_row_by_row_gives(seed, gates, points, missing):
    outcomes = drawn(25, gates=gates, groups=2, seed=seed, ties=0.4, unknown=0.2, missing=missing)
    swept = sweep_grid(outcomes, "sex", points=points)
    assert len(swept.thresholds) == np.prod(swept.shape)
    assert_as_by_hand(outcomes, swept, range(len(swept.thresholds)))


def test_two_gates_have_a_grid_of_200_by_200_quantiles():
    outcomes = drawn(5000, gates=2, groups=3, seed=1, unknown=0.1)
    swept = sweep_grid(outcomes, "sex")
    assert swept.shape == (200, 200)
    axes = swept.thresholds.reshape(200, 200, 2)
    for gate, axis in enumerate((axes[:, 0, 0], axes[0, :, 1])):
        assert axis[0] == OPEN and axis[-1] == CLOSED and (np.diff(axis[1:-1]) > 0).all()
        known = outcomes.risk[:, gate][~np.isnan(outcomes.risk[:, gate])]
        np.testing.assert_allclose((known[:, None] <= axis[1:-1]).mean(0), np.arange(1, 199) / 199, atol=1 / len(known))
        assert np.isin(axis[1:-1], known).all()
    draw = np.random.default_rng(0)
    assert_as_by_hand(outcomes, swept, [0, 199, 39_800, 39_999, *draw.integers(0, 40_000, 20)])


def test_on_a_grid_of_all_risks_one_gate_has_every_threshold():
    outcomes = drawn(150, ties=0.3, unknown=0.1)
    grid, every = sweep_grid(outcomes, "sex"), sweep(outcomes, "sex")
    np.testing.assert_array_equal(grid.thresholds, every.thresholds)
    for metric, values in every.figures.items():
        np.testing.assert_array_equal(grid.figures[metric], values)


def test_a_gate_whose_risk_is_never_known_has_one_threshold():
    assert quantile_thresholds(np.full(3, np.nan, np.float32), 200).tolist() == [CLOSED]


def test_thresholds_by_name_are_what_the_grid_has_there():
    outcomes = drawn(300, gates=2, ties=0.5)
    grid = sweep_grid(outcomes, "sex", points=6)
    named = sweep_at(outcomes, "sex", grid.thresholds)
    for metric, values in grid.figures.items():
        np.testing.assert_array_equal(named.figures[metric], values)


def test_more_than_three_gates_have_no_grid_and_say_how_to_go_on():
    outcomes = drawn(40, gates=4)
    with pytest.raises(BadInput, match="4 gates have 16 outputs a row, which are computed on demand"):
        sweep_grid(outcomes, "sex")
    taus = [[0.25, 0.5, 0.5, 0.75], [np.inf] * 4]
    swept = sweep_at(outcomes, "sex", taus)
    assert_as_by_hand(outcomes, swept, range(2))
    assert choose(swept, ThresholdSpec(max_accuracy_loss=1)).candidates == 2


def test_a_choice_needs_the_candidate_that_keeps_every_gate_shut():
    with pytest.raises(BadInput, match="no candidate keeps every gate shut"):
        choose(sweep_at(drawn(40, gates=2), "sex", [[0.5, np.inf]]), ThresholdSpec())


def test_thresholds_of_two_gates_are_chosen_together():
    outcomes = drawn(400, gates=2, seed=5)
    spec = ThresholdSpec(max_accuracy_loss=0.01, max_open=0.4)
    chosen = choose(sweep_grid(outcomes, "sex", points=20), spec)
    assert len(chosen.thresholds) == 2
    found = by_hand(outcomes, chosen.thresholds)
    assert found["activation_rate"] <= 0.4 and found["accuracy"] >= chosen.base["accuracy"] - 0.01
    assert found["worst_group_accuracy_cells"] == pytest.approx(chosen.worst_cell)
    assert chosen.worst_cell > chosen.base_worst_cell
