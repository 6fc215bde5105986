"""Fronts: against comparison of all pairs, areas by hand, and what must hold of any points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equiray.metrics.fronts import fairest_within, hypervolume, knee, nondominated

TRADE = ("higher", "lower")
figures = st.integers(0, 6).map(lambda n: n / 6)  # ties are common


def points_of(objectives):
    return st.integers(1, 12).flatmap(lambda count: arrays(np.float64, (count, objectives), elements=figures))


def dominates(one, other, directions):
    better = {"higher": np.greater, "lower": np.less, "zero": lambda a, b: abs(a) < abs(b)}
    ahead = [better[d](a, b) for a, b, d in zip(one, other, directions, strict=True)]
    behind = [better[d](b, a) for a, b, d in zip(one, other, directions, strict=True)]
    return any(ahead) and not any(behind)


@given(points_of(3), st.booleans())
@settings(max_examples=100, deadline=None)
def test_the_front_is_what_no_other_point_dominates(values, keep_equal):
    values = values - 0.5
    directions = ("higher", "lower", "zero")
    as_good = np.column_stack([values[:, :2], np.abs(values[:, 2])]).tolist()
    expected = [
        not any(dominates(other, one, directions) for other in values)
        and (keep_equal or as_good.index(as_good[place]) == place)
        for place, one in enumerate(values)
    ]
    assert nondominated(values, directions, keep_equal=keep_equal).tolist() == expected


def test_a_point_that_is_not_estimable_is_on_no_front_and_keeps_none_off_it():
    values = [[np.nan, 0.0], [0.7, 0.1], [0.9, np.nan]]
    assert nondominated(values, TRADE).tolist() == [False, True, False]
    assert nondominated(np.empty((0, 2)), TRADE).tolist() == []


def test_the_first_of_equal_points_is_kept():
    assert nondominated([[0.5, 0.5], [0.5, 0.5], [0.4, 0.6]], TRADE).tolist() == [True, False, False]


def test_the_area_of_three_steps():
    # accuracy above .5 and a difference below .4: steps of .1 x .3, .1 x .2 and .1 x .1
    values = [[0.6, 0.1], [0.7, 0.2], [0.8, 0.3], [0.65, 0.35], [0.9, 0.5], [0.4, 0.0], [np.nan, 0.0]]
    assert hypervolume(values, (0.5, 0.4), TRADE) == pytest.approx(0.1 * 0.3 + 0.1 * 0.2 + 0.1 * 0.1)
    assert hypervolume(np.empty((0, 2)), (0.5, 0.4), TRADE) == 0.0
    assert hypervolume([[0.5, 0.1], [0.9, 0.4]], (0.5, 0.4), TRADE) == 0.0  # no better than it in one objective


@given(points_of(2))
@settings(max_examples=100, deadline=None)
def test_the_area_is_that_of_the_squares_of_a_grid_that_some_point_dominates(values):
    middle = (np.arange(6) + 0.5) / 6  # values lie on the grid's lines
    covered = (values[:, 0, None, None] > middle[:, None]) & (values[:, 1, None, None] < middle)
    assert hypervolume(values, (0, 1), TRADE) == pytest.approx(covered.any(0).sum() / 36)


@given(points_of(3), st.integers(0, 11), st.tuples(figures, figures, figures))
@settings(max_examples=100, deadline=None)
def test_a_dominated_point_changes_no_hypervolume_and_no_point_lowers_it(values, place, worse):
    directions, reference = ("higher", "lower", "zero"), (0, 1, 1)
    one = values[place % len(values)]
    dominated = one + np.multiply(worse, (-1, 1, 1))
    before = hypervolume(values, reference, directions)
    assert hypervolume([*values, dominated], reference, directions) == pytest.approx(before)
    assert hypervolume([*values, worse], reference, directions) >= before - 1e-12
    assert hypervolume(values[nondominated(values, directions)], reference, directions) == pytest.approx(before)


@given(points_of(3), st.permutations(range(3)))
@settings(max_examples=50, deadline=None)
def test_neither_the_order_of_objectives_nor_a_turned_sign_matters(values, order):
    directions = np.array(["higher", "lower", "lower"])
    reference = np.array([0.0, 1.0, 1.0])
    there = hypervolume(values, reference, list(directions))
    assert hypervolume(values[:, order], reference[order], list(directions[order])) == pytest.approx(there)
    turned = hypervolume(-values, -reference, ["lower", "higher", "higher"])
    assert turned == pytest.approx(there)


def test_the_knee_is_the_point_furthest_below_the_line_through_the_extremes():
    values = np.array([[0.5, 0.5], [0.9, 0.5], [0.88, 0.2], [0.8, 0.1], [0.7, 0.05], [0.6, 0.04]])
    front = values[1:]  # the first is dominated
    start, along = front[0], front[-1] - front[0]
    scale = np.ptp(front, axis=0)
    offset, along = (front - start) / scale, along / scale
    distance = np.abs(offset[:, 0] * along[1] - offset[:, 1] * along[0]) / np.hypot(*along)
    assert knee(values, TRADE) == 1 + int(distance.argmax()) == 2
    assert knee(values * (1, 100), TRADE) == 2  # no unit matters
    assert knee([[0.9, 0.5], [0.8, 0.4], [0.7, 0.3]], TRADE) == 0  # a straight line: the first
    assert knee([[np.nan, 0], [0.5, 0.5]], TRADE) == 1
    assert knee([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.2, 0.2, 0.2]], ("lower",) * 3) == 3


def test_the_fairest_within_half_a_point_of_the_best_accuracy():
    values = [[0.850, 0.20], [0.847, 0.15], [0.845, 0.10], [0.8449, 0.05], [0.845, 0.10], [0.9, np.nan]]
    pick = {"quality": 0, "fairness": 1}
    assert fairest_within(values, TRADE, within=0.005, **pick) == 2
    assert fairest_within(values, TRADE, within=0.0, **pick) == 0
    assert fairest_within(values, TRADE, within=1.0, **pick) == 3
    signed = [[1.0, -0.3], [1.01, 0.1], [1.02, -0.05]]  # perplexity ratio and signed gap
    assert fairest_within(signed, ("lower", "zero"), within=0.02, **pick) == 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: nondominated([[0.5]], ("none",)), "direction 'none'"),
        (lambda: nondominated([[0.5, 0.5]], ("lower",)), "one direction for each objective"),
        (lambda: hypervolume([[0.5, 0.5]], (1.0,), TRADE), "one direction for each objective"),
        (lambda: hypervolume([[0.5, 0.5]], (0.0, np.nan), TRADE), "one finite number for each"),
        (lambda: knee([[np.nan, 0.5]], TRADE), "no point is estimable"),
        (lambda: fairest_within([[0.5, 0.5]], TRADE, quality=0, fairness=1, within=-1), "within -1"),
    ],
)
def test_what_makes_no_sense_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()
