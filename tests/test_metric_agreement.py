"""Equal to Fairlearn, scikit-learn and error-parity within 1e-12 wherever we call a value estimable.

Over random tables with empty, tiny and one-class groups, weighted or not. Where a peer gives a number and we none is
the matter of `test_metric_peers`.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from equiray.metrics.catalogue import METRICS
from equiray.metrics.rates import SELECTION_RATE
from metric_tables import Scored, decided_rows, masses, score_counts, score_sums, target_sums

pytestmark = pytest.mark.filterwarnings("ignore")  # of the peers, about groups without a denominator
TOLERANCE = 1e-12
FEW = settings(max_examples=30)

NO_PEER = {
    "refusal_rate": "no peer knows rows without an answer",
    "parse_failure_rate": "no peer knows rows without an answer",
    "ece": "none of the three has it; test_metric_scores compares with a loop over bins",
    "scoring_rate": "a form of New York City's law; test_metric_scores compares with the rows",
    "scoring_impact_ratio": "a form of New York City's law; test_metric_scores compares with the rows",
    "counterfactual_flip_rate": "no peer pairs rows with twins",
    "counterfactual_score_shift": "no peer pairs rows with twins",
    "counterfactual_score_shift_absolute": "no peer pairs rows with twins",
    "consistency": "none of the three has it; test_metric_individual compares with a loop over distances",
}

Values = Mapping[str, float | np.ndarray]
"""Of metrics by their id: one number, or one for each group [G], NaN for groups that the peer does not list."""


class People(NamedTuple):
    """Rows [N] of `groups` groups, some of them perhaps empty; `weight` [N] or None."""

    groups: int
    group: np.ndarray
    label: np.ndarray
    prediction: np.ndarray
    score: np.ndarray
    target: np.ndarray
    forecast: np.ndarray
    weight: np.ndarray | None

    def of(self, group: int) -> "People":
        mine = self.group == group
        weight = None if self.weight is None else self.weight[mine]
        return People(self.groups, *(column[mine] for column in self[1:-1]), weight)

    @property
    def present(self) -> np.ndarray:
        return np.unique(self.group)


@st.composite
def people(draw: st.DrawFn, weighted: bool | None = None) -> People:
    mass = draw(st.one_of(masses(), masses(most=30, least=1)))
    mass[0, 1, 1] += 2  # Fairlearn takes no single row
    rows = decided_rows(mass)
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = len(rows.group)
    score = np.floor(generator.random(n) * 20) / 20  # many tie
    target = generator.normal(3, 10, n)
    with_weights = draw(st.booleans()) if weighted is None else weighted
    weight = generator.exponential(size=n) + 1e-3 if with_weights else None
    return People(len(mass), *rows, score, target, target + generator.normal(1, 2, n), weight)


def ours(of: People) -> Values:
    once = np.ones(len(of.group)) if of.weight is None else of.weight
    mass = np.zeros((of.groups, 2, 4))
    np.add.at(mass, (of.group, of.label, of.prediction), once)
    scored = Scored(of.group, of.label, of.score, of.weight)
    parts = {
        "mass": mass,
        "scores": score_counts(scored, of.groups),
        "score_sums": score_sums(scored, of.groups),
        "targets": target_sums(of.group, of.target, of.forecast, of.groups, of.weight),
    }
    return {name: metric.function(parts[metric.reads]) for name, metric in METRICS.items() if metric.reads in parts}


def by_group(of: People, values: Mapping[int, float]) -> np.ndarray:
    return np.array([values.get(group, np.nan) for group in range(of.groups)])


def scikit_learn(of: People) -> Values:
    found: dict[str, dict[int, float]] = {}
    recalls = []
    for group in of.present:
        y, p, s, w = (mine := of.of(group)).label, mine.prediction, mine.score, mine.weight
        given = {"sample_weight": w}
        negative = {"pos_label": 0, "zero_division": 0}
        each = {
            "selection_rate": np.average(p, weights=w),
            "tpr": sk.recall_score(y, p, zero_division=0, **given),
            "tnr": sk.recall_score(y, p, **negative, **given),
            "fpr": 1 - sk.recall_score(y, p, **negative, **given),
            "fnr": 1 - sk.recall_score(y, p, zero_division=0, **given),
            "ppv": sk.precision_score(y, p, zero_division=0, **given),
            "accuracy": sk.accuracy_score(y, p, **given),
            "auc": sk.roc_auc_score(y, s, **given) if len(set(y)) == 2 else np.nan,
            "brier": sk.brier_score_loss(y, s, labels=[0, 1], **given),
            "mean_score": np.average(s, weights=w),
            "mae": sk.mean_absolute_error(mine.target, mine.forecast, **given),
            "rmse": sk.root_mean_squared_error(mine.target, mine.forecast, **given),
            "mean_prediction": np.average(mine.forecast, weights=w),
        }
        recalls += [each["tpr"], each["tnr"]]
        for name, value in each.items():
            found.setdefault(name, {})[group] = value
    return {
        **{name: by_group(of, values) for name, values in found.items()},
        "worst_group_accuracy_cells": min(recalls),
    }


def fairlearn(of: People) -> Values:
    fair = pytest.importorskip("fairlearn.metrics", reason="Fairlearn, the oracle, is not installed")
    weight = {} if of.weight is None else {"sample_weight": of.weight}

    def framed(metrics: Mapping, y_true: np.ndarray, y_pred: np.ndarray):
        return fair.MetricFrame(
            metrics=metrics,
            y_true=y_true,
            y_pred=y_pred,
            sensitive_features=of.group,
            sample_params=dict.fromkeys(metrics, weight),
        )

    def precision(y_true, y_pred, **more):
        return sk.precision_score(y_true, y_pred, zero_division=0, **more)

    decided = framed(
        {
            "selection_rate": fair.selection_rate,
            "tpr": fair.true_positive_rate,
            "fpr": fair.false_positive_rate,
            "tnr": fair.true_negative_rate,
            "fnr": fair.false_negative_rate,
            "ppv": precision,
            "accuracy": sk.accuracy_score,
        },
        of.label,
        of.prediction,
    )
    scored = framed({"auc": sk.roc_auc_score, "mean_score": fair.mean_prediction}, of.label, of.score)
    forecast = framed({"mae": sk.mean_absolute_error, "mean_prediction": fair.mean_prediction}, of.target, of.forecast)
    gap = decided.difference()
    given = {"y_true": of.label, "y_pred": of.prediction, "sensitive_features": of.group, **weight}
    rates = decided.by_group["selection_rate"]
    return {
        **{
            name: by_group(of, dict(frame.by_group[name]))
            for frame in (decided, scored, forecast)
            for name in frame.by_group
        },
        "impact_ratio": by_group(of, dict(rates / rates.max())),
        "demographic_parity_difference": fair.demographic_parity_difference(**given),
        "disparate_impact_ratio": fair.demographic_parity_ratio(**given),
        "equalized_odds_difference_max": fair.equalized_odds_difference(**given),
        "equalized_odds_difference_mean": fair.equalized_odds_difference(**given, agg="mean"),
        "equalized_odds_difference_sum": gap["tpr"] + gap["fpr"],
        "equal_opportunity_difference": fair.equal_opportunity_difference(**given),
        "accuracy_parity_difference": gap["accuracy"],
        "predictive_parity_difference": gap["ppv"],
        "fpr_difference": fair.false_positive_rate_difference(**given),
        "fnr_difference": fair.false_negative_rate_difference(**given),
        "worst_group_accuracy_groups": fair.accuracy_score_group_min(**given),
        "mean_score_difference": scored.difference()["mean_score"],
        "mean_prediction_difference": forecast.difference()["mean_prediction"],
    }


ERROR_PARITY_RATES = {
    "selection_rate": "ppr",
    "tpr": "tpr",
    "fpr": "fpr",
    "tnr": "tnr",
    "fnr": "fnr",
    "ppv": "precision",
    "accuracy": "accuracy",
}


def error_parity(of: People) -> Values:
    peer = pytest.importorskip("error_parity.evaluation", reason="error-parity, the oracle, is not installed")
    if len(of.present) < 2:  # which it asserts
        return {}
    found = peer.evaluate_fairness(of.label, of.prediction, of.group, return_groupwise_metrics=True)
    of_groups = {
        name: by_group(of, {group: found[f"{theirs}_group={group}"] for group in of.present})
        for name, theirs in ERROR_PARITY_RATES.items()
    }
    return {
        **of_groups,
        "demographic_parity_difference": found["ppr_diff"],
        "disparate_impact_ratio": found["ppr_ratio"],
        "equalized_odds_difference_max": found["equalized_odds_diff"],
        "equalized_odds_difference_sum": found["tpr_diff"] + found["fpr_diff"],
        "equal_opportunity_difference": found["tpr_diff"],
        "accuracy_parity_difference": found["accuracy_diff"],
        "predictive_parity_difference": found["precision_diff"],
        "fpr_difference": found["fpr_diff"],
        "fnr_difference": found["fnr_diff"],
    }


def compared(of: People, theirs: Values) -> int:
    """How many values are estimable; all of those must be equal."""
    estimable = 0
    found = ours(of)
    for name, values in theirs.items():
        known = ~np.isnan(np.atleast_1d(found[name]))
        difference = np.abs(np.atleast_1d(found[name]) - np.atleast_1d(values))[known]
        assert (difference <= TOLERANCE).all(), name  # a peer's NaN would be no equality either
        estimable += int(known.sum())
    return estimable


@FEW
@given(of=people())
@pytest.mark.parametrize("peer", [scikit_learn, fairlearn])
def test_equal_with_weights_and_without(peer, of):
    assert compared(of, peer(of)) > 0


@FEW
@given(of=people(weighted=False))
def test_equal_to_error_parity_which_knows_no_weights(of):
    compared(of, error_parity(of))


@FEW
@given(of=people())
def test_what_is_not_estimable_lacks_a_denominator_and_nothing_else_does(of):
    mass = np.zeros((of.groups, 2, 4), dtype=np.int64)
    np.add.at(mass, (of.group, of.label, of.prediction), 1)
    found = ours(of)
    for name, metric in METRICS.items():
        if metric.reads != "mass" or name == "impact_ratio":
            continue
        lacking = np.any([np.atleast_2d(rate.trials(mass) == 0) for rate in metric.rates], axis=0)
        if metric.scope == "attribute":
            nobody = name == "disparate_impact_ratio" and not SELECTION_RATE.events(mass).any()
            lacking = lacking.any() | nobody
        assert (np.isnan(found[name]) == lacking).all(), name


def test_every_metric_that_a_peer_has_is_compared():
    generator = np.random.default_rng(0)
    rows = decided_rows(generator.integers(1, 9, (3, 2, 4)))
    n = len(rows.group)
    full = People(3, *rows, generator.random(n), generator.random(n), generator.random(n), None)
    peers = [scikit_learn(full), fairlearn(full), error_parity(full)]
    names = {name for theirs in peers for name in theirs}
    assert names | NO_PEER.keys() == METRICS.keys() and not names & NO_PEER.keys()
    assert [compared(full, theirs) for theirs in peers] == [13 * 3 + 1, 12 * 3 + 13, 7 * 3 + 9]
