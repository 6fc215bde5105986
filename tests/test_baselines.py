"""Baselines that FairNet is held against: GroupDRO, JTT, DFR, and group thresholds beside Fairlearn's."""

import numpy as np
import pytest
import torch
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LogisticRegression

from equiray.errors import BadInput
from equiray.mitigation.baselines.dfr import FEWEST_ROWS, balanced_rows, fit_last_layer
from equiray.mitigation.baselines.group_dro import STEP, GroupDro
from equiray.mitigation.baselines.group_thresholds import fit_group_thresholds
from equiray.mitigation.baselines.jtt import error_weights


def test_group_dro_is_algorithm_1_of_the_paper():
    """A row a step, as the paper writes it: q_g grows by exp(step x loss), all q sum to 1, the gradient counts q_g."""
    rng = np.random.default_rng(0)
    cell, losses = rng.integers(0, 4, 50), rng.gamma(1.0, 1.0, 50)
    reduce, q = GroupDro(cell), np.full(4, 1 / 4)
    for row, (g, loss) in enumerate(zip(cell, losses, strict=True)):
        q[g] *= np.exp(STEP * loss)
        q /= q.sum()
        each = torch.tensor([loss], requires_grad=True)
        made = reduce(each, torch.tensor([row]))
        made.backward()
        assert made.item() == pytest.approx(q[g] * loss, rel=1e-5)
        assert each.grad is not None and float(each.grad[0]) == pytest.approx(q[g], rel=1e-5)
    np.testing.assert_allclose(reduce.weight.numpy(), q, rtol=1e-5)


def test_group_dro_of_a_batch_weighs_the_cells_mean_losses():
    rng = np.random.default_rng(1)
    cell, q = rng.integers(0, 3, 64), np.full(3, 1 / 3)
    reduce = GroupDro(cell, step=0.5)
    for rows in (np.arange(20), np.flatnonzero(cell != 1)[:16], np.arange(40, 64)):
        losses = rng.gamma(1.0, 1.0, len(rows))
        mean = [losses[cell[rows] == g].mean() if (cell[rows] == g).any() else 0.0 for g in range(3)]
        q *= np.exp(0.5 * np.array(mean))
        q /= q.sum()
        made = reduce(torch.from_numpy(losses), torch.from_numpy(rows))
        assert float(made) == pytest.approx(sum(q * mean), rel=1e-5)
    assert reduce.weight.argmax() == q.argmax()


def test_jtt_weighs_the_error_set():
    right = np.array([True, False, True, True, False])
    reduce = error_weights(right, 6.0)
    assert reduce.weight.tolist() == [1, 6, 1, 1, 6]
    losses, rows = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4, 0, 3])
    assert float(reduce(losses, rows)) == pytest.approx((6 * 1 + 2 + 3) / (6 + 2))
    alike = error_weights(np.ones(5, bool), 6.0)
    assert float(alike(losses, rows)) == pytest.approx(2.0)


def spurious(n: int, seed: int):
    """Column 0 says the label weakly; column 1 says the group, which agrees with the label in 49 rows of 50."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    group = np.where(rng.random(n) < 0.98, label, 1 - label)
    features = rng.normal(0, 1, (n, 12)).astype(np.float32)
    features[:, 0] += 1.5 * (2 * label - 1)
    features[:, 1] += 3 * (2 * group - 1)
    return 5 * features + 40, label, 2 * group + label  # neither scale nor place is what the fit may hang on


def test_dfr_recovers_the_rule_that_a_biased_fit_misses():
    features, label, cell = spurious(8000, 0)
    found = fit_last_layer(features, label, cell, seed=0)
    fresh, truth, cells = spurious(4000, 1)
    biased = LogisticRegression(max_iter=500).fit(features, label)

    def worst(decided):
        return min((decided == truth)[cells == each].mean() for each in range(4))

    assert worst(biased.predict(fresh)) < 0.75
    assert worst(found.probabilities(fresh) > 0.5) > 0.85  # the rule's own: 0.933
    unit = np.abs(found.weights)
    assert unit[0] == unit.max() and unit[1] < 0.2 * unit[0]
    again = fit_last_layer(features, label, cell, seed=0)
    assert np.array_equal(found.weights, again.weights) and found.intercept == again.intercept


def test_dfr_leaves_small_cells_out():
    features, label, cell = spurious(2000, 2)
    few = np.flatnonzero(cell == 1)[: FEWEST_ROWS - 1]
    kept = np.sort(np.concatenate([np.flatnonzero(cell != 1), few]))
    without = np.flatnonzero(cell != 1)
    assert not balanced_rows(label[kept], cell[kept])[cell[kept] == 1].any()
    one, other = (fit_last_layer(features[r], label[r], cell[r], seed=3) for r in (kept, without))
    np.testing.assert_array_equal(one.weights, other.weights)


def test_dfr_says_that_cells_are_too_small():
    features, label, _ = spurious(60, 4)
    short = np.where(label == 1, 1, 0)
    with pytest.raises(BadInput, match=r"cells of \[\d+, \d+\] validation rows.*\n.*baselines: dfr\n.*leave dfr out"):
        fit_last_layer(features[:30], label[:30], short[:30], seed=0)
    with pytest.raises(BadInput, match="cannot be balanced"):
        balanced_rows(np.ones(50, np.int64), np.ones(50, np.int64))


class Scores(RegressorMixin, BaseEstimator):
    """A fitted model whose scores are its only column."""

    def fit(self, *_):
        self.fitted_ = True
        return self

    def predict(self, x):
        return np.asarray(x)[:, 0]


def test_group_thresholds_reach_what_fairlearn_reaches_where_both_ask_the_same():
    """Where the worst cell may cost what it will, thresholds that make all cells alike are what it takes.

    Fairlearn has no objective for the worst cell. Scores are drawn so that equalized odds with the best balanced
    accuracy has about equal rates for both labels, so ours must do at least as well for the worst cell; it draws
    between two thresholds, ours are one a group, hence the tolerance of a step between neighbouring scores.
    """
    rng = np.random.default_rng(5)
    n = 6000
    group, label = rng.integers(0, 2, n), rng.integers(0, 2, n)
    score = 1 / (1 + np.exp(-(1.1 * (2 * label - 1) + np.array([-1.5, 0.8])[group] + rng.normal(0, 1, n))))
    ours = fit_group_thresholds(score, label, group, 2, 1.0).decide(score, group)

    theirs = ThresholdOptimizer(
        estimator=Scores().fit(),
        constraints="equalized_odds",
        objective="balanced_accuracy_score",
        prefit=True,
        predict_method="predict",
        grid_size=4000,
    )
    theirs.fit(score[:, None], label, sensitive_features=group)
    drawn = theirs._pmf_predict(score[:, None], sensitive_features=group)[:, 1]

    def worst(positive):
        right = np.where(label == 1, positive, 1 - positive)
        return min(right[(group == g) & (label == y)].mean() for g in (0, 1) for y in (0, 1))

    base = worst((score > 0.5).astype(float))
    assert base < 0.4
    assert worst(ours.astype(float)) >= worst(drawn) - 0.002
