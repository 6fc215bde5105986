"""Group metrics: against a second route, and the traps of small and empty groups."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score

from equiray.metrics.clusters import Resampling
from equiray.metrics.groups import (
    Decisions,
    Grouping,
    Labels,
    accuracy_effect,
    group_estimates,
    stage_effects,
    unanswered_estimates,
)
from equiray.metrics.intervals import Proportion, newcombe, wilson

LABELS = Labels(task="t", stage="baseline", model="raw")
FAST = Resampling(replicates=500, seed=1)


def _random(seed: int, n: int = 400, groups: tuple[str, ...] = ("a", "b", "c")):
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 2, n).astype(np.int8)
    prediction = np.where(generator.random(n) < 0.8, label, 1 - label).astype(np.int8)
    return Decisions(label, prediction), generator.choice(groups, n).tolist()


def _by_name(estimates, metric, group=None):
    return next(e for e in estimates if e.metric == metric and e.group == group)


def test_rates_and_gaps_equal_scikit_learn():
    decisions, groups = _random(0)
    estimates = group_estimates(decisions, Grouping.of("g", groups), LABELS, FAST)
    rates, accuracies = {}, {}
    for name in "abc":
        mine = np.array(groups) == name
        y, p = decisions.label[mine], decisions.prediction[mine]
        assert _by_name(estimates, "tpr", name).value == pytest.approx(recall_score(y, p), abs=1e-12)
        assert _by_name(estimates, "fpr", name).value == pytest.approx(1 - recall_score(y, p, pos_label=0), abs=1e-12)
        rates[name], accuracies[name] = p.mean(), accuracy_score(y, p)
    dp = _by_name(estimates, "demographic_parity_difference")
    assert dp.value == pytest.approx(max(rates.values()) - min(rates.values()), abs=1e-12)
    gap = max(accuracies.values()) - min(accuracies.values())
    assert _by_name(estimates, "accuracy_parity_difference").value == pytest.approx(gap, abs=1e-12)
    assert dp.low <= dp.value <= dp.high


def test_a_group_without_positives_is_not_estimable_and_never_gap_0():
    decisions = Decisions(np.array([1, 0, 1, 0, 0, 0], np.int8), np.array([1, 0, 1, 0, 1, 0], np.int8))
    estimates = group_estimates(decisions, Grouping.of("g", ["a", "a", "a", "a", "b", "b"]), LABELS, FAST)
    for metric, group in (
        ("tpr", "b"),
        ("equal_opportunity_difference", None),
        ("equalized_odds_difference_max", None),
    ):
        estimate = _by_name(estimates, metric, group)
        assert (estimate.value, estimate.status) == (None, "not_estimable")
    assert _by_name(estimates, "tpr", "b").n == 0
    assert _by_name(estimates, "fpr", "b").value == 0.5


def test_missing_sensitive_values_are_counted_as_partial():
    decisions, groups = _random(1)
    estimates = group_estimates(decisions, Grouping.of("g", [None, *groups[1:]]), LABELS, FAST)
    dp = _by_name(estimates, "demographic_parity_difference")
    assert (dp.status, dp.n) == ("partial", len(groups) - 1)


def test_refusals_and_parse_failures_are_rates_of_their_own():
    outcomes = np.array(["refused", "answered", "unparsed", "unparsed", "refused", "answered"])
    grouping = Grouping.of("g", ["a", "a", "a", "b", None, "b"], ["a", "b", "rare"])
    found = {(e.metric, e.group): (e.value, e.n) for e in unanswered_estimates(outcomes, grouping, LABELS, FAST)}
    assert found == {
        ("refusal_rate", "a"): (pytest.approx(1 / 3), 3),
        ("refusal_rate", "b"): (0.0, 2),
        ("refusal_rate", "rare"): (None, 0),
        ("parse_failure_rate", "a"): (pytest.approx(1 / 3), 3),
        ("parse_failure_rate", "b"): (0.5, 2),
        ("parse_failure_rate", "rare"): (None, 0),
    }


def test_one_group_alone_has_no_disparity():
    decisions, _ = _random(2)
    estimates = group_estimates(decisions, Grouping.of("g", ["a"] * 400), LABELS, FAST)
    assert _by_name(estimates, "demographic_parity_difference").status == "not_estimable"


@pytest.mark.parametrize("sizes", [(150, 150), (60, 60, 60, 60, 60), (850, 100, 30, 10, 8), (500, 8)])
def test_an_interval_of_equal_groups_reaches_zero_however_small_they_are(sizes: tuple[int, ...]):
    found = 0
    names = np.repeat([f"g{i}" for i in range(len(sizes))], sizes).tolist()
    for seed in range(300):
        generator = np.random.default_rng(seed)
        label, prediction = ((generator.random(sum(sizes)) < 0.2).astype(np.int8) for _ in range(2))
        estimates = group_estimates(Decisions(label, prediction), Grouping.of("g", names), LABELS, FAST)
        low = _by_name(estimates, "demographic_parity_difference").low
        found += low is not None and low > 0
    # 5 % of 300 and three standard errors of that
    assert found <= 15 + 3 * np.sqrt(300 * 0.05 * 0.95)


def test_newcombe_gives_the_published_example():
    # Newcombe 1998, table II, example (a): 56/70 - 48/80, method 10
    low, high = newcombe(Proportion(56, 70), Proportion(48, 80), 0.95)
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_a_declared_group_without_rows_is_listed_and_no_gap_is_claimed():
    decisions, groups = _random(5, groups=("a", "b"))
    estimates = group_estimates(decisions, Grouping.of("g", groups, ["a", "b", "rare"]), LABELS, FAST)
    rare = _by_name(estimates, "selection_rate", "rare")
    assert (rare.value, rare.status, rare.n) == (None, "not_estimable", 0)
    assert _by_name(estimates, "demographic_parity_difference").status == "not_estimable"


def test_a_paired_effect_on_a_handful_of_rows_is_partial():
    one, groups = _random(6, groups=("a", "b"))
    few = ["rare"] * 5 + groups[5:]
    effects = stage_effects(one, one, Grouping.of("g", few), LABELS, FAST)
    assert {e.status for e in effects} <= {"partial", "not_estimable"}


def test_paired_effect_of_equal_predictions_is_exactly_zero_and_swaps_sign():
    one, groups = _random(3)
    other = Decisions(one.label, _random(4)[0].prediction)
    grouping = Grouping.of("g", groups)
    same = stage_effects(one, one, grouping, LABELS, FAST)
    assert all((e.value, e.low, e.high) == (0, 0, 0) for e in same)
    there, back = stage_effects(one, other, grouping, LABELS, FAST), stage_effects(other, one, grouping, LABELS, FAST)
    assert [e.value for e in there] == pytest.approx([-e.value for e in back])
    effect = accuracy_effect(one, other, LABELS, FAST)
    expected = accuracy_score(one.label, other.prediction) - accuracy_score(one.label, one.prediction)
    assert effect.value == pytest.approx(expected)
    with pytest.raises(ValueError, match="same rows"):
        stage_effects(one, Decisions(1 - one.label, one.prediction), grouping, LABELS, FAST)


def test_wilson_equals_the_score_test_it_inverts():
    low, high = wilson(Proportion(12, 40), 0.95)
    for bound in (low, high):
        z = (0.3 - bound) / np.sqrt(bound * (1 - bound) / 40)
        assert abs(z) == pytest.approx(1.959964, abs=1e-5)
    assert wilson(Proportion(0, 10), 0.95).low == 0.0
