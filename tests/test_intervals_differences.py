"""Differences of two rates: coverage by summing both binomial distributions, and limits against the literature."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from equiray.metrics.intervals.binomial import rate_interval
from equiray.metrics.intervals.differences import difference_interval, newcombe
from equiray.metrics.intervals.limits import Counted

RATES = (0.01, 0.05, 0.2, 0.5, 0.97)


def errors(interval, trials, rates, confidence=0.95):
    """How often the lower limit is above the difference, and the upper one below it."""
    counts, weights = [], []
    for n, p in zip(trials, rates, strict=True):
        reach = 8 * np.sqrt(n * p * (1 - p)) + 20
        counted = np.arange(max(0, int(n * p - reach)), min(n, int(n * p + reach)) + 1)
        counts.append(counted)
        weights.append(binom.pmf(counted, n, p))
    low, high = interval(
        Counted(counts[0][:, None], np.full((len(counts[0]), 1), trials[0])),
        Counted(counts[1][None], np.full((1, len(counts[1])), trials[1])),
        confidence,
    )
    chance, difference = weights[0][:, None] * weights[1], rates[0] - rates[1]
    return (chance * (low > difference)).sum(), (chance * (high < difference)).sum()


@pytest.mark.parametrize(
    "trials", [(20, 20), (20, 49), (20, 300), (50, 50), (50, 2000), (81, 100), (20, 100_000), (300, 100_000)]
)
def test_a_difference_is_covered_as_often_as_promised(trials):
    for rates in product(RATES, RATES):
        below, above = errors(difference_interval, trials, rates)
        assert below + above <= 0.07, rates
        assert max(below, above) <= 0.04, (rates, "each end by itself: a verdict reads one")
        expected = [min(n * p, n * (1 - p)) for n, p in zip(trials, rates, strict=True)]
        if min(trials) >= 50 and min(expected) >= 10:
            assert below + above >= 0.03, rates


@pytest.mark.parametrize("trials", [(20, 20), (20, 200), (100, 1000)])
@pytest.mark.parametrize("alpha", [0.005, 1e-4, 2e-6])
def test_high_confidence_is_kept_where_square_and_add_errs_thousands_of_times_too_often(trials, alpha):
    for rates in product((0.01, 0.03, 0.3, 0.99), repeat=2):
        assert max(errors(difference_interval, trials, rates, 1 - alpha)) <= 1.25 * alpha / 2, rates


def test_newcombe_gives_the_figures_of_his_paper():
    """Newcombe 1998, Table II, method 10."""
    published = {
        (56, 70, 48, 80): (0.0524, 0.3339),
        (9, 10, 3, 10): (0.1705, 0.8090),
        (6, 7, 2, 7): (0.0582, 0.8062),
        (5, 56, 0, 29): (-0.0381, 0.1926),
        (0, 10, 0, 20): (-0.1611, 0.2775),
        (10, 10, 0, 20): (0.6791, 1.0000),
    }
    for (x, n, y, m), limits in published.items():
        assert newcombe(Counted(x, n), Counted(y, m), 0.95) == pytest.approx(limits, abs=6e-5)


def test_newcombe_misses_too_often_where_groups_are_small_and_rates_extreme():
    """Why it is not used."""
    assert sum(errors(newcombe, (20, 20), (0.01, 0.97))) > 0.1
    assert sum(errors(newcombe, (20, 100_000), (0.05, 0.01))) > 0.075


def test_against_a_known_rate_it_is_the_interval_of_the_other():
    sure = Counted(10**12, 4 * 10**12)
    for events, trials in ((0, 20), (3, 40), (70, 200)):
        expected = np.subtract(rate_interval(events, trials, 0.95), 0.25)
        found = difference_interval(Counted(events, trials), sure, 0.95)
        wider = np.abs(np.subtract(found, events / trials - 0.25)) / np.abs(
            expected - (events / trials - 0.25) + 1e-300
        )
        assert found.low <= expected[0] + 1e-6 and found.high >= expected[1] - 1e-6
        assert wider.max() < 1.03 or events == 0


@given(st.integers(1, 80), st.integers(1, 80), st.data())
def test_limits_are_in_range_and_turn_round_with_the_groups(n, m, data):
    one = Counted(data.draw(st.integers(0, n)), n)
    other = Counted(data.draw(st.integers(0, m)), m)
    low, high = difference_interval(one, other, 0.95)
    found = one.events / n - other.events / m
    assert -1 <= low <= found <= high <= 1
    turned = difference_interval(other, one, 0.95)
    assert (-turned.high, -turned.low) == pytest.approx((low, high), abs=1e-12)


def test_many_pairs_cost_one_call():
    one = Counted(np.array([[1], [5]]), np.array([[20], [60]]))
    other = Counted(np.array([2, 8, 0]), np.array([30, 100, 0]))
    found = difference_interval(one, other, 0.95)
    assert found.low.shape == (2, 3)
    single = difference_interval(Counted(5, 60), Counted(8, 100), 0.95)
    assert (found.low[1, 1], found.high[1, 1]) == (single.low, single.high)
    assert np.isnan(found.low[:, 2]).all()
