"""Augmentation touches the training split only, and on raw columns does what the symmetry says it must."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import people
from equiray.data.counterfactuals import COUNTERFACTUAL
from equiray.data.schema import Flip
from equiray.data.tasks.load import load_task
from equiray.errors import BadInput
from equiray.mitigation.cda import augment
from equiray.specs.run import TaskSpec

ONLY_SEX = dataclasses.replace(
    people.SCHEMA, flips=(Flip(attribute="sex", swaps={"sex": {"Male": "Female", "Female": "Male"}}),)
)


def test_each_original_is_followed_by_its_twins():
    rows = [{"row_id": 9, "race": "Black"}, {"row_id": 2, "race": None}, {"row_id": 4}]
    augmented = augment(people.table(rows), people.SCHEMA, ["race"])
    assert augmented.table["row_id"].to_pylist() == [9, 9, 9, 2, 4, 4, 4]
    assert [c is None for c in augmented.table[COUNTERFACTUAL].to_pylist()] == [True, False, False, True] + [True] + [
        False
    ] * 2
    assert (augmented.originals, augmented.twins, augmented.skipped) == (3, 4, {"race: missing": 1})


def test_originals_come_back_unchanged():
    train = people.table([{"age": 20 + i, "sex": people.SEXES[i % 2]} for i in range(8)])
    table = augment(train, people.SCHEMA, ["sex"]).table
    assert table.filter(table[COUNTERFACTUAL].is_null()).drop_columns([COUNTERFACTUAL]).equals(train)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_rows_of_other_splits_are_refused(split):
    with pytest.raises(BadInput, match=rf"splits \['{split}'\] would be augmented"):
        augment(people.table([{}, {"split": split}]), people.SCHEMA, ["sex"])


def _unfair_rows(n: int = 300):
    """Rows in which men earn more, so that a model left alone gives sex a weight."""
    rng = np.random.default_rng(7)
    rows = []
    for i in range(n):
        male, hours = rng.random() < 0.6, float(rng.integers(20, 60))
        chance = 1 / (1 + np.exp(-(1.5 * male + 0.08 * (hours - 40) - 0.5)))
        rows.append({"row_id": i, "sex": people.SEXES[not male], "hours": hours, "label": int(rng.random() < chance)})
    return rows


def _fit(table, *, with_sex: bool, weight: float = 1.0):
    """One-hot sex (both levels) and standardised hours; `weight` multiplies the penalty's counterpart, the loss."""
    columns = [(np.array(table["hours"]) - 40) / 10]
    if with_sex:
        columns += [np.array(table["sex"]) == sex for sex in people.SEXES]
    x = np.stack(columns, axis=1).astype(float)
    model = LogisticRegression(C=weight, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(x, table["label"])
    return model, x


def test_on_raw_columns_the_coefficient_of_sex_is_zero_and_the_model_is_the_unaware_one():
    train = people.table(_unfair_rows())
    augmented = augment(train, ONLY_SEX, ["sex"]).table
    alone, _ = _fit(train, with_sex=True)
    assert alone.coef_[0, 1] - alone.coef_[0, 2] > 0.5  # there is something to remove
    fair, _ = _fit(augmented, with_sex=True)
    np.testing.assert_allclose(fair.coef_[0, 1:], 0, atol=1e-10)
    unaware, x = _fit(train, with_sex=False, weight=2)  # every row stands twice in the augmented table
    _, seen = _fit(train, with_sex=True)
    np.testing.assert_allclose(fair.predict_proba(seen), unaware.predict_proba(x), atol=1e-10)


def test_labels_and_all_else_occur_equally_often_for_each_sex():
    table = augment(people.table(_unfair_rows()), ONLY_SEX, ["sex"]).table
    by_sex = [
        sorted(zip(half["label"].to_pylist(), half["hours"].to_pylist(), strict=True))
        for half in (table.filter(np.array(table["sex"]) == sex) for sex in people.SEXES)
    ]
    assert by_sex[0] == by_sex[1]


def test_on_german_credit_augmented_and_unaware_models_agree():
    """The same on real rows: every raw column one-hot or standardised, only sex flips."""
    task = load_task(TaskSpec(name="german"), seed=0)
    train = task.split("train")
    augmented = augment(train, task.schema, ["sex"]).table
    unaware = [f for f in task.schema.features if f.name != "sex"]
    encode = {f.name: _encoder(train, f) for f in task.schema.features}

    def fit(table, features, weight):
        x = np.concatenate([encode[f.name](table) for f in features], axis=1)
        return LogisticRegression(C=weight, solver="newton-cholesky", tol=1e-12).fit(x, table["label"]), x

    fair, _ = fit(augmented, [*unaware, task.schema.feature("sex")], 1.0)
    alone, seen = fit(train, [*unaware, task.schema.feature("sex")], 1.0)
    dropped, x = fit(train, unaware, 2.0)
    assert np.abs(alone.coef_[0, -2:]).min() > 0.01
    np.testing.assert_allclose(fair.coef_[0, -2:], 0, atol=1e-9)
    np.testing.assert_allclose(fair.predict_proba(seen), dropped.predict_proba(x), atol=1e-9)


def _encoder(train, feature):
    if feature.kind == "numeric":
        values = np.array(train[feature.name], dtype=float)
        return lambda table: ((np.array(table[feature.name], dtype=float) - values.mean()) / values.std())[:, None]
    levels = sorted(train[feature.name].unique().to_pylist())
    return lambda table: (np.array(table[feature.name])[:, None] == np.array(levels)).astype(float)
