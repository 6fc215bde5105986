"""Rates: limits against scipy and the definition, and coverage by summing the binomial distribution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binom, binomtest

from equiray.metrics.intervals.binomial import clopper_pearson, mid_p, rate_interval, wilson


def coverage(trials: int, confidence: float = 0.95) -> np.ndarray:
    """Rows (expected events, coverage, errors of the lower limit, of the upper one), at every rate where they jump.

    Between two limits coverage rises and then falls, so its least value is at a limit. With many trials, up to rates of
    250 events.
    """
    events = np.arange(min(trials, 400) + 1)
    low, high = rate_interval(events, trials, confidence)
    assert (np.diff(low) >= 0).all() and (np.diff(high) >= 0).all()
    highest = 250 / trials if trials > 400 else 0.5
    limits = np.concatenate([low, high])
    limits = limits[(limits > 0) & (limits < highest)]
    rates = np.concatenate([limits * (1 - 1e-9), limits * (1 + 1e-9)])
    first, last = np.searchsorted(high, rates), np.searchsorted(low, rates, "right") - 1
    below, above = binom.cdf(first - 1, trials, rates), binom.sf(last, trials, rates)
    return np.stack([rates * trials, 1 - below - above, above, below], axis=1)


@pytest.mark.parametrize("trials", [1, 2, 19, 50, 333, 20_000])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.9999])
def test_wilson_and_exact_limits_are_those_of_scipy(trials, confidence):
    events = np.unique(np.linspace(0, trials, 7).astype(int))
    for ours, name in ((wilson, "wilson"), (clopper_pearson, "exact")):
        theirs = [binomtest(int(x), trials).proportion_ci(confidence, name) for x in events]
        np.testing.assert_allclose(np.transpose(ours(events, trials, confidence)), theirs, atol=1e-10)


@pytest.mark.parametrize(
    ("events", "trials"),
    [(1, 1), (1, 20), (5, 50), (13, 50), (50, 50), (31, 62), (31, 9000), (300, 100_000), (99_000, 100_000)],
)
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.9999])
def test_mid_p_limits_solve_their_equation(events, trials, confidence):
    tail = (1 - confidence) / 2

    def excess(p):
        return binom.sf(events, trials, p) + binom.pmf(events, trials, p) / 2 - tail

    expected = brentq(excess, 0, 1, xtol=1e-14)
    assert mid_p(events, trials, confidence).low == pytest.approx(expected, rel=1e-8)
    mirrored = mid_p(trials - events, trials, confidence).high
    assert mirrored == pytest.approx(1 - expected, rel=1e-8)


@pytest.mark.parametrize("trials", [20, 30, 49, 50, 60, 81, 100, 150, 200, 500, 1000, 10_000, 100_000])
def test_a_rate_is_covered_as_often_as_promised(trials):
    found = coverage(trials)
    events, covered = found[:, 0], found[:, 1]
    assert covered.min() >= 0.93
    assert found[:, 2:].max() < 0.04, "each end by itself: a verdict reads one"
    if trials >= 50:
        sliver = (events > 10.2) & (events < 10.25)
        assert covered[(events >= 10) & ~sliver].max() <= 0.97
        assert covered[sliver].max(initial=0) < 0.975
    else:
        assert covered.min() >= 0.95, "exact"


@pytest.mark.parametrize("trials", [20, 60, 1000])
@pytest.mark.parametrize("confidence", [0.995, 1 - 1e-4, 1 - 1e-7])
def test_at_high_confidence_no_end_errs_more_often_than_it_may(trials, confidence):
    assert coverage(trials, confidence)[:, 2:].max() <= (1 - confidence) / 2 * (1 + 1e-6)


def test_wilson_errs_hundreds_of_times_too_often_at_high_confidence():
    """Why it is not used: one event of 1,000 excludes rates at which that is no surprise."""
    confidence = 1 - 1e-4
    rate = wilson(1, 1000, confidence).low * 0.999
    assert binom.sf(0, 1000, rate) > 500 * (1 - confidence) / 2


@given(st.integers(1, 300), st.data())
def test_limits_are_in_range_enclose_the_rate_and_mirror(trials, data):
    events = data.draw(st.integers(0, trials))
    confidence = data.draw(st.sampled_from([0.5, 0.9, 0.95, 0.999999]))
    for interval in (wilson, clopper_pearson, mid_p, rate_interval):
        low, high = interval(events, trials, confidence)
        assert 0 <= low <= events / trials + 1e-12 and events / trials - 1e-12 <= high <= 1
        mirror = interval(trials - events, trials, confidence)
        assert mirror.low == pytest.approx(1 - high, abs=1e-12)


def test_a_higher_confidence_never_narrows():
    levels = np.array([0.5, 0.9, 0.95, 0.98, 0.99, 0.995, 0.9999])
    for events, trials in ((0, 30), (3, 60), (30, 60), (50, 5000)):
        found = np.array([rate_interval(events, trials, level) for level in levels])
        assert (np.diff(found[:, 0]) <= 0).all() and (np.diff(found[:, 1]) >= 0).all()


def test_no_trials_say_nothing():
    for interval in (wilson, clopper_pearson, mid_p, rate_interval):
        low, high = interval(np.array([0, 1]), np.array([0, 2]), 0.95)
        assert np.isnan([low[0], high[0]]).all() and not np.isnan([low[1], high[1]]).any()


@pytest.mark.parametrize(("events", "trials", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0), (1, 2, 95)])
def test_what_cannot_be_is_refused(events, trials, confidence):
    with pytest.raises(ValueError, match=r"out of|confidence"):
        rate_interval(events, trials, confidence)
