"""The exact change, the published condition and the selection term; and the published table of thresholds."""

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiray.errors import BadInput
from equiray.metrics.clusters import Resampling
from equiray.metrics.estimation import Labels, Setting, changes_of
from equiray.metrics.tables import MISSING
from equiray.mitigation.gating.changes import exact_change, joint_table
from equiray.mitigation.gating.no_harm import Condition, no_harm
from gated_cases import drawn, outcomes_of

FEW = Resampling(confidence=0.9, replicates=200, seed=1)

# arXiv 2510.19421, CelebA: threshold -> TPR, FPR, accuracy, worst-group accuracy, in percent
PUBLISHED = {
    0.0: (100, 100, 94.1, 87.1),
    0.2: (98.8, 18.7, 95.4, 86.9),
    0.4: (96.7, 6.34, 95.6, 86.5),
    0.5: (94.1, 3.45, 95.9, 86.2),
    0.6: (72.3, 2.60, 95.9, 85.7),
    0.8: (62.9, 1.48, 96.0, 82.1),
    1.0: (0, 0, 95.8, 77.9),
}
RARE_CELL = 1387 / 162_770  # blond men in CelebA's training split


def test_the_published_table_of_thresholds_gives_its_accuracy_but_not_its_worst_group():
    """Both ends fix all that is not published: base figures, and the changes of the adapter always on."""
    (_, _, always, worst_always), (_, _, base, worst_base) = PUBLISHED[0.0], PUBLISHED[1.0]
    d_min = worst_always - worst_base
    d_maj = (RARE_CELL * d_min - (always - base)) / (1 - RARE_CELL)
    worst = {}
    for tau, (tpr, fpr, accuracy, worst_group) in PUBLISHED.items():
        condition = Condition(RARE_CELL, tpr / 100, fpr / 100, d_min, d_maj)
        assert base + condition.margin == pytest.approx(accuracy, abs=0.25), tau
        worst[tau] = worst_base + tpr / 100 * d_min - worst_group
    # linear in TPR the worst group's accuracy is not recovered: per-cell TPR, selection, or noise of the seed
    assert worst[0.6] == pytest.approx(-1.15, abs=0.005)  # 1.2 points too low
    assert worst[0.8] == pytest.approx(1.59, abs=0.005)  # 1.6 too high
    assert max(abs(worst[tau]) for tau in (0.0, 0.2, 0.4, 0.5, 1.0)) < 0.5


@given(st.integers(0, 10_000), st.sampled_from([-np.inf, 0.25, 0.5, 0.9, np.inf]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_exact_change_margin_and_selection_are_what_rows_say(seed, tau, missing):
    outcomes = drawn(60, groups=2, seed=seed, ties=0.3, unknown=0.2, missing=missing)
    found = no_harm(outcomes, tau, "sex", "g1", FEW)
    y, code = outcomes.label == 1, outcomes.groups[0].code
    effect = ((outcomes.probability[:, 1] > 0.5) == y).astype(int) - ((outcomes.probability[:, 0] > 0.5) == y)
    opened = outcomes.risk[:, 0] > np.float32(tau)
    assert found.exact.overall.value == pytest.approx((opened * effect).mean(), abs=1e-12)
    assert (found.exact.overall.rows, found.exact.overall.opened) == (60, opened.sum())
    for cell, (group, label) in zip(found.exact.cells, product(range(2), (False, True)), strict=True):
        rows = (code == group) & (y == label)
        assert (cell.rows, cell.opened) == (rows.sum(), opened[rows].sum())
        np.testing.assert_allclose(cell.value, (opened * effect)[rows].mean() if rows.any() else np.nan, atol=1e-12)
    known = code < 2
    vulnerable, others = code == 1, code == 0
    covariances = [np.cov(opened[rows], effect[rows], bias=True)[0, 1] * rows.sum() for rows in (vulnerable, others)]
    assert found.selection.value == pytest.approx(sum(covariances) / known.sum(), abs=1e-12)
    exact = (opened * effect)[known].mean()
    assert found.margin.value == pytest.approx(exact - found.selection.value, abs=1e-12)
    condition = found.condition
    measured = (vulnerable.sum() / known.sum(), opened[vulnerable].mean(), opened[others].mean())
    assert condition[:3] == pytest.approx(measured)
    assert condition[3:] == pytest.approx((effect[vulnerable].mean(), -effect[others].mean()))
    assert condition.holds == (condition.gain >= condition.cost)


def test_limits_of_the_exact_change_are_those_of_a_comparison_of_two_models():
    outcomes = drawn(800, gates=2, seed=4)
    tau = [0.3, 0.6]
    ours = exact_change(outcomes, tau, "sex", 0.9)
    setting = Setting(labels=Labels("task", "gated-base", "model"), confidence=0.9)
    theirs = {(e.metric, e.group): e for e in changes_of([joint_table(outcomes, tau, "sex")], setting)}
    for change, estimate in (
        (ours.overall, theirs["accuracy", None]),
        (ours.worst_cell, theirs["worst_group_accuracy_cells", None]),
    ):
        np.testing.assert_allclose(change[1:4], (estimate.value, estimate.low, estimate.high), atol=1e-12)
    at_once = Setting(labels=Labels("task", "gated-base", "model"), confidence=1 - 0.1 / 6)
    theirs = {(e.metric, e.group): e for e in changes_of([joint_table(outcomes, tau, "sex")], at_once)}
    for place, group in enumerate(("g0", "g1", "g2")):
        positives, estimate = ours.cells[2 * place + 1], theirs["tpr", group]
        np.testing.assert_allclose(positives[1:4], (estimate.value, estimate.low, estimate.high), atol=1e-12)
        negatives, estimate = ours.cells[2 * place], theirs["fpr", group]
        np.testing.assert_allclose(negatives[1:4], (-estimate.value, -estimate.high, -estimate.low), atol=1e-12)


def test_a_gate_that_opens_regardless_of_the_effect_leaves_no_selection_term():
    effects = list(product((0, 1), (0.25, 0.75), (0.25, 0.75), (0.25, 0.75)))  # label, base, adapted, risk
    label, base, adapted, risk = np.tile(np.array(effects), (20, 1)).T
    code = np.repeat([0, 1], len(label) // 2)
    outcomes = outcomes_of(label, risk, np.stack([base, adapted], 1), {"sex": (("a", "b"), code)})
    found = no_harm(outcomes, 0.5, "sex", "b", FEW)
    assert found.selection.value == pytest.approx(0, abs=1e-15)
    assert found.selection.low < 0 < found.selection.high
    assert found.exact.overall.value == pytest.approx(found.margin.value, abs=1e-15)
    assert found.status == "estimated"


def test_a_gate_that_picks_the_rows_that_gain_does_better_than_the_condition_says():
    draw = np.random.default_rng(0)
    label = np.ones(2000, int)
    base, adapted = draw.choice([0.25, 0.75], 2000), draw.choice([0.25, 0.75], 2000)
    code = draw.integers(0, 2, 2000)
    risk = np.where((adapted > base), 0.9, 0.1)
    found = no_harm(
        outcomes_of(label, risk, np.stack([base, adapted], 1), {"sex": (("a", "b"), code)}), 0.5, "sex", "b", FEW
    )
    assert found.exact.overall.low > 0.2
    assert abs(found.margin.value) < 0.02 and found.selection.low > 0.2


def test_products_are_compared_so_that_a_rate_of_0_is_no_trouble():
    assert Condition(0.01, 0.9, 0.0, 0.05, 0.02).holds  # a ratio TPR / FPR has no value
    assert Condition(0.01, 0.0, 0.0, 0.05, 0.02).holds  # a gate that stays shut cannot hurt
    assert Condition(0.5, 0.5, 0.5, -0.05, -0.05).holds  # dividing by a negative change would turn the inequality round
    assert not Condition(0.5, 0.9, 0.1, -0.05, 0.0).holds
    assert Condition(0.5, np.nan, 0.1, 0.05, 0.0).holds is None


def test_few_open_gates_are_partial():
    outcomes = drawn(400, groups=2, seed=1)
    assert no_harm(outcomes, 0.5, "sex", "g0", FEW).status == "estimated"
    assert no_harm(outcomes, 0.98, "sex", "g0", FEW).status == "partial"


def test_a_vulnerable_group_without_rows_is_not_estimable():
    outcomes = outcomes_of([0, 1, 1], [0.2, 0.4, 0.8], np.full((3, 2), 0.75), {"sex": (("a", "b"), [0, 0, 0])})
    found = no_harm(outcomes, 0.5, "sex", "b", FEW)
    assert found.status == "not_estimable" and found.condition.holds is None
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert record["margin"] == {"value": None, "low": None, "high": None}
    assert record["exact"]["worst_cell"]["value"] is None
    assert record["exact"]["overall"]["rows"] == 3


def test_the_record_says_all_there_is():
    record = json.loads(json.dumps(no_harm(drawn(300), np.inf, "sex", "g1", FEW).to_json(), allow_nan=False))
    assert record["threshold"] == "inf" and record["gate"] == "gate0" and record["split"] == "validation"
    assert set(record["condition"]) == {"prevalence", "tpr", "fpr", "d_min", "d_maj", "gain", "cost", "holds"}
    assert record["exact"]["overall"]["value"] == 0 and record["condition"]["holds"] is True
    assert [cell["where"] for cell in record["exact"]["cells"]][:2] == ["g0, label 0", "g0, label 1"]


@pytest.mark.parametrize("vulnerable", ["women", MISSING])
def test_a_group_that_is_none_is_refused(vulnerable):
    with pytest.raises(BadInput, match="name one of: g0, g1, g2"):
        no_harm(drawn(50, missing=True), 0.5, "sex", vulnerable, FEW)


def test_several_gates_have_no_condition():
    with pytest.raises(BadInput, match="2 gates"):
        no_harm(drawn(50, gates=2), 0.5, "sex", "g1", FEW)
