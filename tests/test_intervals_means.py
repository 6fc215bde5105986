"""Mean shifts and mean errors: against paired decisions and laws with known limits, and by simulation."""

import numpy as np
import pytest
from scipy import stats

from equiray.metrics.intervals.limits import Counted, Moments
from equiray.metrics.intervals.means import mean_interval
from equiray.metrics.intervals.shifts import Shifts, shift_interval
from equiray.metrics.paired import PairedRate


def shifts(values: np.ndarray):
    return shift_interval(Shifts(values.shape[-1], values.sum(-1), np.abs(values).sum(-1), (values**2).sum(-1)), 0.95)


def errors(values: np.ndarray, confidence: float = 0.95):
    return mean_interval(Moments(values.shape[-1], values.sum(-1), (values**2).sum(-1), least=0), confidence)


def covered(interval, truth: float) -> float:
    return float(((interval.low <= truth) & (truth <= interval.high)).mean())


@pytest.mark.parametrize(("gained", "lost", "same"), [(9, 3, 28), (0, 0, 40), (5, 0, 3), (0, 7, 90), (60, 40, 900)])
def test_shifts_of_whole_decisions_are_those_of_paired_decisions(gained, lost, same):
    n = gained + lost + same
    nothing = np.zeros(())
    paired = PairedRate(
        first=Counted(lost, n),
        second=Counted(gained, n),
        discordant=Counted(gained + lost, n),
        gained=Counted(gained, gained + lost),
        correlation=nothing,
        rows=np.asarray(n),
        left_out=nothing,
    ).interval(0.95)
    values = np.repeat([1.0, -1.0, 0.0], [gained, lost, same])
    if min(gained + lost, same) >= 15 or n < 50:  # between, few whole values are few values of a mean (`means`)
        np.testing.assert_allclose(shifts(values), paired, atol=2e-3)
    low, high = shifts(values)
    assert low <= values.mean() <= high
    turned = shifts(-values)
    np.testing.assert_allclose((-turned.high, -turned.low), (low, high), atol=1e-12)


@pytest.mark.parametrize("rows", [20, 50, 200, 2000])
@pytest.mark.parametrize(("moving", "upward"), [(0.02, 0.0), (0.2, 0.0), (0.2, 0.4), (1.0, 0.5), (1.0, 0.9)])
def test_rare_and_one_sided_shifts_are_covered(rows, moving, upward):
    generator = np.random.default_rng(1)
    size = 0.3 * generator.random((1500, rows)) * (generator.random((1500, rows)) < moving)
    values = np.where(generator.random((1500, rows)) < upward, size, -size)
    truth = 0.15 * moving * (2 * upward - 1)
    assert covered(shifts(values), truth) >= 0.935


def test_a_mean_as_such_does_not_see_that_few_of_its_values_are_not_0():
    """Why shifts have limits of their own."""
    generator = np.random.default_rng(2)
    values = -0.3 * generator.random((4000, 50)) * (generator.random((4000, 50)) < 0.1)
    of = Moments(50, values.sum(-1), (values**2).sum(-1), -1, 1)
    assert covered(mean_interval(of, 0.95), -0.015) < 0.9 < 0.95 < covered(shifts(values), -0.015)


def test_shifts_of_no_rows_say_nothing():
    low, high = shift_interval(Shifts(np.array([0, 30]), np.zeros(2), np.zeros(2), np.zeros(2)), 0.95)
    assert np.isnan([low[0], high[0]]).all()
    assert -0.2 < low[1] < 0 < high[1] == pytest.approx(-low[1])


def test_many_errors_have_the_limits_of_a_gamma_law():
    values = np.random.default_rng(3).exponential(2.0, 100_000)
    exact = 2 * values.sum() / stats.chi2(2 * len(values)).ppf([0.975, 0.025])
    np.testing.assert_allclose(errors(values), exact, rtol=3e-4)


@pytest.mark.parametrize("rows", [20, 50, 100, 1000])
@pytest.mark.parametrize("law", [stats.norm(0, 1), stats.norm(3, 1), stats.laplace(0, 1), stats.uniform(-1, 3)])
@pytest.mark.parametrize("power", [1, 2])
def test_mean_errors_are_covered(rows, law, power):
    values = np.abs(law.rvs((2500, rows), random_state=np.random.default_rng(4))) ** power
    truth = law.expect(lambda x: np.abs(x) ** power)
    assert covered(errors(values), truth) >= 0.935


def test_heavy_tails_mislead_and_how_much():
    """docs/statistics.md names these figures: what no law bounds, no sample shows."""
    values = stats.lognorm(1).rvs((4000, 50), random_state=np.random.default_rng(5))
    assert covered(errors(values), float(np.exp(0.5))) == pytest.approx(0.93, abs=0.015)
    assert covered(errors(values**2), float(np.exp(2))) == pytest.approx(0.90, abs=0.02)


def test_errors_that_are_equal_or_one_alone():
    low, high = errors(np.array([[0.5, 0.5, 0.5], [0.0, 0.0, 0.0]]))
    assert low.tolist() == high.tolist() == [0.5, 0]
    assert np.isnan(errors(np.array([2.0]))).all()
    low, high = errors(np.array([0.0, 0.0, 9.0]), 0.99)
    assert 0 < low < 3 < high < np.inf
    assert np.isnan(errors(np.array([0.0, 0.0, 9.0]), 1 - 1e-9)).all(), "no upper limit"


@pytest.mark.parametrize("rows", [3, 5, 10])
def test_limits_of_very_few_errors_are_finite_and_wide(rows):
    values = np.abs(np.random.default_rng(6).normal(0, 1, (4000, rows))) ** 2
    found = errors(values)
    assert covered(found, 1.0) >= 0.93
    assert (found.low <= values.mean(1)).all() and (values.mean(1) <= found.high).all()
    assert np.isfinite(found.high).all()


@pytest.mark.parametrize("rows", [4, 30])
def test_more_confidence_never_narrows(rows):
    values = np.random.default_rng(7).lognormal(0, 1.5, rows)
    found = np.array([errors(values, level) for level in (0.5, 0.8, 0.95, 0.99, 0.999)])
    assert (np.diff(found[:, 0]) <= 0).all() and (np.diff(found[:, 1]) >= 0).all()


@pytest.mark.parametrize("value", [0.1, 0.4, 1 / 3])
def test_values_that_are_equal_but_for_rounding_have_limits_without_a_warning(value):
    values = np.full(60, value)
    low, high = mean_interval(Moments(60, values.sum(), (values**2).sum(), 0, 1), 0.95)
    exact = mean_interval(Moments(64, 64 * 0.5, 64 * 0.25, 0, 1), 0.95)  # no rounding here
    assert low < value < high
    assert exact.low < 0.5 < exact.high and high - low < 2 * (exact.high - exact.low)


@pytest.mark.parametrize("far", [1e-6, 1e-9, 5e-12, 2e-16])
def test_values_that_are_all_but_at_a_bound_have_limits(far):
    values = 1 - far * np.random.default_rng(0).uniform(0, 1, 26)
    low, high = mean_interval(Moments(26, values.sum(), (values**2).sum(), 0, 1), 0.95)
    at_it = mean_interval(Moments(26, 26.0, 26.0, 0, 1), 0.95)
    assert 1 - 2 * far <= high <= 1 and low == pytest.approx(float(at_it.low), abs=1e-5)
