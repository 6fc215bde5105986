"""Changes of what is made of scores, on the same rows: against scikit-learn, over simulations, with unscored rows."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from equiray.metrics.estimation import GroupedScores, Labels, Setting, score_changes_of
from equiray.metrics.paired_scores import ScoredRows, auc_change, brier_change, mean_score_change

SETTING = Setting(labels=Labels("t", "cda-baseline", "raw"))


def rows(rng: np.random.Generator, n: int, noise: float = 0.5, digits: int = 2) -> ScoredRows:
    """Scores that rank better the less noise they have; few digits make ties."""
    label = rng.random(n) < 0.4
    first = label + rng.normal(0, 1.5, n)
    second = first * 0.6 + label * 0.5 + rng.normal(0, noise, n)
    scores = [np.round(1 / (1 + np.exp(-each)), digits) for each in (first, second)]
    return ScoredRows(label=label, first=scores[0], second=scores[1])


def test_values_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    of, code = rows(rng, 500), rng.integers(0, 3, 500)
    found = {
        (e.metric, e.attribute, e.group): e
        for e in score_changes_of(of, [GroupedScores("g", ("a", "b", "c"), code)], SETTING)
    }
    assert len(found) == 3 * 4
    for group, mine in [(None, code >= 0), *((name, code == place) for place, name in enumerate("abc"))]:
        label, first, second = of.label[mine], of.first[mine], of.second[mine]
        expected = {
            "auc": roc_auc_score(label, second) - roc_auc_score(label, first),
            "brier": brier_score_loss(label, second) - brier_score_loss(label, first),
            "mean_score": second.mean() - first.mean(),
        }
        for metric, value in expected.items():
            e = found[metric, None if group is None else "g", group]
            assert e.value == pytest.approx(value, abs=1e-12) and e.low < e.value < e.high
            assert (e.n, e.status) == (mine.sum(), "estimated")
    assert [found[metric, None, None].direction for metric in ("auc", "brier", "mean_score")] == [
        "higher",
        "lower",
        "none",
    ]


def test_swapped_models_swap_the_sign_and_equal_ones_leave_doubt():
    of = rows(np.random.default_rng(1), 300)
    turned = ScoredRows(label=of.label, first=of.second, second=of.first)
    same = ScoredRows(label=of.label, first=of.first, second=of.first)
    for change in (auc_change, brier_change, mean_score_change):
        (low, high), (low_turned, high_turned) = (change(each).interval(0.95) for each in (of, turned))
        assert (-high_turned, -low_turned) == pytest.approx((low, high), abs=1e-9)
        low, high = change(same).interval(0.95)
        assert change(same).value == 0 and -0.04 < low < 0 < high < 0.04


@pytest.mark.parametrize("n", [60, 400])
def test_changes_are_covered(n: int):
    rng, many = np.random.default_rng(2), rows(np.random.default_rng(3), 400_000, digits=6)
    for change in (auc_change, brier_change, mean_score_change):
        truth = change(many).value
        drawn = [change(rows(rng, n, digits=6)).interval(0.95) for _ in range(300)]
        hits = [low <= truth <= high for low, high in drawn]
        assert np.mean(hits) >= 0.93
        # pairing pays: two intervals side by side would say less
        alone = [
            np.ptp(change(ScoredRows(label=of.label, first=np.full(n, 0.5), second=of.second)).interval(0.95))
            for of in [rows(rng, n) for _ in range(20)]
        ]
        assert np.mean([high - low for low, high in drawn]) < 1.2 * np.mean(alone)


def test_own_moves_add_up_to_the_change_and_show_how_few_move():
    of = rows(np.random.default_rng(4), 400)
    change = auc_change(of)
    assert sum(float(each.mean) for each in change.own) == pytest.approx(change.value, abs=1e-12)
    few = ScoredRows(label=of.label, first=of.first, second=of.first.copy())
    negative = np.flatnonzero(~of.label)[:40]
    few.second[negative] -= 0.2  # no positive moves by itself, but most are placed a little better
    low, high = auc_change(few).interval(0.95)
    positives = int(of.label.sum())
    assert auc_change(few).own[0].absolute == 0 and auc_change(few).means[0].absolute > 0
    assert high - low > 2 / positives  # of so many positives, none of which moved, one in thirty may


def test_one_class_alone_is_not_ranked():
    of = rows(np.random.default_rng(4), 50)
    ones = ScoredRows(label=np.ones(50, bool), first=of.first, second=of.second)
    auc, brier, _ = score_changes_of(ones, [], SETTING)
    assert (auc.value, auc.low, auc.status) == (None, None, "not_estimable") and brier.status == "estimated"
    (nobody, *_) = score_changes_of(ones, [GroupedScores("g", ("a", "rare"), np.zeros(50, int))], SETTING)[3 + 1 :: 2]
    assert (nobody.group, nobody.n, nobody.status) == ("rare", 0, "not_estimable")


def test_never_4_limits_hold_whatever_scores_unscored_rows_would_have_had():
    rng = np.random.default_rng(5)
    whole = rows(rng, 200)
    unscored = rng.choice(200, 6, replace=False)
    second = whole.second.copy()
    second[unscored] = np.nan
    known = ScoredRows(label=whole.label, first=whole.first, second=second)
    for e, change in zip(
        score_changes_of(known, [], SETTING), (auc_change, brier_change, mean_score_change), strict=True
    ):
        assert (e.status, e.n) == ("partial", 194)
        for extreme in (0.0, 1.0, whole.label, 1.0 - whole.label):
            worst = np.where(np.isnan(second), extreme, second)
            low, high = change(ScoredRows(label=whole.label, first=whole.first, second=worst)).interval(1e-3)
            assert e.low < low and high < e.high, e.metric
