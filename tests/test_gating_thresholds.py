"""Every threshold of one gate, against a count row by row and against Fairlearn and scikit-learn."""

import numpy as np
import pytest
from fairlearn.metrics import demographic_parity_difference, equal_opportunity_difference, equalized_odds_difference
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, recall_score

from equiray.errors import BadInput
from equiray.mitigation.gating.outcomes import CLOSED, OPEN
from equiray.mitigation.gating.thresholds import _BLOCK, sweep
from gated_cases import by_hand, drawn, outcomes_of


def assert_as_by_hand(outcomes, swept, places):
    for place in places:
        expected = by_hand(outcomes, swept.thresholds[place])
        assert swept.figures.keys() == expected.keys()
        for metric, value in expected.items():
            np.testing.assert_allclose(swept.figures[metric][place], value, atol=1e-12, err_msg=metric)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),  # label
            st.integers(0, 2),  # group; any may lack rows, or have one class
            st.one_of(st.sampled_from([0.0, -0.0, 0.25, 0.5]), st.floats(0, 1, width=32), st.just(float("nan"))),
            st.sampled_from([0.0, 0.5, 0.75, 1.0]),
            st.sampled_from([0.25, 0.5, 1.0]),
        ),
        min_size=1,
        max_size=30,
    ),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_every_threshold_is_what_a_count_row_by_row_gives(rows, missing):
    label, code, risk, before, after = zip(*rows, strict=True)
    names = ("a", "b", "(missing)") if missing else ("a", "b", "c")
    outcomes = outcomes_of(label, risk, np.stack([before, after], 1), {"sex": (names, np.array(code))})
    swept = sweep(outcomes, "sex")
    distinct = np.unique([value for value in risk if value == value])
    np.testing.assert_array_equal(
        swept.thresholds[:, 0], np.float32([OPEN, *distinct[:-1], CLOSED] if len(distinct) else [CLOSED])
    )
    assert_as_by_hand(outcomes, swept, range(len(swept.thresholds)))


def test_blocks_of_thresholds_continue_where_the_last_one_ended():
    outcomes = drawn(3 * _BLOCK + 7, ties=0.5, unknown=0.05, missing=True)
    swept = sweep(outcomes, "sex")
    near = [edge + step for edge in np.searchsorted(swept.thresholds[:, 0], [0.1, 0.3, 0.5]) for step in (-1, 0, 1)]
    assert_as_by_hand(outcomes, swept, [0, 1, *near, len(swept.thresholds) // 2, len(swept.thresholds) - 1])


def test_risks_that_are_all_one_fill_blocks_without_a_threshold():
    outcomes = drawn(2 * _BLOCK + 5, ties=0.0)
    outcomes.risk[:] = 0.5
    swept = sweep(outcomes, "sex")
    assert swept.thresholds[:, 0].tolist() == [OPEN, CLOSED]
    assert_as_by_hand(outcomes, swept, [0, 1])


def test_it_agrees_with_fairlearn_and_scikit_learn():
    outcomes = drawn(400, ties=0.3, seed=3)
    swept, y, group = sweep(outcomes, "sex"), outcomes.label, outcomes.groups[0].code
    for place in range(0, len(swept.thresholds), 37):
        decided = outcomes.decided(swept.thresholds[place]) > 0.5
        figures = swept.at(place)
        kept = {"sensitive_features": group}
        assert figures["accuracy"] == pytest.approx(accuracy_score(y, decided), abs=1e-12)
        for method, metric in (("worst_case", "max"), ("mean", "mean")):
            theirs = equalized_odds_difference(y, decided, agg=method, **kept)
            assert figures[f"equalized_odds_difference_{metric}"] == pytest.approx(theirs, abs=1e-12)
        theirs = equal_opportunity_difference(y, decided, **kept)
        assert figures["equal_opportunity_difference"] == pytest.approx(theirs, abs=1e-12)
        theirs = demographic_parity_difference(y, decided, **kept)
        assert figures["demographic_parity_difference"] == pytest.approx(theirs, abs=1e-12)
        cells = [recall_score(y[group == g], decided[group == g], pos_label=k) for g in range(3) for k in (0, 1)]
        assert figures["worst_group_accuracy_cells"] == pytest.approx(min(cells), abs=1e-12)


def test_a_group_without_positives_is_not_estimable_and_never_0():
    label, code = [0, 0, 1, 1, 0], [0, 0, 1, 1, 1]
    swept = sweep(outcomes_of(label, np.arange(5) / 8, np.full((5, 2), 0.75), {"sex": (("a", "b"), code)}), "sex")
    for metric in ("worst_group_accuracy_cells", "equalized_odds_difference_max", "equal_opportunity_difference"):
        assert np.isnan(swept.figures[metric]).all()
    assert not np.isnan(swept.figures["worst_group_accuracy_groups"]).any()
    assert swept.left_out == ("a, label 1 (0 rows)",)
    assert swept.worst_cell.tolist() == [0.0] * 6  # of the cells that have rows: negatives are all selected


def test_cells_with_few_rows_do_not_count_for_the_worst_one():
    label, code = [0, 0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 1]
    probability = np.column_stack([[0.25, 0.25, 0.25, 1, 1, 0.25, 1]] * 2)
    outcomes = outcomes_of(label, np.zeros(7), probability, {"sex": (("a", "b"), code)})
    swept = sweep(outcomes, "sex", fewest_rows=2)
    assert swept.worst_cell.tolist() == pytest.approx([2 / 3] * 2)
    assert swept.left_out == ("b, label 0 (1 rows)", "b, label 1 (0 rows)")
    assert np.isnan(sweep(outcomes, "sex", fewest_rows=4).worst_cell).all()


def test_several_gates_are_refused():
    with pytest.raises(BadInput, match="2 gates: gate0, gate1"):
        sweep(drawn(20, gates=2), "sex")


def test_one_of_several_gates_is_swept_with_the_others_shut():
    outcomes = drawn(60, gates=2, ties=0.3)
    swept = sweep(outcomes.alone("gate1"), "sex")
    for place, (tau,) in enumerate(swept.thresholds):
        expected = by_hand(outcomes, [np.inf, tau])
        assert swept.figures["accuracy"][place] == pytest.approx(expected["accuracy"], abs=1e-12)
        assert swept.figures["activation_rate"][place] == pytest.approx(expected["activation_rate"], abs=1e-12)
