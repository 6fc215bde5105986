"""Where a peer returns a number and we say not estimable: the cases, each with the number the peer gives.

Everywhere else they agree (`test_metric_agreement`).
Not a complaint about peers: a list of what changes for somebody who comes from them. If a peer changes its answer, the
case fails and the list (docs/statistics.md) is to be corrected.
"""

import numpy as np
import pytest
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from equiray.metrics.disparities import (
    DEMOGRAPHIC_PARITY_DIFFERENCE,
    DISPARATE_IMPACT_RATIO,
    EQUAL_OPPORTUNITY_DIFFERENCE,
    EQUALIZED_ODDS_DIFFERENCE_MAX,
    EQUALIZED_ODDS_DIFFERENCE_SUM,
    FNR_DIFFERENCE,
    FPR_DIFFERENCE,
    PREDICTIVE_PARITY_DIFFERENCE,
)
from equiray.metrics.rates import FNR, FPR, PPV, SELECTION_RATE, TPR
from metric_tables import Rows, decided_rows

pytestmark = pytest.mark.filterwarnings("ignore")  # of the peers, about the very cases listed here


@pytest.fixture
def fairlearn():
    return pytest.importorskip("fairlearn.metrics", reason="Fairlearn is not installed")


@pytest.fixture
def error_parity():
    return pytest.importorskip("error_parity.evaluation", reason="error-parity is not installed")


def table(*groups: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
    """Counts [G, 2, 2] of groups written as ((true negatives, false positives), (false negatives, true positives))."""
    return np.array(groups, dtype=np.int64)


def by_group(fairlearn, metric, rows: Rows):
    return fairlearn.MetricFrame(
        metrics=metric, y_true=rows.label, y_pred=rows.prediction, sensitive_features=rows.group
    ).by_group


def told(rows: Rows) -> dict[str, np.ndarray]:
    return {"y_true": rows.label, "y_pred": rows.prediction, "sensitive_features": rows.group}


NO_POSITIVES = table(((2, 0), (0, 2)), ((1, 1), (0, 0)))
NO_NEGATIVES = table(((2, 0), (0, 2)), ((0, 0), (1, 1)))
NOBODY_SELECTED_IN_ONE = table(((1, 0), (0, 1)), ((1, 0), (1, 0)))
NOBODY_SELECTED = table(((1, 0), (1, 0)), ((1, 0), (1, 0)))
ONE_GROUP = table(((2, 1), (0, 1)))


def test_a_group_without_positives_has_a_tpr_of_0_elsewhere(fairlearn, error_parity):
    rows = decided_rows(NO_POSITIVES)
    assert np.isnan(TPR.of(NO_POSITIVES)[1])
    assert by_group(fairlearn, fairlearn.true_positive_rate, rows)[1] == 0
    assert recall_score(*rows.of(1)) == 0
    theirs = error_parity.evaluate_fairness(*_in_order(rows), return_groupwise_metrics=True)
    assert (theirs["tpr_group=1"], theirs["fnr_group=1"]) == (0, 1)
    for ours in (EQUAL_OPPORTUNITY_DIFFERENCE, EQUALIZED_ODDS_DIFFERENCE_MAX, FNR_DIFFERENCE):
        assert np.isnan(ours.of(NO_POSITIVES))
    assert fairlearn.equal_opportunity_difference(**told(rows)) == 1
    assert fairlearn.equalized_odds_difference(**told(rows)) == 1


def test_a_group_without_positives_passes_elsewhere_as_a_gap_of_0(fairlearn):
    """Fairlearn's TPR and FNR are both 0 there: against a group that is always found, the FNR is said to be equal."""
    rows = decided_rows(NO_POSITIVES)
    assert by_group(fairlearn, fairlearn.false_negative_rate, rows)[1] == 0
    assert fairlearn.false_negative_rate_difference(**told(rows)) == 0
    assert np.isnan(FNR.of(NO_POSITIVES)[1])
    nobody = decided_rows(NO_POSITIVES[[1, 1]])
    assert fairlearn.equal_opportunity_difference(**told(nobody)) == 0
    assert np.isnan(EQUAL_OPPORTUNITY_DIFFERENCE.of(NO_POSITIVES[[1, 1]]))


def test_a_group_without_negatives_has_an_fpr_of_0_or_1_elsewhere(fairlearn, error_parity):
    rows = decided_rows(NO_NEGATIVES)
    assert np.isnan(FPR.of(NO_NEGATIVES)[1])
    assert np.isnan(FPR_DIFFERENCE.of(NO_NEGATIVES))
    assert fairlearn.false_positive_rate_difference(**told(rows)) == 0
    assert error_parity.evaluate_fairness(*_in_order(rows))["fpr_diff"] == 1


def test_a_group_where_nobody_is_selected_has_a_precision_of_0_elsewhere(error_parity):
    rows = decided_rows(NOBODY_SELECTED_IN_ONE)
    assert np.isnan(PPV.of(NOBODY_SELECTED_IN_ONE)[1])
    assert np.isnan(PREDICTIVE_PARITY_DIFFERENCE.of(NOBODY_SELECTED_IN_ONE))
    assert precision_score(*rows.of(1)) == 0
    assert error_parity.evaluate_fairness(*_in_order(rows))["precision_diff"] == 1


def test_where_nobody_is_selected_at_all_the_ratio_is_0_elsewhere(fairlearn, error_parity):
    """Fairlearn agrees with us that 0 / 0 is no number; error-parity calls it the worst."""
    rows = decided_rows(NOBODY_SELECTED)
    assert DEMOGRAPHIC_PARITY_DIFFERENCE.of(NOBODY_SELECTED) == 0
    assert np.isnan(DISPARATE_IMPACT_RATIO.of(NOBODY_SELECTED))
    assert np.isnan(fairlearn.demographic_parity_ratio(**told(rows)))
    assert error_parity.evaluate_fairness(*_in_order(rows))["ppr_ratio"] == 0


def test_one_group_alone_is_perfectly_fair_elsewhere(fairlearn):
    rows = decided_rows(ONE_GROUP)
    assert fairlearn.demographic_parity_difference(**told(rows)) == 0
    assert fairlearn.demographic_parity_ratio(**told(rows)) == 1
    assert np.isnan(DEMOGRAPHIC_PARITY_DIFFERENCE.of(ONE_GROUP))
    assert np.isnan(DISPARATE_IMPACT_RATIO.of(ONE_GROUP))


def test_a_group_without_rows_drops_out_elsewhere(fairlearn):
    """Fairlearn lists an intersection that nobody is in as NaN, and takes the difference of the rest."""
    mass = table(((1, 1), (1, 1)), ((1, 1), (1, 1)), ((1, 1), (1, 1)), ((0, 0), (0, 0)))
    rows = decided_rows(mass)
    two = np.column_stack([rows.group // 2, rows.group % 2])
    frame = fairlearn.MetricFrame(
        metrics=fairlearn.selection_rate, y_true=rows.label, y_pred=rows.prediction, sensitive_features=two
    )
    assert np.isnan(frame.by_group.loc[(1, 1)])
    assert frame.difference() == 0
    assert np.isnan(SELECTION_RATE.of(mass)[3])
    assert np.isnan(DEMOGRAPHIC_PARITY_DIFFERENCE.of(mass))


def test_missing_sensitive_values_are_refused_elsewhere(fairlearn):
    with pytest.raises(ValueError, match="missing"):
        fairlearn.demographic_parity_difference([1, 0], [1, 0], sensitive_features=np.array(["a", None], dtype=object))


def test_the_area_of_a_group_of_one_class_drops_out_of_a_difference_elsewhere(fairlearn):
    frame = fairlearn.MetricFrame(
        metrics=roc_auc_score, y_true=[1, 0, 1, 1], y_pred=[0.9, 0.1, 0.7, 0.2], sensitive_features=[0, 0, 1, 1]
    )
    assert np.isnan(frame.by_group[1])
    assert frame.difference() == 0
    with pytest.warns(UndefinedMetricWarning):
        roc_auc_score([1, 1], [0.7, 0.2])


def test_error_parity_sums_the_odds_of_one_pair_of_groups_we_the_spreads(error_parity):
    """With two groups they are one number; with more, its largest sum over pairs is at most our sum of spreads."""
    mass = table(((9, 1), (5, 5)), ((1, 9), (5, 5)), ((5, 5), (1, 9)))
    theirs = error_parity.evaluate_fairness(*_in_order(decided_rows(mass)))["equalized_odds_diff_l1"]
    assert theirs == pytest.approx(0.8)
    assert EQUALIZED_ODDS_DIFFERENCE_SUM.of(mass) == pytest.approx(1.2)
    two = error_parity.evaluate_fairness(*_in_order(decided_rows(mass[:2])))["equalized_odds_diff_l1"]
    assert EQUALIZED_ODDS_DIFFERENCE_SUM.of(mass[:2]) == pytest.approx(two)


def _in_order(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return rows.label, rows.prediction, rows.group
