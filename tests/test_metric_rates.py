"""Rates and disparities: against scikit-learn class by class, weights, replicates, impact ratios."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_score, recall_score

from equiray.metrics import disparities
from equiray.metrics.disparities import impact_ratios, large_enough
from equiray.metrics.rates import (
    ACCURACY,
    CELL_ACCURACY,
    FNR,
    FPR,
    PARSE_FAILURE_RATE,
    PPV,
    REFUSAL_RATE,
    SELECTION_RATE,
    TNR,
    TPR,
    amounts,
    one_versus_rest,
)
from equiray.metrics.tables import Mass
from metric_tables import decided_rows, masses, random_mass

TOLERANCE = 1e-12
FEW = settings(max_examples=25)
RATES = {
    "tpr": (TPR, lambda y, p: recall_score(y, p)),
    "tnr": (TNR, lambda y, p: recall_score(y, p, pos_label=0)),
    "fpr": (FPR, lambda y, p: 1 - recall_score(y, p, pos_label=0)),
    "fnr": (FNR, lambda y, p: 1 - recall_score(y, p)),
    "ppv": (PPV, lambda y, p: precision_score(y, p)),
    "accuracy": (ACCURACY, accuracy_score),
    "selection_rate": (SELECTION_RATE, lambda y, p: p.mean()),
}


def same(ours: float, theirs: float) -> bool:
    return abs(ours - theirs) <= TOLERANCE


@FEW
@given(mass=st.one_of(masses(), masses(most=30, least=1)))
@pytest.mark.parametrize("name", RATES)
def test_rates_equal_scikit_learn_where_they_have_a_denominator(name, mass):
    rate, theirs = RATES[name]
    rows = decided_rows(mass)
    trials = rate.trials(mass)
    for group, ours in enumerate(rate.of(mass)):
        if trials[group] == 0:
            assert np.isnan(ours)
        else:
            assert same(ours, theirs(*rows.of(group)))


OURS = {
    "demographic_parity_difference": disparities.DEMOGRAPHIC_PARITY_DIFFERENCE,
    "disparate_impact_ratio": disparities.DISPARATE_IMPACT_RATIO,
    "equalized_odds_difference_max": disparities.EQUALIZED_ODDS_DIFFERENCE_MAX,
    "equalized_odds_difference_mean": disparities.EQUALIZED_ODDS_DIFFERENCE_MEAN,
    "equalized_odds_difference_sum": disparities.EQUALIZED_ODDS_DIFFERENCE_SUM,
    "equal_opportunity_difference": disparities.EQUAL_OPPORTUNITY_DIFFERENCE,
    "accuracy_parity_difference": disparities.ACCURACY_PARITY_DIFFERENCE,
    "predictive_parity_difference": disparities.PREDICTIVE_PARITY_DIFFERENCE,
    "fpr_difference": disparities.FPR_DIFFERENCE,
    "fnr_difference": disparities.FNR_DIFFERENCE,
    "worst_group_accuracy_groups": disparities.WORST_GROUP_ACCURACY_GROUPS,
}


@FEW
@given(mass=masses(classes=3, most=9))
def test_several_classes_equal_scikit_learn_one_against_the_rest(mass):
    rows = decided_rows(mass)
    for positive in range(3):
        against_rest = one_versus_rest(mass, positive)
        assert against_rest.sum() == mass.sum()
        for group, ours in enumerate(TPR.of(against_rest)):
            label, prediction = rows.of(group)
            if (label == positive).any():
                assert same(ours, recall_score(label == positive, prediction == positive))
            else:
                assert np.isnan(ours)
    accuracy = [accuracy_score(*rows.of(g)) if (rows.group == g).any() else np.nan for g in range(len(mass))]
    np.testing.assert_allclose(ACCURACY.of(mass), accuracy, atol=TOLERANCE)
    np.testing.assert_array_equal(REFUSAL_RATE.events(mass), mass[..., 3].sum(-1))


@FEW
@given(mass=masses(classes=3, most=9, least=1))
def test_the_worst_cell_is_the_lowest_recall_of_a_class_in_a_group(mass):
    rows = decided_rows(mass)
    recalls = [recall_score(*rows.of(g), labels=[0, 1, 2], average=None) for g in range(len(mass))]
    np.testing.assert_allclose(CELL_ACCURACY.of(mass), np.ravel(recalls), atol=TOLERANCE)
    assert same(disparities.WORST_GROUP_ACCURACY_CELLS.of(mass), np.min(recalls))


def test_the_worst_accuracy_needs_every_cell_but_no_second_group():
    mass = random_mass(0, (1, 2, 4))
    assert disparities.WORST_GROUP_ACCURACY_GROUPS.of(mass) == ACCURACY.of(mass)[0]
    mass[0, 1] = 0
    assert np.isnan(disparities.WORST_GROUP_ACCURACY_CELLS.of(mass))
    assert disparities.WORST_GROUP_ACCURACY_GROUPS.of(mass) == ACCURACY.of(mass)[0]
    assert np.isnan(disparities.WORST_GROUP_ACCURACY_GROUPS.of(mass[:0]))


def test_rates_read_weights_where_rows_have_them():
    count = random_mass(1, (4, 2, 4), most=12)
    assert amounts(Mass(count)) is count
    weight = count / 3
    assert amounts(Mass(count, weight, weight / 3)) is weight


@given(weight=masses().map(lambda mass: mass * np.array([0.1, 0.7, 1 / 3, 1e-17])))
def test_rounded_sums_of_weights_keep_rates_within_their_range(weight):
    for rate in (*(rate for rate, _ in RATES.values()), REFUSAL_RATE, PARSE_FAILURE_RATE, CELL_ACCURACY):
        values = rate.of(weight)
        assert ((values >= 0) & (values <= 1) | np.isnan(values)).all()


def test_replicates_in_the_leading_axes_are_computed_side_by_side():
    mass = random_mass(3, (2, 5, 3, 2, 4))
    for disparity in OURS.values():
        values = disparity.of(mass)
        assert values.shape == (2, 5)
        assert values[1, 4] == disparity.of(mass[1, 4])


def test_unanswered_rows_change_no_rate_but_those_that_count_them():
    mass = random_mass(4, (3, 2, 4))
    answered = np.where([True, True, False, False], mass, 0)
    for rate, _ in RATES.values():
        np.testing.assert_array_equal(rate.of(mass), rate.of(answered))
        np.testing.assert_array_equal(rate.of(mass), rate.of(mass[..., :2]))
    np.testing.assert_allclose(REFUSAL_RATE.of(mass), mass[..., 2].sum(-1) / mass.sum((-1, -2)))
    np.testing.assert_allclose(PARSE_FAILURE_RATE.of(mass), mass[..., 3].sum(-1) / mass.sum((-1, -2)))
    assert (REFUSAL_RATE.of(answered) == 0).all()


def test_impact_ratios_leave_out_small_categories_and_list_nothing_for_them():
    """6 RCNY 5-301: a category under 2 % of the rows may be left out, even where it is the one selected most often."""
    mass = np.zeros((3, 2, 4), dtype=np.int64)
    mass[:, 0, 0], mass[:, 0, 1] = (50, 80, 0), (50, 20, 2)
    counted = large_enough(mass.sum((-1, -2)))
    assert counted.tolist() == [True, True, False]
    np.testing.assert_allclose(impact_ratios(SELECTION_RATE.of(mass), counted), [1, 0.4, np.nan])
    np.testing.assert_allclose(impact_ratios(SELECTION_RATE.of(mass)), [0.5, 0.2, 1])
    mass[2] = 0
    assert np.isnan(impact_ratios(SELECTION_RATE.of(mass))).all()
    np.testing.assert_allclose(impact_ratios(SELECTION_RATE.of(mass), counted), [1, 0.4, np.nan])


def test_rates_of_the_positive_class_ask_for_one_among_several():
    with pytest.raises(ValueError, match="needs two classes, not 3"):
        TPR.of(random_mass(5, (2, 3, 5)))
    with pytest.raises(ValueError, match="no class 3 among 3"):
        one_versus_rest(random_mass(5, (2, 3, 5)), 3)
    with pytest.raises(ValueError, match="do not tell unanswered rows apart"):
        REFUSAL_RATE.of(random_mass(5, (2, 2, 2)))
