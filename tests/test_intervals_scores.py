"""Means, areas under the curve and calibration errors: against rates, against pairs of rows, and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from equiray.metrics.calibration import brier, ece
from equiray.metrics.intervals.binomial import clopper_pearson
from equiray.metrics.intervals.limits import Moments, mean
from equiray.metrics.intervals.means import mean_interval
from equiray.metrics.intervals.scores import auc_interval, ece_interval, score_moments, squared_error_moments
from equiray.metrics.intervals.simultaneous import projected
from equiray.metrics.ranking import auc
from equiray.metrics.tables import CALIBRATION_BINS, ScoreCounts, ScoreSums

GRID = np.arange(101) / 100


def moments(values, least=0.0, most=1.0):
    return Moments(values.shape[-1], values.sum(-1), (values**2).sum(-1), least, most)


def score_counts(scores, labels):
    """Of scores [R, n] on `GRID`: counts [R, 2, S]."""
    counts = np.zeros((len(scores), 2, len(GRID)), dtype=np.int64)
    np.add.at(counts, (np.arange(len(scores))[:, None], labels, np.rint(scores * 100).astype(int)), 1)
    return ScoreCounts(GRID, True, counts)


def score_sums(scores, labels):
    place = (np.arange(len(scores))[:, None], labels, np.minimum((scores * 10).astype(int), CALIBRATION_BINS - 1))
    parts = []
    for values in (np.ones_like(scores), scores, scores**2):
        part = np.zeros((len(scores), 2, CALIBRATION_BINS))
        np.add.at(part, place, values)
        parts.append(part)
    return ScoreSums(*parts)


def covered(interval, truth):
    return ((interval.low <= truth) & (truth <= interval.high)).mean()


@given(st.integers(1, 49), st.data())
def test_the_mean_of_few_events_has_the_exact_interval_of_their_rate(rows, data):
    events = data.draw(st.integers(0, rows))
    found = mean_interval(Moments(rows, events, events, 0, 1), 0.95)
    np.testing.assert_allclose(found, clopper_pearson(events, rows, 0.95), atol=1e-9)


def test_gaffkes_limits_are_quantiles_of_randomly_weighted_means():
    values = np.array([0.1, 0.15, 0.3, 0.3, 0.45, 0.9, 0.2, 0.25])
    weights = np.random.default_rng(0).dirichlet(np.ones(len(values) + 1), 200_000)
    low, high = mean_interval(moments(values), 0.9)
    assert low == pytest.approx(np.quantile(weights @ [*values, 0], 0.05), abs=0.015)
    assert high == pytest.approx(np.quantile(weights @ [*values, 1], 0.95), abs=0.015)


def test_the_mean_of_many_values_has_students_interval_wherever_its_bounds_are():
    values = np.random.default_rng(1).beta(3, 4, 5000)
    expected = stats.t.interval(0.95, 4999, values.mean(), stats.sem(values))
    for stretch, shift in ((1, 0), (200, -50)):
        moved = moments(values * stretch + shift, shift, shift + stretch)
        assert mean_interval(moved, 0.95) == pytest.approx(np.multiply(expected, stretch) + shift, abs=2e-4 * stretch)
    unbounded = mean_interval(moments(values)._replace(least=-np.inf, most=np.inf), 0.95)
    assert unbounded == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("law", [(0.3, 3), (2, 2), (8, 2), (0.1, 5), (0.02, 5)])
@pytest.mark.parametrize("rows", [20, 60, 400])
def test_means_of_skewed_values_are_covered(law, rows):
    values = np.random.default_rng(2).beta(*law, (1200, rows))
    assert covered(mean_interval(moments(values), 0.95), law[0] / sum(law)) >= 0.93


def test_values_that_do_not_vary_still_leave_doubt():
    low, high = mean_interval(Moments(20, 10.0, 5.0, 0, 1), 0.95)
    assert low < 0.47 and high > 0.53
    low, high = mean_interval(Moments(np.array([0, 1]), np.array([0, 0.5]), np.array([0, 0.25]), 0, 1), 0.95)
    assert np.isnan([low[0], high[0]]).all() and low[1] < 0.05 and high[1] > 0.95


def test_the_difference_between_mean_scores_is_projected_like_that_of_rates():
    generator = np.random.default_rng(3)
    values = [generator.beta(2, 3, (500, n)) for n in (30, 80, 300)]
    parts = [
        np.stack([part.sum(-1) if k else np.full(500, part.shape[1]) for part in p], -1)
        for k, p in enumerate((values, values, [v**2 for v in values]))
    ]
    low, high = projected("max_difference", [Moments(*parts, 0, 1)], 0.95)
    assert (low > 0).mean() <= 0.065 and (high >= 0).all()
    observed = mean(Moments(*parts, 0, 1))
    spread = observed.max(-1) - observed.min(-1)
    assert (low <= spread).all() and (spread <= high).all()


def test_moments_of_scores_and_squared_errors_are_those_of_the_rows():
    generator = np.random.default_rng(4)
    scores = np.rint(generator.random((3, 40)) * 100) / 100
    labels = generator.integers(0, 2, (3, 40))
    sums = score_sums(scores, labels)
    errors = (scores - labels) ** 2
    for found, values in (
        (score_moments(sums), scores),
        (squared_error_moments(score_counts(scores, labels)), errors),
    ):
        np.testing.assert_allclose(found.total, values.sum(1))
        np.testing.assert_allclose(found.squares, (values**2).sum(1))
    np.testing.assert_allclose(mean(squared_error_moments(score_counts(scores, labels))), brier(sums))


def test_the_error_of_an_area_is_delongs():
    generator = np.random.default_rng(5)
    labels = np.repeat([1, 0], [300, 500])[None]
    scores = np.clip(np.rint(generator.normal(0.4 + 0.15 * labels, 0.15) * 100) / 100, 0, 1)
    counts = score_counts(scores, labels)
    positives, negatives = scores[0, :300], scores[0, 300:]
    wins = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    error = np.sqrt(wins.mean(1).var(ddof=1) / 300 + wins.mean(0).var(ddof=1) / 500)
    low, high = auc_interval(counts, 0.95)
    assert auc(counts)[0] == pytest.approx(wins.mean())
    assert (high - low)[0] / 2 == pytest.approx(1.96 * error, rel=0.04)


@pytest.mark.parametrize(("positives", "negatives"), [(15, 15), (60, 60), (30, 400)])
@pytest.mark.parametrize("shift", [0.0, 0.2, 0.45])
def test_areas_are_covered(positives, negatives, shift):
    labels = np.repeat([1, 0], [positives, negatives])[None].repeat(600, 0)
    scores = np.random.default_rng(6).normal(0.3 + shift * labels, 0.15)
    scores = np.clip(np.rint(scores * 100) / 100, 0, 1)
    steps = np.append((GRID[:-1] + GRID[1:]) / 2, np.inf)
    chances = [np.diff(stats.norm.cdf(steps, 0.3 + by, 0.15), prepend=0) for by in (shift, 0)]
    truth = float((chances[0] * (np.cumsum(chances[1]) - chances[1] / 2)).sum())
    assert covered(auc_interval(score_counts(scores, labels), 0.95), truth) >= 0.93


def test_a_perfect_ranking_of_few_rows_is_not_sure():
    labels = np.array([[1] * 8 + [0] * 8])
    low, high = auc_interval(score_counts(np.where(labels == 1, 0.9, 0.1), labels), 0.95)
    assert high[0] == 1 and 0.3 < low[0] < 0.7
    low, high = auc_interval(score_counts(np.full((1, 3), 0.5), np.ones((1, 3), int)), 0.95)
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize("rows", [30, 300, 3000])
@pytest.mark.parametrize("law", [lambda s: s, lambda s: s**2, lambda s: 0.3 + s / 2])
def test_calibration_errors_are_covered_at_zero_too(rows, law):
    generator = np.random.default_rng(7)
    scores = generator.beta(1, 2, (300, rows))
    labels = (generator.random((300, rows)) < law(scores)).astype(int)
    low, high = ece_interval(score_sums(scores, labels), 0.95)
    many = generator.beta(1, 2, 1_000_000)
    gaps = np.bincount((many * 10).astype(int), many - law(many))
    truth = np.abs(gaps).sum() / len(many)
    assert ((low <= truth + 1e-3) & (truth - 1e-3 <= high)).mean() >= 0.93
    found = ece(score_sums(scores, labels))
    assert (low <= found).all() and (found <= high).all()
