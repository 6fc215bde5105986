"""Bounds of figures that leave rows out, against every way to complete them."""

from itertools import product

import numpy as np
import pytest

from equiray.metrics import disparities, rates
from equiray.metrics.bounds import disparity_bounds, rate_bounds
from equiray.metrics.estimation.unknown import known
from equiray.metrics.intervals.limits import Completed, Counted
from equiray.metrics.intervals.simultaneous import projected
from equiray.metrics.tables import Mass

DISPARITIES = {
    "gap": disparities.DEMOGRAPHIC_PARITY_DIFFERENCE,
    "odds_max": disparities.EQUALIZED_ODDS_DIFFERENCE_MAX,
    "odds_sum": disparities.EQUALIZED_ODDS_DIFFERENCE_SUM,
    "odds_mean": disparities.EQUALIZED_ODDS_DIFFERENCE_MEAN,
    "ppv": disparities.PREDICTIVE_PARITY_DIFFERENCE,
    "ratio": disparities.DISPARATE_IMPACT_RATIO,
    "worst": disparities.WORST_GROUP_ACCURACY_GROUPS,
    "worst_cell": disparities.WORST_GROUP_ACCURACY_CELLS,
}
UNKNOWN_ROWS = 5


def completions(of, mass, missing):
    """The disparity for every answer of the unanswered rows, and every group of those of no known group."""
    choices = []
    for group, label, prediction in zip(*np.nonzero(mass[..., 2:]), strict=True):
        rows = mass[group, label, 2 + prediction]
        choices += [[(group, label, answer) for answer in (0, 1)]] * rows
    for _, label, prediction in zip(*np.nonzero(missing), strict=True):
        choices += [[(group, label, prediction) for group in range(len(mass))]] * missing[0, label, prediction]
    answered = np.concatenate([mass[..., :2], np.zeros_like(mass[..., 2:])], axis=-1)
    tables = []
    for chosen in product(*choices):
        table = answered.copy()
        for cell in chosen:
            table[cell] += 1
        tables.append(table)
    return of.of(np.array(tables))


def table(seed, groups, *, unanswered):
    generator = np.random.default_rng(seed)
    mass = np.zeros((groups, 2, 4), dtype=np.int64)
    mass[..., :2] = generator.integers(1, 8, (groups, 2, 2))
    missing = np.zeros((1, 2, 4), dtype=np.int64)
    for _ in range(UNKNOWN_ROWS):
        if unanswered:
            mass[generator.integers(groups), generator.integers(2), generator.integers(2, 4)] += 1
        else:
            missing[0, generator.integers(2), generator.integers(2)] += 1
    return mass, missing


@pytest.mark.parametrize("name", DISPARITIES)
@pytest.mark.parametrize(("groups", "unanswered"), [(2, True), (3, True), (2, False), (3, False)])
def test_bounds_enclose_every_completion_and_the_worst_is_attained(name, groups, unanswered):
    of = DISPARITIES[name]
    for seed in range(4):
        mass, missing = table(seed, groups, unanswered=unanswered)
        completed = [known(r, Mass(mass), Mass(missing)).of for r in of.rates]
        low, high = disparity_bounds(of.combined, completed)
        found = completions(of, mass, missing)
        assert low <= found.min() + 1e-12 and found.max() <= high + 1e-12
        if of.combined in ("ratio", "minimum"):
            assert low == pytest.approx(found.min(), abs=1e-12)
        else:
            assert high == pytest.approx(found.max(), abs=1e-12)
        if groups == 2 and of.combined == "max_difference" and name != "odds_max":
            step = 1 / min(r.trials(mass).min() for r in of.rates)  # one row moves a rate by no more
            assert low >= found.min() - step


def test_bounds_of_a_rate_are_its_completions():
    mass, _ = table(0, 1, unanswered=True)
    for of in (rates.SELECTION_RATE, rates.TPR, rates.FPR, rates.ACCURACY, rates.PPV):
        low, high = rate_bounds(known(of, Mass(mass)).of)
        found = completions(disparities.Disparity((of,), "minimum"), mass, np.zeros((1, 2, 4), dtype=np.int64))
        assert (low[0], high[0]) == pytest.approx((found.min(), found.max()), abs=1e-12)


def test_two_hundred_groups_and_a_million_missing_rows_are_no_work():
    generator = np.random.default_rng(1)
    mass = generator.integers(1000, 2000, (200, 2, 4))
    missing = np.full((1, 2, 4), 125_000)
    low, high = disparity_bounds("max_difference", [known(rates.TPR, Mass(mass), Mass(missing)).of])
    assert low == 0 and high > 0.9


@pytest.mark.parametrize("combined", ["max_difference", "ratio", "minimum", "mean"])
def test_limits_with_sampling_error_enclose_the_bounds(combined):
    lowest, highest = (Counted(np.array(events), np.array([40, 60, 50])) for events in ([10, 30, 20], [14, 33, 20]))
    bounds = disparity_bounds(combined, [Completed(lowest, highest)])
    limits = projected(combined, [Completed(lowest, highest)], 0.95)
    assert limits.low <= bounds.low <= bounds.high <= limits.high


@pytest.mark.parametrize("combined", ["max_difference", "ratio", "sum", "mean", "minimum"])
def test_what_is_fully_known_has_its_value_as_bounds(combined):
    of = Counted(np.array([3, 5, 9]), np.array([10, 10, 30]))
    value = disparities.COMBINED[combined]([np.array([0.3, 0.5, 0.3])])
    assert disparity_bounds(combined, [of]) == pytest.approx((value, value), abs=1e-12)


def test_what_cannot_be_compared_has_no_bounds():
    alone = Counted(np.array([3]), np.array([10]))
    assert np.isnan(disparity_bounds("max_difference", [alone])).all()
    empty = Completed(Counted(np.array([0, 3]), np.array([0, 10])), Counted(np.array([2, 3]), np.array([2, 10])))
    assert np.isnan(disparity_bounds("ratio", [empty])).all()
    low, high = rate_bounds(empty)
    assert np.isnan([low[0], high[0]]).all() and low[1] == high[1] == 0.3
