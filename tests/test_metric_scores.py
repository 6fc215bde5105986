"""Metrics of scores: against scikit-learn and against loops over rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, roc_auc_score, roc_curve

from equiray.metrics.calibration import brier, ece, reliability
from equiray.metrics.disparities import DEMOGRAPHIC_PARITY_DIFFERENCE
from equiray.metrics.ranking import auc, auc_bounds
from equiray.metrics.rates import ACCURACY, FPR, SELECTION_RATE, TPR
from equiray.metrics.regression import mean_score, mean_score_difference
from equiray.metrics.tables import ScoreCounts, ScoreSums
from equiray.metrics.thresholds import above_median, scoring_impact_ratio, scoring_rate, threshold_curve
from metric_tables import Scored, random_scored, score_counts, score_sums

TOLERANCE = 1e-12
FEW = settings(max_examples=20)
SEEDS = st.integers(0, 2**32 - 1)


def people(seed: int, *, weighted: bool = False) -> Scored:
    """Rows whose scores tie often, with an empty group, a group of one class and a tiny one."""
    rows = random_scored(seed, n=120, groups=3, values=17, weighted=weighted)
    label = np.where(rows.group == 1, 1, rows.label)
    group = np.where((rows.group == 2) & (np.arange(120) > 20), 0, rows.group)
    return rows._replace(group=group, label=label)


def group(rows: Scored, place: int) -> dict[str, np.ndarray]:
    mine = rows.group == place
    weight = np.ones(mine.sum()) if rows.weight is None else rows.weight[mine]
    return {"y_true": rows.label[mine], "y_score": rows.score[mine], "sample_weight": weight}


@FEW
@given(SEEDS, st.booleans())
def test_areas_equal_scikit_learn_with_ties_and_weights(seed, weighted):
    rows = people(seed, weighted=weighted)
    ours = auc(score_counts(rows, groups=4))
    assert np.isnan(ours[1]) and np.isnan(ours[3])  # one class, no rows
    for place in (0, 2):
        mine = group(rows, place)
        if len(set(mine["y_true"])) == 2:
            assert ours[place] == pytest.approx(roc_auc_score(**mine), abs=TOLERANCE)
        else:
            assert np.isnan(ours[place])


@FEW
@given(SEEDS, st.sampled_from([2, 5, 13]))
def test_on_a_grid_the_area_is_enclosed(seed, grid):
    rows = random_scored(seed, n=200)
    exact = auc(score_counts(rows, groups=3))
    low, high = auc_bounds(score_counts(rows, groups=3, grid=grid))
    binned = auc(score_counts(rows, groups=3, grid=grid))
    assert (low <= exact).all() and (exact <= high).all()
    assert (low < high).all()
    np.testing.assert_allclose(binned, (low + high) / 2, atol=TOLERANCE)
    np.testing.assert_array_equal(auc_bounds(score_counts(rows, groups=3)), [exact, exact])


def test_the_bounds_of_an_area_are_reached():
    """One bin holds a positive and a negative: the rows may be either way round."""
    for positive, expected in ((0.1, 0), (0.4, 1)):
        rows = Scored(np.zeros(2, int), np.array([0, 1]), np.array([0.3, positive]))
        assert auc(score_counts(rows, groups=1)) == [expected]
        np.testing.assert_array_equal(auc_bounds(score_counts(rows, groups=1, grid=2)), [[0], [1]])


@FEW
@given(SEEDS, st.booleans())
def test_brier_and_mean_scores_equal_those_of_the_rows(seed, weighted):
    rows = people(seed, weighted=weighted)
    sums = score_sums(rows, groups=4)
    ours, means = brier(sums), mean_score(sums)
    assert np.isnan(ours[3]) and np.isnan(means[3]) and np.isnan(mean_score_difference(sums))
    for place in (0, 1):
        mine = group(rows, place)
        theirs = brier_score_loss(mine["y_true"], mine["y_score"], sample_weight=mine["sample_weight"], labels=[0, 1])
        assert ours[place] == pytest.approx(theirs, abs=TOLERANCE)
        assert means[place] == pytest.approx(np.average(mine["y_score"], weights=mine["sample_weight"]), abs=TOLERANCE)
    two = ScoreSums(*(part[:2] for part in sums))
    assert mean_score_difference(two) == pytest.approx(abs(means[0] - means[1]), abs=TOLERANCE)


def test_a_brier_score_is_never_negative_however_its_sums_round():
    scores = 1 - np.random.default_rng(0).random((50, 1)) * 1e-9
    for score in scores:
        value = brier(score_sums(Scored(np.zeros(999, int), np.ones(999, int), np.repeat(score, 999)), groups=1))
        assert 0 <= value[0] <= TOLERANCE


@FEW
@given(SEEDS)
def test_the_calibration_error_equals_a_loop_over_bins(seed):
    rows = people(seed)
    ours = ece(score_sums(rows, groups=4))
    assert np.isnan(ours[3])
    for place in (0, 1):
        mine, expected = group(rows, place), 0.0
        for bin_ in range(10):
            score = mine["y_score"]
            inside = (score >= bin_ / 10) & ((score < (bin_ + 1) / 10) | (bin_ == 9))
            if inside.any():
                expected += inside.mean() * abs(score[inside].mean() - mine["y_true"][inside].mean())
        assert ours[place] == pytest.approx(expected, abs=TOLERANCE)


def test_reliability_tells_score_and_share_apart():
    rows = Scored(np.array([0, 0, 0, 1]), np.array([1, 0, 0, 1]), np.array([0.35, 0.3, 0.31, 0.9]))
    found = reliability(score_sums(rows, groups=2))
    assert found.rows[0, 3] == 3
    assert found.mean_score[0, 3] == pytest.approx(0.32)
    assert found.positive_rate[0, 3] == pytest.approx(1 / 3)
    assert np.isnan(found.mean_score[1, 3])


@FEW
@given(SEEDS)
def test_a_threshold_curve_is_scikit_learns_roc_curve(seed):
    rows = random_scored(seed, n=200, groups=2, values=23)
    curve = threshold_curve(score_counts(rows, groups=2))
    tpr, fpr = TPR.of(curve.mass), FPR.of(curve.mass)
    assert curve.mass.shape == (len(curve.thresholds), 2, 2, 2)
    for place in range(2):
        mine = group(rows, place)
        theirs = roc_curve(mine["y_true"], mine["y_score"], drop_intermediate=False)
        at = np.searchsorted(curve.thresholds, theirs[2])
        np.testing.assert_array_equal(curve.thresholds[at], theirs[2])
        np.testing.assert_allclose(fpr[at, place], theirs[0], atol=TOLERANCE)
        np.testing.assert_allclose(tpr[at, place], theirs[1], atol=TOLERANCE)


def test_every_rate_and_disparity_applies_to_a_threshold_curve():
    rows = random_scored(5, n=150, groups=3, values=9)
    curve = threshold_curve(score_counts(rows, groups=3))
    accuracy, gap = ACCURACY.of(curve.mass), DEMOGRAPHIC_PARITY_DIFFERENCE.of(curve.mass)
    for t, threshold in enumerate(curve.thresholds):
        selected = rows.score >= threshold
        shares = [selected[rows.group == place].mean() for place in range(3)]
        assert gap[t] == pytest.approx(max(shares) - min(shares), abs=TOLERANCE)
        mine = rows.group == 1
        assert accuracy[t, 1] == pytest.approx(accuracy_score(rows.label[mine], selected[mine]), abs=TOLERANCE)
    assert (SELECTION_RATE.of(curve.mass[0]) == 1).all() and (SELECTION_RATE.of(curve.mass[-1]) == 0).all()


def test_the_lowest_threshold_selects_every_row_also_where_weights_round():
    rows = random_scored(6, n=500, weighted=True)
    curve = threshold_curve(score_counts(rows, groups=3))
    assert (SELECTION_RATE.of(curve.mass)[0] == 1).all()


@FEW
@given(SEEDS, st.sampled_from([100, 101]), st.sampled_from([3, 8, None]))
def test_scoring_rates_are_the_shares_above_the_median_of_the_rows(seed, n, values):
    rows = random_scored(seed, n=n, groups=2, values=values)
    rates = scoring_rate(score_counts(rows, groups=2))
    above = rows.score > np.median(rows.score)
    expected = [above[rows.group == place].mean() for place in range(2)]
    np.testing.assert_allclose(rates, expected, atol=TOLERANCE)
    if max(expected) > 0:
        ratios = scoring_impact_ratio(score_counts(rows, groups=2))
        np.testing.assert_allclose(ratios, np.array(expected) / max(expected), atol=TOLERANCE)


@FEW
@given(SEEDS, st.sampled_from([2, 7]))
def test_on_a_grid_the_rows_of_the_medians_bin_are_undecided(seed, grid):
    rows = random_scored(seed, n=101, groups=2)
    split = above_median(score_counts(rows, groups=2, grid=grid))
    above = np.bincount(rows.group, rows.score > np.median(rows.score), minlength=2)
    selected = SELECTION_RATE.events(split.mass)
    assert (selected <= above).all() and (above <= selected + split.undecided).all()
    assert split.undecided.sum() > 0
    assert above_median(score_counts(rows, groups=2)).undecided.sum() == 0


def test_replicates_in_the_leading_axes_are_computed_side_by_side():
    scores = score_counts(random_scored(7, n=200, values=11), groups=3)
    sums = score_sums(random_scored(7, n=200, values=11), groups=3)
    generator = np.random.default_rng(8)
    many = scores._replace(count=scores.count * generator.integers(1, 4, (5, 1, 1, 1)) + scores.count[::-1])
    one = ScoreCounts(many.values, many.exact, many.count[3])
    np.testing.assert_array_equal(auc(many)[3], auc(one))
    np.testing.assert_array_equal(scoring_rate(many)[3], scoring_rate(one))
    np.testing.assert_array_equal(TPR.of(threshold_curve(many).mass)[3], TPR.of(threshold_curve(one).mass))
    stacked = ScoreSums(*(np.stack([part, 2 * part]) for part in sums))
    np.testing.assert_array_equal(brier(stacked)[0], brier(sums))
    np.testing.assert_allclose(ece(stacked), np.stack([ece(sums)] * 2), atol=TOLERANCE)
