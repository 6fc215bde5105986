"""Bootstrap draws, what chance alone makes of a disparity, and effective numbers of weighted rows."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from equiray.metrics.clusters import Resampling
from equiray.metrics.disparities import COMBINED
from equiray.metrics.intervals.binomial import rate_interval
from equiray.metrics.intervals.bootstrap import block_draws, cell_draws, enough, percentile_interval
from equiray.metrics.intervals.equality import expected_at_equality
from equiray.metrics.intervals.limits import Counted
from equiray.metrics.intervals.weighted import Weights, effective


def test_drawing_cells_is_drawing_rows():
    cells = np.array([[30, 0], [50, 120]])
    draws = cell_draws(cells, Resampling(replicates=4000, seed=3))
    assert draws.shape == (4000, 2, 2) and (draws.sum((1, 2)) == 200).all() and (draws[:, 0, 1] == 0).all()
    rows = np.repeat(np.arange(4), cells.ravel())
    by_row = np.random.default_rng(4).choice(rows, (4000, 200))
    counted = np.stack([(by_row == cell).sum(1) for cell in range(4)], axis=1)
    flat = draws.reshape(4000, 4)
    np.testing.assert_allclose(flat.mean(0), counted.mean(0), atol=0.6)
    np.testing.assert_allclose(np.cov(flat.T), np.cov(counted.T), atol=4)
    np.testing.assert_array_equal(draws, cell_draws(cells, Resampling(replicates=4000, seed=3)))
    assert not cell_draws(np.zeros((2, 2), int), Resampling(replicates=5)).any()


def test_blocks_are_resampled_as_wholes():
    generator = np.random.default_rng(5)
    blocks = generator.gamma(2, size=(300, 3))
    draws = block_draws(blocks, Resampling(replicates=5000, seed=1))
    assert draws.shape == (5000, 3)
    np.testing.assert_allclose(draws.mean(0), blocks.sum(0), rtol=0.01)
    np.testing.assert_allclose(np.cov(draws.T), blocks.T @ blocks, rtol=0.1)


def test_percentiles_leave_out_a_few_empty_draws_and_refuse_many():
    draws = np.stack([np.arange(100.0), np.arange(100.0), np.full(100, np.nan)], axis=1)
    draws[:5, 0] = draws[:20, 1] = np.nan
    low, high = percentile_interval(draws, 0.9)
    assert (low[0], high[0]) == pytest.approx(tuple(np.quantile(np.arange(5, 100), [0.05, 0.95])))
    assert np.isnan([low[1:], high[1:]]).all()


def test_a_bootstrap_needs_events_and_others_in_every_denominator():
    assert enough([Counted(np.array([20, 30]), np.array([40, 60]))])
    assert not enough([Counted(np.array([20, 19]), np.array([40, 60]))])
    assert not enough([Counted(np.array([20, 50]), np.array([40, 60]))])


@pytest.mark.parametrize(("events", "trials"), [((3, 5), (8, 20)), ((0, 1), (5, 3)), ((2, 2), (6, 6))])
@pytest.mark.parametrize("combined", ["max_difference", "ratio", "minimum"])
def test_what_chance_makes_of_equality_is_a_sum_over_all_tables(combined, events, trials):
    pooled = sum(events) / sum(trials)
    expected, known = 0.0, 0.0
    for table in product(*(range(n + 1) for n in trials)):
        chance = np.prod(binom.pmf(table, trials, pooled))
        value = float(COMBINED[combined]([np.array(table) / np.array(trials)]))
        if not np.isnan(value):
            expected, known = expected + chance * value, known + chance
    counted = Counted(np.array(events), np.array(trials))
    found = expected_at_equality(COMBINED[combined], [counted], Resampling(replicates=20_000, seed=6))
    assert found == pytest.approx(expected / known, abs=0.01)


def test_nothing_is_expected_of_a_group_without_rows():
    counted = Counted(np.array([1, 0]), np.array([5, 0]))
    assert np.isnan(expected_at_equality(COMBINED["max_difference"], [counted], Resampling()))


@given(st.integers(0, 50), st.integers(0, 50), st.floats(0.01, 100))
def test_equal_weights_count_rows(events, others, weight):
    sides = (Weights(np.array(n * weight), np.array(n * weight**2)) for n in (events, others))
    found = effective(*sides)
    assert (found.events, found.trials) == pytest.approx((events, events + others), rel=1e-9)


def test_weights_that_come_with_the_event_cost_more_than_kish_says():
    heavy, light = Weights(np.array(300.0), np.array(9000.0)), Weights(np.array(700.0), np.array(700.0))
    kish = 1000**2 / 9700
    found = effective(heavy, light)
    assert found.trials < kish and np.asarray(found.events) / found.trials == pytest.approx(0.3)
    generator = np.random.default_rng(7)  # 10 rows of weight 30, 700 of weight 1, drawn as rows are
    drawn = generator.poisson([10, 700], (20_000, 2)) * [30, 1]
    variance = np.var(drawn[:, 0] / drawn.sum(1))
    assert 0.3 * 0.7 / found.trials == pytest.approx(variance, rel=0.1)


def test_weighted_rates_are_covered():
    generator = np.random.default_rng(8)
    for rows, rate in ((30, 0.1), (200, 0.5), (1000, 0.05)):
        weights = generator.lognormal(0, 0.8, (1500, rows))
        happened = generator.random((1500, rows)) < rate
        sides = (Weights((weights * side).sum(1), (weights**2 * side).sum(1)) for side in (happened, ~happened))
        low, high = rate_interval(*effective(*sides), 0.95)
        assert ((low <= rate) & (rate <= high)).mean() >= 0.93
