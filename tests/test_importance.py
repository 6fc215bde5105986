"""The feature order follows what each column says about the label, and only training rows decide it."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import people
from equiray.data.importance import feature_importance
from equiray.errors import BadInput


def _rows(n: int = 400, **fixed):
    """Label depends on hours strongly, on relationship weakly, on age in a U shape; sex and race are noise."""
    rng = np.random.default_rng(3)
    rows = []
    for i in range(n):
        label = int(rng.random() < 0.4)
        far = label if rng.random() < 0.8 else 1 - label
        rows.append(
            {
                "row_id": i,
                "label": label,
                "hours": float(rng.normal(40 + 12 * label, 4)),
                "age": int(rng.choice([20, 70] if far else [45])),
                "relationship": "Unmarried" if rng.random() < 0.4 + 0.2 * label else "Own child",
                "sex": people.SEXES[rng.integers(2)],
                "race": people.RACES[rng.integers(3)],
            }
            | fixed
        )
    return rows


def test_order_is_by_strength_and_sees_a_u_shape():
    importance = feature_importance(people.task(_rows()), seed=0)
    assert importance.order[:3] == ("hours", "age", "relationship")
    assert list(importance.auc) == sorted(importance.auc, reverse=True)
    assert importance.auc[0] > 0.9
    assert max(importance.auc[3:]) < 0.6


def test_a_monotone_number_scores_about_its_plain_auc():
    rows = _rows()
    importance = feature_importance(people.task(rows), seed=0)
    plain = roc_auc_score([r["label"] for r in rows], [r["hours"] for r in rows])
    assert importance.auc[importance.order.index("hours")] == pytest.approx(plain, abs=0.03)


def test_only_the_training_split_is_read():
    train = _rows()
    inverted = [r | {"row_id": 1000 + i, "split": "test", "label": 1 - r["label"]} for i, r in enumerate(train)]
    assert feature_importance(people.task(train + inverted), seed=0) == feature_importance(people.task(train), seed=0)


def test_near_unique_categories_earn_nothing_by_their_number():
    rows = [r | {"race": f"race {i}"} for i, r in enumerate(_rows())]
    importance = feature_importance(people.task(rows), seed=0)
    assert importance.auc[importance.order.index("race")] == 0.5


def test_equal_scores_stand_in_schema_order_and_missing_values_are_a_level():
    rows = _rows(age=None, sex="Male", race="White", hours=None)
    importance = feature_importance(people.task(rows), seed=0)
    assert importance.order == ("relationship", "age", "sex", "race", "hours")
    assert importance.auc[1:] == (0.5, 0.5, 0.5, 0.5)
    telling = [r | {"hours": None if r["label"] else 40.0} for r in rows]
    assert feature_importance(people.task(telling), seed=0).order[0] == "hours"


def test_the_seed_deals_the_folds():
    task = people.task(_rows())
    assert feature_importance(task, seed=1) == feature_importance(task, seed=1)
    assert feature_importance(task, seed=1).auc != feature_importance(task, seed=2).auc


def test_one_label_only_is_refused():
    with pytest.raises(BadInput, match=r"only 0 training row\(s\) with the rarer label"):
        feature_importance(people.task(_rows(label=1)), seed=0)
