"""Clustered intervals: their width, their coverage, and perplexity."""

import numpy as np
import pytest

from equiray.metrics.clusters import (
    Resampling,
    cluster_interval,
    cluster_sums,
    perplexity_change,
    perplexity_estimate,
)

LABELS = {"task": "truthfulqa", "stage": "baseline", "model": "m"}


def mean(totals: np.ndarray) -> np.ndarray:
    return totals[..., :1] / totals[..., 1:]


def with_counts(values: np.ndarray) -> np.ndarray:
    return np.column_stack([values, np.ones(len(values))])


def test_sums_by_cluster():
    sums = cluster_sums(np.array([[1.0, 10], [2, 20], [4, 40]]), np.array(["b", "a", "b"]))
    assert sums.tolist() == [[2, 20], [5, 50]]


def test_copies_within_a_cluster_add_no_information():
    """Twenty copies of each row leave a clustered interval as it was; unclustered they would shrink it."""
    values = np.random.default_rng(0).normal(size=12)
    once = cluster_interval(cluster_sums(with_counts(values), np.arange(12)), mean, Resampling())
    copied = cluster_sums(with_counts(np.repeat(values, 20)), np.repeat(np.arange(12), 20))
    again = cluster_interval(copied, mean, Resampling())
    assert once is not None and again is not None
    np.testing.assert_allclose(again.low, once.low)
    np.testing.assert_allclose(again.high, once.high)


def test_interval_is_that_of_student_for_a_mean_of_many_clusters():
    from scipy import stats

    values = np.random.default_rng(1).normal(3, 2, size=200)
    interval = cluster_interval(with_counts(values), mean, Resampling(replicates=20_000))
    assert interval is not None
    half = stats.t.ppf(0.975, 199) * values.std(ddof=1) / np.sqrt(200)
    assert float(interval.low[0]) == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert float(interval.high[0]) == pytest.approx(values.mean() + half, abs=0.05 * half)


@pytest.mark.parametrize("clusters", [8, 12, 50])
def test_coverage_with_few_clusters(clusters):
    """95 % intervals hold the truth in 95 % of 1,000 simulations, within 3 standard errors of simulation noise."""
    rng = np.random.default_rng(clusters)
    hits = 0
    for simulation in range(1000):
        centres = rng.normal(size=clusters)
        values = np.repeat(centres, 5) + rng.normal(scale=0.5, size=5 * clusters)
        sums = cluster_sums(with_counts(values), np.repeat(np.arange(clusters), 5))
        interval = cluster_interval(sums, mean, Resampling(replicates=400, seed=simulation))
        assert interval is not None
        hits += bool(interval.low[0] <= 0 <= interval.high[0])
    assert 0.93 <= hits / 1000 <= 0.975


def test_equal_seeds_give_equal_intervals_and_blocks_do_not_show(monkeypatch):
    sums = with_counts(np.random.default_rng(2).normal(size=30))
    whole = cluster_interval(sums, mean, Resampling(seed=4))
    monkeypatch.setattr("equiray.metrics.clusters._BLOCK", 100)
    blocks = cluster_interval(sums, mean, Resampling(seed=4))
    other = cluster_interval(sums, mean, Resampling(seed=5))
    assert whole is not None and blocks is not None and other is not None
    assert blocks.low == whole.low and blocks.high == whole.high
    assert other.low != whole.low


def test_perplexity_weighs_tokens_not_documents():
    nll, tokens = np.array([10.0, 2.0, 0.0]), np.array([5, 20, 0])
    estimate = perplexity_estimate(nll, tokens, **LABELS, resampling=Resampling())
    assert estimate.value == pytest.approx(np.exp(12 / 25))
    assert estimate.n == 2 and estimate.metric == "perplexity" and estimate.direction == "lower"


def test_perplexity_of_a_uniform_model_is_its_vocabulary():
    tokens = np.array([3, 7, 11, 2])
    estimate = perplexity_estimate(tokens * np.log(49152), tokens, **LABELS, resampling=Resampling())
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((49152, 49152, 49152))


def test_perplexity_of_nothing_is_not_estimable():
    estimate = perplexity_estimate(np.array([0.0]), np.array([0]), **LABELS, resampling=Resampling())
    assert (estimate.status, estimate.value, estimate.n) == ("not_estimable", None, 0)


def test_perplexity_change_is_paired():
    rng = np.random.default_rng(3)
    tokens = rng.integers(5, 40, size=60)
    before = tokens * rng.normal(3, 0.5, size=60)
    after = before + tokens * 0.01
    difference, ratio = perplexity_change(before, after, tokens, **LABELS, resampling=Resampling())
    # The same 1 % on every token: the ratio is exp(.01) in every resample, whatever the documents' spread.
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((np.exp(0.01),) * 3)
    start, end = (np.exp(nll.sum() / tokens.sum()) for nll in (before, after))
    assert difference.value == pytest.approx(end - start)
    assert difference.metric == "perplexity" and ratio.metric == "perplexity_ratio"


@pytest.mark.parametrize(("nll", "message"), [([1.0], "one nll sum"), ([1.0, np.nan], "document 1 is NaN")])
def test_perplexity_refuses_broken_input(nll, message):
    with pytest.raises(ValueError, match=message):
        perplexity_estimate(np.array(nll), np.array([3, 4]), **LABELS, resampling=Resampling())
