"""Twins and neighbours: against loops over rows, and what must not be dropped in silence."""

import numpy as np
import pytest

from equiray.metrics.individual import (
    Neighbourhood,
    TwinDecisions,
    TwinScores,
    consistency,
    counterfactual_flip_rate,
    counterfactual_flips,
    counterfactual_score_shift,
    counterfactual_score_shift_absolute,
)


def test_flips_are_the_changed_decisions_of_answered_pairs():
    twins = TwinDecisions(np.array([0, 1, 1, 2, -1, 0]), np.array([0, 0, 1, 1, 1, -1]))
    assert counterfactual_flips(twins) == (2, 4, 2)
    assert counterfactual_flip_rate(twins) == 0.5


def test_flips_may_be_weighted():
    twins = TwinDecisions(np.array([0, 1, 1, -1]), np.array([1, 1, 1, 1]), np.array([1.0, 2, 1, 5]))
    assert counterfactual_flips(twins) == (1, 4, 5)
    assert counterfactual_flip_rate(twins) == 0.25


def test_without_answered_pairs_nothing_is_estimable():
    assert np.isnan(counterfactual_flip_rate(TwinDecisions(np.array([-1, 0]), np.array([0, -1]))))
    unscored = TwinScores(np.array([np.nan, 0.5]), np.array([0.5, np.nan]))
    assert np.isnan(counterfactual_score_shift(unscored))
    assert np.isnan(counterfactual_score_shift_absolute(unscored))


def test_shifts_of_both_directions_cancel_in_the_signed_mean_alone():
    twins = TwinScores(np.array([0.25, 0.75, np.nan]), np.array([0.75, 0.25, 1.0]))
    assert counterfactual_score_shift(twins) == 0
    assert counterfactual_score_shift_absolute(twins) == 0.5
    one_way = TwinScores(twins.row[:1], twins.twin[:1])
    assert counterfactual_score_shift(one_way) == 0.5


def test_shifts_may_be_weighted():
    twins = TwinScores(np.array([0.0, 0.5]), np.array([1.0, 0.25]), np.array([1.0, 3.0]))
    assert counterfactual_score_shift(twins) == pytest.approx((1 - 0.75) / 4)
    assert counterfactual_score_shift_absolute(twins) == pytest.approx((1 + 0.75) / 4)


def test_consistency_equals_a_loop_over_distances():
    generator = np.random.default_rng(0)
    features, decision = generator.normal(size=(40, 3)), generator.integers(0, 2, 40)
    expected = []
    for i in range(40):
        distance = np.linalg.norm(features - features[i], axis=1)
        distance[i] = np.inf
        expected.append(abs(decision[i] - decision[np.argsort(distance)[:4]].mean()))
    assert consistency(Neighbourhood(features, decision), neighbours=4) == pytest.approx(
        1 - np.mean(expected), abs=1e-12
    )


def test_a_row_is_not_its_own_neighbour_even_among_copies():
    features = np.array([[0.0], [0.0], [9.0], [9.0]])
    assert consistency(Neighbourhood(features, np.array([0, 1, 0, 1])), neighbours=1) == 0
    assert consistency(Neighbourhood(features, np.array([0, 0, 1, 1])), neighbours=1) == 1


def test_rows_without_a_decision_are_nobodys_neighbours():
    features = np.array([[0.0], [0.1], [0.2], [0.3]])
    assert consistency(Neighbourhood(features, np.array([1, -1, 1, 1])), neighbours=2) == 1
    assert np.isnan(consistency(Neighbourhood(features, np.array([1, -1, 1, -1])), neighbours=2))


def test_consistency_asks_for_two_classes_and_a_neighbour():
    rows = Neighbourhood(np.zeros((3, 1)), np.array([0, 1, 2]))
    with pytest.raises(ValueError, match="decision 2"):
        consistency(rows)
    with pytest.raises(ValueError, match="0 neighbours"):
        consistency(rows, neighbours=0)
