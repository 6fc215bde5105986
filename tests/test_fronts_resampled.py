"""Joint resamples: against what numpy says of a few, against loops over weights, and their coverage."""

import numpy as np
import pytest

from equiray.metrics.fronts import (
    Replicated,
    hypervolume,
    hypervolume_between,
    hypervolume_limits,
    hypervolume_ratio,
    limits,
    nondominated,
    side_by_side,
    stability,
)
from equiray.metrics.fronts.resampled import drawn
from equiray.metrics.intervals.limits import Interval

TRADE = ("higher", "lower")
REFERENCE = (0.0, 1.0)


def replicated(values, replicates, units=1_000_000):
    values = np.asarray(values, dtype=np.float64)
    return Replicated(values=values, replicates=np.asarray(replicates, np.float64), units=(units,) * values.shape[1])


def noisy(values, count=400, scale=0.05, seed=0):
    values = np.asarray(values, dtype=np.float64)
    return replicated(values, values + np.random.default_rng(seed).normal(0, scale, (count, *values.shape)))


def test_stability_counts_the_resamples_in_which_no_other_point_dominates():
    found = noisy([[0.7, 0.2], [0.71, 0.19], [0.9, 0.5], [0.5, 0.6]])
    expected = np.zeros(4)
    for each in found.replicates:
        for place, (accuracy, gap) in enumerate(each):
            expected[place] += not any(a > accuracy and g < gap for a, g in each)  # draws are continuous: no ties
    np.testing.assert_allclose(stability(found, TRADE), expected / 400)
    assert expected[3] < expected[0] < expected[2]


def test_equal_points_do_not_unsettle_each_other():
    found = noisy([[0.7, 0.2], [0.9, 0.5]])
    twice = replicated(found.values[[0, 0, 1]], found.replicates[:, [0, 0, 1]])
    np.testing.assert_array_equal(stability(twice, TRADE), stability(found, TRADE)[[0, 0, 1]])


def test_a_point_that_is_not_estimable_takes_no_part():
    found = noisy([[0.7, 0.2], [0.9, 0.5], [0.99, np.nan]])
    np.testing.assert_array_equal(stability(found, TRADE), [*stability(found.at([0, 1]), TRADE), np.nan])
    low, high = limits(found, 0.9)
    assert np.isnan(low[2, 1]) and np.isnan(high[2, 1]) and not np.isnan(low[2, 0])


def test_resamples_without_a_figure_are_left_out_until_they_are_many():
    found = noisy([[0.7, 0.2], [0.69, 0.21]])
    kept = replicated(found.values, found.replicates[30:])
    found.replicates[:30, 1, 1] = np.nan
    np.testing.assert_array_equal(stability(found, TRADE), stability(kept, TRADE))
    np.testing.assert_array_equal(limits(found, 0.9), limits(kept, 0.9))
    found.replicates[:41, 1, 1] = np.nan
    assert np.isnan(stability(found, TRADE)).all() and np.isnan(limits(found, 0.9)).all()
    assert np.isnan(hypervolume_limits(found, REFERENCE, TRADE, 0.9)[1:]).all()


def test_limits_hold_every_figure_of_just_their_share_of_the_resamples():
    found = noisy(np.random.default_rng(1).random((3, 2)), count=1000)
    low, high = limits(found, 0.9)
    inside = ((found.replicates >= low) & (found.replicates <= high)).all((1, 2))
    assert inside.mean() == pytest.approx(0.9, abs=1e-3)
    widths = (high - low) / found.replicates.std(0, ddof=1)
    np.testing.assert_allclose(widths, widths[0, 0])
    np.testing.assert_allclose((low + high) / 2, found.values)


def test_few_units_make_limits_wider_by_the_t_quantile():
    found = noisy([[0.5]], count=4001)
    (few,), (many,) = (
        np.ravel(limits(replicated(found.values, found.replicates, units), 0.95).high) - 0.5 for units in (8, 10**6)
    )
    # 2.365 and 1.960 are the t quantiles of 7 degrees of freedom and of infinitely many
    assert few / many == pytest.approx(2.365 / 1.960 * np.sqrt(8 / 7), rel=0.02)


def test_a_figure_that_no_resample_changes_has_no_limits():
    values = np.array([[0.8, 0.0], [0.7, 0.1]])
    found = noisy(values)
    found.replicates[:, 0, 1] = 0.0
    low, high = limits(found, 0.95)
    assert np.isnan([low[0, 1], high[0, 1]]).all() and np.isfinite(np.delete(low, 1)).all()


def test_the_hypervolume_s_limits_turn_the_percentiles_round():
    found = noisy([[0.7, 0.2], [0.8, 0.4]])
    value = hypervolume(found.values, REFERENCE, TRADE)
    volumes = [hypervolume(each, REFERENCE, TRADE) for each in found.replicates]
    low, high = np.quantile(volumes, [0.05, 0.95])
    assert hypervolume_limits(found, REFERENCE, TRADE, 0.9) == pytest.approx((value, 2 * value - high, 2 * value - low))


def test_a_hypervolume_lies_between_those_of_the_worst_and_the_best_figures():
    figures = Interval(np.array([[0.6, -0.2]]), np.array([[0.8, 0.1]]))  # accuracy and a signed gap
    found = hypervolume_between([[0.7, -0.05]], figures, (0.5, 1.0), ("higher", "zero"))
    assert found == pytest.approx((0.2 * 0.95, 0.1 * 0.8, 0.3 * 1.0))
    figures.high[0, 1] = np.nan
    unknown = hypervolume_between([[0.7, -0.05]], figures, (0.5, 1.0), ("higher", "zero"))
    assert unknown.low == 0 and np.isnan(unknown.high)


def test_a_ratio_is_paired():
    ours = noisy([[0.7, 0.2], [0.8, 0.4]])
    same = hypervolume_ratio(ours, ours, REFERENCE, TRADE, 0.95)
    assert same == (1.0, 1.0, 1.0)
    more = np.array([0.01, 0])
    better = replicated(ours.values + more, ours.replicates + more)
    ratio = hypervolume_ratio(better, ours, REFERENCE, TRADE, 0.95)
    assert 1 < ratio.low < ratio.value < ratio.high < 1.03
    turned = hypervolume_ratio(ours, better, REFERENCE, TRADE, 0.95)
    assert (turned.value, turned.low, turned.high) == pytest.approx((1 / ratio.value, 1 / ratio.high, 1 / ratio.low))
    assert np.isnan(hypervolume_ratio(ours, ours, (1.0, 0.0), TRADE, 0.95)).all()


def test_sources_stand_side_by_side():
    one, two = noisy([[0.7], [0.8]], seed=1), noisy([[0.2], [0.4]], seed=2)
    both = side_by_side([one, two])
    assert both.units == (10**6, 10**6)
    np.testing.assert_array_equal(both.values, [[0.7, 0.2], [0.8, 0.4]])
    np.testing.assert_array_equal(both.replicates[..., 1], two.replicates[..., 0])
    np.testing.assert_array_equal(nondominated(both.values, TRADE), [True, True])


def test_draws_are_resamples_and_of_each_source_their_own():
    times = np.concatenate(list(drawn(5, 20_000, 3, "families")))
    assert times.shape == (20_000, 5) and (times.sum(1) == 5).all()
    # multinomial: mean 1, variance 4 / 5, covariance -1 / 5
    np.testing.assert_allclose(np.cov(times.T), np.eye(5) - 0.2, atol=0.03)
    assert not np.array_equal(times, np.concatenate(list(drawn(5, 20_000, 3, "documents"))))
    np.testing.assert_array_equal(times, np.concatenate(list(drawn(5, 20_000, 3, "families"))))
    assert [len(block) for block in drawn(3_000_000, 3, 0, "rows")] == [1, 1, 1]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: replicated(np.zeros((2, 2)), np.zeros((9, 3, 2))), "one number for each objective"),
        (lambda: replicated(np.zeros((2, 2)), np.zeros((1, 2, 2))), "two of each are the fewest"),
        (lambda: replicated(np.zeros((2, 2)), np.zeros((9, 2, 2)), units=1), "two of each are the fewest"),
        (lambda: side_by_side([noisy([[0.5]]), noisy([[0.5]], count=9)]), "differ between the parts"),
        (
            lambda: hypervolume_ratio(noisy([[0.5, 1]]), noisy([[0.5, 1]], count=9), REFERENCE, TRADE, 0.9),
            "cannot be paired",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()
