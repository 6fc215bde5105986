"""Changes between two models on the same rows: as records, and with rows that are left out of them."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from equiray.metrics.catalogue import METRICS
from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation import Labels, Setting, changes_of, estimates_of
from equiray.metrics.estimation.shapes import everyone
from equiray.metrics.tables import MISSING, GroupTable, JointTable, Mass

SETTING = Setting(labels=Labels("t", "cda-baseline", "raw"))
REFUSED, UNPARSED = 2, 3


def people(seed: int, n: int = 400, groups: tuple[str, ...] = ("a", "b", "c")) -> pd.DataFrame:
    """Rows that two models decide, alike on most."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    first = np.where(rng.random(n) < 0.75, label, 1 - label)
    second = np.where(rng.random(n) < 0.85, first, label)
    return pd.DataFrame({"group": rng.choice(groups, n), "label": label, "first": first, "second": second})


def joint(rows: pd.DataFrame, groups: tuple[str, ...] = ("a", "b", "c")) -> JointTable:
    """Counts of rows; a group that is None is missing."""
    names = (*groups, *([MISSING] if rows["group"].isna().any() else []))
    count = np.zeros((len(names), 2, 4, 4), np.int64)
    code = rows["group"].fillna(MISSING).map(names.index)
    np.add.at(count, (code, rows["label"], rows["first"], rows["second"]), 1)
    return JointTable(attribute="g", groups=names, classes=("0", "1"), mass=Mass(count))


def table(rows: pd.DataFrame, model: str, groups: tuple[str, ...] = ("a", "b", "c")) -> GroupTable:
    counted = joint(rows, groups)
    mass = Mass(counted.mass.count.sum(-1 if model == "first" else -2))
    return GroupTable(attribute="g", groups=counted.groups, classes=("0", "1"), mass=mass)


def by_key(estimates: list[Estimate]) -> dict[tuple[str, str | None, str | None], Estimate]:
    found = {(e.metric, e.attribute, e.group): e for e in estimates}
    assert len(found) == len(estimates)
    return found


def test_a_change_is_the_difference_of_what_each_model_is_estimated_to_be():
    rows = people(0, 1500)
    changes = by_key(changes_of([joint(rows)], SETTING))
    before, after = (by_key(estimates_of([table(rows, model)], SETTING)) for model in ("first", "second"))
    assert changes.keys() == {key for key in after if key[0] != "impact_ratio"}
    for key, change in changes.items():
        assert change.value == pytest.approx(after[key].value - before[key].value, abs=1e-12), key
        assert change.low <= change.value + 1e-12 and change.value <= change.high + 1e-12
        assert (change.direction, change.status, change.stage) == (after[key].direction, "estimated", "cda-baseline")


def test_values_and_rows_are_those_of_pandas():
    rows = people(1)
    changes = by_key(changes_of([joint(rows)], SETTING))
    for group, mine in rows.groupby("group"):
        positives, selected = mine[mine.label == 1], mine[(mine["first"] == 1) | (mine["second"] == 1)]
        tpr = changes["tpr", "g", group]
        assert tpr.value == pytest.approx(positives["second"].mean() - positives["first"].mean(), abs=1e-12)
        assert (tpr.n, changes["ppv", "g", group].n) == (len(positives), len(selected))
    apart = [rows.groupby("group")[model].mean() for model in ("first", "second")]
    gap = changes["demographic_parity_difference", "g", None]
    assert gap.value == pytest.approx(np.diff([of.max() - of.min() for of in apart])[0], abs=1e-12)
    assert gap.n == changes["accuracy", None, None].n == len(rows)


def test_models_swapped_swap_the_sign_and_equal_ones_change_nothing():
    rows = people(2)
    there = by_key(changes_of([joint(rows)], SETTING))
    back = by_key(changes_of([joint(rows.rename(columns={"first": "second", "second": "first"}))], SETTING))
    for key, change in there.items():
        turned = back[key]
        assert (-turned.value, -turned.high, -turned.low) == pytest.approx(
            (change.value, change.low, change.high), abs=1e-9
        ), key
    same = changes_of([joint(rows.assign(second=rows["first"]))], SETTING)
    assert {e.value for e in same} == {0}
    assert all(e.low <= 0 <= e.high for e in same)


def test_never_1_a_group_without_positives_has_no_change_and_never_one_of_0():
    rows = people(3)
    rows.loc[rows.group == "c", "label"] = 0
    changes = by_key(changes_of([joint(rows)], SETTING))
    absent = [("tpr", "g", "c"), *((f"equalized_odds_difference_{how}", "g", None) for how in ("max", "mean", "sum"))]
    for key in (*absent, ("equal_opportunity_difference", "g", None)):
        assert (changes[key].value, changes[key].status) == (None, "not_estimable"), key
    assert changes["fpr_difference", "g", None].status == "estimated"
    assert changes["tpr", "g", "c"].n == 0


def test_a_group_without_rows_is_listed_and_nothing_is_compared():
    changes = by_key(changes_of([joint(people(4), ("a", "b", "c", "rare"))], SETTING))
    assert (changes["selection_rate", "g", "rare"].status, changes["selection_rate", "g", "rare"].n) == (
        "not_estimable",
        0,
    )
    assert changes["demographic_parity_difference", "g", None].status == "not_estimable"


def test_precision_that_rests_on_few_events_is_partial():
    rows = people(5, 60)
    changes = by_key(changes_of([joint(rows)], SETTING))
    assert changes["ppv", "g", "a"].status == changes["predictive_parity_difference", "g", None].status == "partial"
    assert changes["tpr", "g", "a"].status == "estimated"


def completions(rows: pd.DataFrame, groups: tuple[str, ...]):
    """Every way in which what is not known of the rows may be."""
    open_cells = [
        (row, column, (0, 1) if column != "group" else groups)
        for column in ("first", "second", "group")
        for row in rows.index
        if (rows.at[row, column] is None if column == "group" else rows.at[row, column] >= REFUSED)
    ]
    for values in product(*(choices for _, _, choices in open_cells)):
        whole = rows.copy()
        for (row, column, _), value in zip(open_cells, values, strict=True):
            whole.at[row, column] = value
        yield whole


@pytest.mark.parametrize("seed", range(3))
def test_never_4_limits_hold_however_the_rows_that_are_left_out_turn_out(seed: int):
    groups, rng = ("a", "b"), np.random.default_rng(seed)
    rows = people(seed, 2000, groups).astype({"group": object})
    for row in rng.choice(2000, 4, replace=False):
        rows.at[row, rng.choice(["first", "second"])] = rng.choice([REFUSED, UNPARSED])
    for row in rng.choice(2000, 2, replace=False):
        rows.at[row, "group"] = None
    narrow = Setting(labels=SETTING.labels, confidence=1e-6)  # no sampling error to speak of: bounds are all there is
    changes = by_key(changes_of([joint(rows, groups)], narrow))
    compared = [key for key in changes if key[1] is not None and METRICS[key[0]].scope == "attribute"]
    asked = [*compared, *(key for key in changes if key[1] is None)]
    reached: dict[tuple, list[float]] = {key: [] for key in asked}
    for whole in completions(rows, groups):
        before, after = (table(whole, model, groups) for model in ("first", "second"))
        for key in asked:
            of = METRICS[key[0]].of
            change = of(after) - of(before) if key in compared else of(everyone(after)) - of(everyone(before))
            reached[key].append(float(np.squeeze(change)))
    for key in asked:
        found, least, most = changes[key], min(reached[key]), max(reached[key])
        if "refusal" in key[0] or "parse" in key[0]:  # completed rows are no longer refused
            assert (key in compared, found.status) == (False, "estimated")
            continue
        assert found.low - 1e-5 <= least <= most <= found.high + 1e-5, key
        if key in compared:
            assert found.status == "partial"
        else:  # nor are they wider than what may be
            assert (found.low, found.high) == pytest.approx((least, most), abs=2e-3), key


def test_rows_left_out_by_both_models_and_of_no_known_group_make_a_change_partial():
    rows = people(7).astype({"group": object})
    rows.loc[:19, ["first", "second"]] = REFUSED
    changes = by_key(changes_of([joint(rows)], SETTING))
    assert {e.status for key, e in changes.items() if key[2] is None and "rate" not in key[0]} == {"partial"}
    assert changes["refusal_rate", None, None].status == "estimated"
    assert changes["accuracy", None, None].n == len(rows) - 20
    rows = people(7).astype({"group": object})
    rows.loc[:3, "group"] = None
    changes = by_key(changes_of([joint(rows)], SETTING))
    assert changes["accuracy", None, None].status == "estimated" and changes["accuracy", None, None].n == len(rows)
    assert changes["demographic_parity_difference", "g", None].status == "partial"
    assert changes["demographic_parity_difference", "g", None].n == len(rows) - 4
    assert changes["tpr", "g", "a"].status == "estimated"
    assert changes["selection_rate", "g", MISSING].n == 4


def test_partial_changes_are_covered_although_refusals_are_no_accident():
    """The second model refuses mostly whom it would reject anew; the truth is what it would have decided."""
    rng, simulations, n = np.random.default_rng(8), 400, 300
    names = tuple(f"simulation {number}" for number in range(simulations))
    label, decided = rng.integers(0, 2, (simulations, n)), rng.random((2, simulations, n))
    first = decided[0] < 0.3 + 0.3 * label
    second = np.where(decided[1] < 0.8, first, rng.random((simulations, n)) < 0.6)
    refused = rng.random((simulations, n)) < np.where(first & ~second, 0.5, 0.02)
    count = np.zeros((simulations, 2, 4, 4), np.int64)
    places = np.broadcast_to(np.arange(simulations)[:, None], (simulations, n))
    np.add.at(count, (places, label, first.astype(int), np.where(refused, REFUSED, second)), 1)
    counted = JointTable(attribute="g", groups=names, classes=("0", "1"), mass=Mass(count))
    found = [e for e in changes_of([counted], SETTING) if e.metric == "selection_rate" and e.group is not None]
    truth = 0.2 * (0.6 - 0.45)  # a fifth is decided anew; of the others nothing changes
    assert np.mean([e.low <= truth <= e.high for e in found]) >= 0.93
    assert np.mean([e.value > truth for e in found]) > 0.8  # what the answered rows alone would have said
    assert np.mean([e.high - e.low for e in found]) < 0.3
