"""The catalogue: direction and range hold on random tables, and say what the docstring of the formula says."""

import ast
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiray.metrics import calibration, disparities, individual, ranking, rates, regression, thresholds
from equiray.metrics.catalogue import METRICS
from equiray.metrics.disparities import COMBINED
from equiray.metrics.individual import Neighbourhood, TwinDecisions, TwinScores
from equiray.metrics.metric import Metric
from equiray.metrics.tables import MISSING, Mass, TargetSums
from metric_tables import Scored, decided_rows, masses, random_mass, random_scored, score_counts, score_sums, table
from metric_tables import target_sums as sums_of_targets

FEW = settings(max_examples=15)
SEEDS = st.integers(0, 2**32 - 1)
WORDS = {"lower": "lower is better", "higher": "higher is better", "zero": "nearest 0 is best", "none": "descriptive"}
# docs/contracts: what outsiders rely on, of the ids that are computed here
# fmt: off
CONTRACT = {
    "accuracy", "selection_rate", "tpr", "fpr", "ppv", "auc", "ece", "brier", "demographic_parity_difference",
    "disparate_impact_ratio", "equalized_odds_difference_max", "equalized_odds_difference_mean",
    "equalized_odds_difference_sum", "equal_opportunity_difference", "accuracy_parity_difference",
    "predictive_parity_difference", "fpr_difference", "fnr_difference", "worst_group_accuracy_cells",
    "worst_group_accuracy_groups", "counterfactual_flip_rate", "counterfactual_score_shift", "consistency",
    "mean_score_difference", "refusal_rate", "parse_failure_rate",
}
# fmt: on


def test_every_id_of_the_contract_is_there_under_its_own_name():
    assert set(METRICS) >= CONTRACT
    assert all(metric.id == name for name, metric in METRICS.items())


def documented() -> dict[str, str]:
    """Docstrings of the functions, and the strings under the constants, of the modules that hold formulas."""
    found = {}
    for module in (calibration, disparities, individual, ranking, rates, regression, thresholds):
        body = ast.parse(inspect.getsource(module)).body
        for node, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(node, ast.FunctionDef):
                found[node.name] = ast.get_docstring(node) or ""
            elif isinstance(node, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                found[ast.unparse(node.targets[0]).lower()] = str(after.value.value)
    return found


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_the_docstring_of_each_formula_says_what_the_catalogue_says(metric: Metric):
    text = " ".join(documented()[metric.id].split())
    assert text.lower().startswith(metric.formula.lower())
    for part in (f"Range {metric.range.low:g}..{metric.range.high:g}", WORDS[metric.direction], f"0 = {metric.zero}"):
        assert part in text


def random_parts(seed: int) -> dict[str, Any]:
    """Every input that a metric may read, at random."""
    generator = np.random.default_rng(seed)
    rows = random_scored(seed, n=60, groups=3, values=13, weighted=bool(seed % 2))
    group, target = generator.integers(0, 3, 30), generator.normal(size=30)
    score = generator.random((2, 30))
    return {
        "mass": np.where(generator.random((3, 2, 4)) < 0.3, 0, generator.integers(0, 9, (3, 2, 4))),
        "scores": score_counts(rows, groups=3),
        "score_sums": score_sums(rows, groups=3),
        "targets": sums_of_targets(group, target, generator.normal(size=30), groups=3),
        "twin_decisions": TwinDecisions(*generator.integers(-1, 2, (2, 30))),
        "twin_scores": TwinScores(*np.where(score < 0.1, np.nan, score)),
        "neighbourhood": Neighbourhood(generator.normal(size=(30, 2)), generator.integers(-1, 2, 30)),
    }


def ideal_parts() -> dict[str, Any]:
    """Every input at its best: all groups alike, every decision and score right, twins and neighbours decided alike."""
    mass = np.zeros((3, 2, 4), dtype=np.int64)
    mass[:, 0, 0] = mass[:, 1, 1] = 5
    group, label = np.repeat([0, 1, 2], 10), np.tile([0, 1], 15)
    rows = Scored(group, label, label.astype(float))
    target = np.tile(np.arange(10.0), 3)
    score = np.linspace(0, 1, 30)
    return {
        "mass": mass,
        "scores": score_counts(rows, groups=3),
        "score_sums": score_sums(rows, groups=3),
        "targets": sums_of_targets(group, target, target, groups=3),
        "twin_decisions": TwinDecisions(label, label),
        "twin_scores": TwinScores(score, score),
        "neighbourhood": Neighbourhood(score[:, None] + 9 * label[:, None], label),
    }


@FEW
@given(seed=SEEDS)
def test_values_lie_in_their_range_or_are_not_estimable(seed):
    parts = random_parts(seed)
    for metric in METRICS.values():
        values = np.asarray(metric.function(parts[metric.reads]))
        assert values.shape == (() if metric.scope == "attribute" else (3,)), metric.id
        inside = (metric.range.low <= values) & (values <= metric.range.high)
        assert (inside | np.isnan(values)).all(), metric.id


def test_no_metric_is_the_same_or_not_estimable_on_all_tables():
    """Guards the tests above: over a few random tables, each metric takes several values."""
    found: dict[str, set[float]] = {name: set() for name in METRICS}
    for seed in range(12):
        parts = random_parts(seed)
        for metric in METRICS.values():
            values = np.asarray(metric.function(parts[metric.reads])).ravel()
            found[metric.id] |= set(values[~np.isnan(values)].tolist())
    assert [name for name, values in found.items() if len(values) < 3] == []


@pytest.mark.parametrize("metric", [m for m in METRICS.values() if m.direction != "none"], ids=lambda m: m.id)
def test_the_best_table_has_the_best_value_of_the_direction(metric: Metric):
    best = {"lower": metric.range.low, "higher": metric.range.high, "zero": 0}[metric.direction]
    assert metric.function(ideal_parts()[metric.reads]) == pytest.approx(best, abs=1e-12)


RIGHTED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    name: metric.function for name, metric in METRICS.items() if metric.reads == "mass" and metric.interval == "rate"
}


@FEW
@given(mass=masses(classes=2, most=9), data=st.data())
def test_putting_a_wrong_decision_right_makes_no_rate_worse(mass, data):
    wrong = [cell for cell in zip(*np.nonzero(mass), strict=True) if cell[1] != cell[2]]
    if not wrong:
        return
    group, label, prediction = data.draw(st.sampled_from(wrong))
    better = mass.copy()
    better[group, label, prediction] -= 1
    better[group, label, label] += 1
    for name, function in RIGHTED.items():
        change = np.nan_to_num(function(better) - function(mass))
        if METRICS[name].direction != "none":
            assert (change >= 0).all() if METRICS[name].direction == "higher" else (change <= 0).all(), name


@FEW
@given(mass=masses(classes=2, most=9))
def test_groups_that_are_all_alike_have_no_disparity_and_no_worse_worst(mass):
    alike = np.broadcast_to(mass.sum(0), mass.shape)
    for metric in METRICS.values():
        if metric.reads != "mass" or metric.scope != "attribute":
            continue
        before, after = metric.function(mass), metric.function(alike)
        if np.isnan(after):
            continue
        if metric.interval == "minimum":
            assert not after < before, metric.id
        else:
            assert after == (1 if metric.direction == "higher" else 0), metric.id


def test_a_disparity_is_its_rates_combined_as_its_interval_says():
    mass = random_mass(3, (4, 2, 4))
    combined = [m for m in METRICS.values() if m.reads == "mass" and m.scope == "attribute"]
    assert len(combined) == 12
    for metric in combined:
        assert metric.function(mass) == COMBINED[metric.interval]([rate.of(mass) for rate in metric.rates])


def test_missing_sensitive_values_are_a_group_of_their_own_and_in_no_disparity():
    mass = random_mass(4, (3, 2, 4))
    mass[2, :, 1] += 1000  # rows of nobody knows whom, nearly all selected
    seen = table(mass, groups=("a", "b", MISSING))
    known = table(mass[:2], groups=("a", "b"))
    for metric in METRICS.values():
        if metric.reads != "mass":
            continue
        value, without = metric.of(seen), metric.of(known)
        if metric.scope == "attribute":
            assert value == without, metric.id
        else:
            np.testing.assert_array_equal(value[:2], without)
            assert np.isnan(value[2]) == (metric.scope == "relative"), metric.id


def test_missing_sensitive_values_are_in_no_disparity_of_scores_or_targets():
    rows = random_scored(5)
    seen = table(
        groups=("a", "b", MISSING),
        scores=score_counts(rows, groups=3),
        score_sums=score_sums(rows, groups=3),
        targets=TargetSums(*np.random.default_rng(6).random((13, 3)), np.ones(3, int)),
    )
    mine = rows.group < 2
    fewer = Scored(rows.group[mine], rows.label[mine], rows.score[mine])
    known = table(groups=("a", "b"), scores=score_counts(fewer, groups=2), score_sums=score_sums(fewer, groups=2))
    for name in ("mean_score_difference", "scoring_rate", "scoring_impact_ratio", "auc", "brier", "ece"):
        value, without = METRICS[name].of(seen), METRICS[name].of(known)
        np.testing.assert_array_equal(value[:2] if value.ndim else value, without)
    assert seen.targets is not None
    means = seen.targets.prediction / seen.targets.rows
    assert METRICS["mean_prediction_difference"].of(seen) == abs(means[0] - means[1])


def test_weights_are_read_where_rows_have_them():
    count = random_mass(7, (3, 2, 4))
    weight = np.random.default_rng(8).random(count.shape)
    weighted = table(count, mass=Mass(count, weight, weight**2))
    np.testing.assert_array_equal(METRICS["tpr"].of(weighted), rates.TPR.of(weight))


def test_several_classes_need_a_named_one_for_rates_of_the_positive_class_alone():
    mass = random_mass(9, (3, 3, 5))
    jobs = table(mass)
    rows = decided_rows(mass)
    share = [(rows.prediction[rows.group == place] == 1).mean() for place in range(3)]
    np.testing.assert_allclose(METRICS["selection_rate"].of(jobs, positive="1"), share, atol=1e-12)
    assert METRICS["accuracy"].of(jobs).tolist() == METRICS["accuracy"].of(jobs, positive="1").tolist()
    with pytest.raises(ValueError, match="positive class None: name one of 0, 1, 2"):
        METRICS["tpr"].of(jobs)
    with pytest.raises(ValueError, match="positive class 'nurse'"):
        METRICS["tpr"].of(jobs, positive="nurse")


def test_the_first_of_two_classes_may_be_the_positive_one():
    mass = random_mass(10, (3, 2, 4))
    np.testing.assert_array_equal(METRICS["tpr"].of(table(mass), positive="0"), METRICS["tnr"].of(table(mass)))


def test_a_table_without_what_the_metric_reads_says_so():
    with pytest.raises(ValueError, match="auc reads scores, which the table of g does not have"):
        METRICS["auc"].of(table(random_mass(11, (3, 2, 4))))
    with pytest.raises(ValueError, match="consistency reads neighbourhood"):
        METRICS["consistency"].of(table(random_mass(11, (3, 2, 4))))
