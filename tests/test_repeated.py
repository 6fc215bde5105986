"""Changes averaged over trainings: values by hand, coverage of the worst cell's change by simulation."""

import numpy as np
import pytest

from equiray.metrics.repeated import accuracy_change, cell_changes


def test_values_are_those_counted_by_hand():
    first = np.array([[1, 0, 0, 0, 1, 1], [1, 0, 1, 0, 1, 0]], bool)
    second = np.array([[1, 1, 1, 0, 1, 0], [1, 1, 1, 0, 0, 0]], bool)
    cell = np.array([0, 0, 0, 1, 1, 1])
    found = cell_changes(first, second, cell, 2, 0.95)
    assert found.rows.tolist() == [3, 3]
    assert found.first == pytest.approx([3 / 6, 3 / 6]) and found.second == pytest.approx([6 / 6, 1 / 6])
    assert found.worst == pytest.approx(-2 / 6)
    assert found.worst_limits.low <= found.worst <= found.worst_limits.high
    assert accuracy_change(first, second, 0.95)[0] == pytest.approx(1 / 12)


def test_an_empty_cell_leaves_the_worst_not_estimable():
    right = np.ones((1, 4), bool)
    found = cell_changes(right, right, np.zeros(4, np.int64), 2, 0.95)
    assert np.isnan(found.worst) and np.isnan(found.worst_limits).all()


@pytest.mark.parametrize("trainings", [1, 4])
def test_limits_hold_together(trainings: int):
    rng = np.random.default_rng(trainings)
    cell = np.repeat([0, 1, 2, 3], [60, 400, 150, 900])
    before, gain, loss = (
        np.array([0.5, 0.55, 0.8, 0.9]),
        np.array([0.3, 0.1, 0.02, 0]),
        np.array([0.05, 0.05, 0.1, 0.02]),
    )
    after = before + (1 - before) * gain - before * loss
    held = []
    for _ in range(400):
        first = rng.random((trainings, len(cell))) < before[cell]
        flip = rng.random((trainings, len(cell))) < np.where(first, loss[cell], gain[cell])
        found = cell_changes(first, first ^ flip, cell, 4, 0.95)
        low, high = found.worst_limits
        truth = after - before
        worst = after.min() - before.min()
        held.append(bool(((found.low <= truth) & (truth <= found.high)).all() and low <= worst <= high))
    assert np.mean(held) >= 0.95


def test_a_worst_cell_that_clearly_gains_is_seen():
    rng = np.random.default_rng(5)
    cell = np.repeat([0, 1], [400, 4000])
    first = rng.random((3, len(cell))) < np.array([0.5, 0.9])[cell]
    second = first | (rng.random(first.shape) < np.array([0.3, 0.0])[cell])
    assert cell_changes(first, second, cell, 2, 0.95).worst_limits.low > 0.05
