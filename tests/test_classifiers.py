"""Logistic regressions: against scipy's optimum, counterfactual augmentation = dropping the column, bad input."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.optimize import minimize

import people
from equiray.errors import BadInput
from equiray.mitigation.cda import augment
from equiray.models.classifiers import L2_STRENGTHS, RawColumns, fit_embedding_classifier, fit_raw_classifier


def _rows(n: int, seed: int) -> pa.Table:
    """Invented people whose label leans on sex, hours and race."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        sex, race = str(rng.choice(people.SEXES)), str(rng.choice(people.RACES))
        hours = float(rng.normal(40, 8))
        logit = 0.15 * (hours - 40) + (1.2 if sex == "Male" else -1.2) + (0.5 if race == "White" else 0)
        rows.append(
            {"sex": sex, "race": race, "hours": hours, "age": int(rng.integers(18, 70))}
            | {"label": int(rng.random() < 1 / (1 + np.exp(-logit)))}
        )
    return people.table(rows)


def _blobs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    x = rng.normal(size=(n, 12)) * np.logspace(-2, 2, 12) + 5
    x[:, 3] += 0.7 * np.logspace(-2, 2, 12)[3] * y
    x[:, 11] = 1.25  # a constant column has no deviation to divide by
    return x.astype(np.float32), y


def test_embedding_classifier_is_the_optimum_of_the_stated_objective():
    x, y = _blobs(300, 1)
    held_x, held_y = _blobs(200, 2)
    fitted = fit_embedding_classifier(x, y, held_x, held_y)
    std = x.std(axis=0, dtype=np.float64)
    scaled = (x - x.mean(axis=0, dtype=np.float64)) / np.where(std > 1e-9, std, 1)

    def objective(parameters: np.ndarray) -> float:
        logits = scaled @ parameters[:-1] + parameters[-1]
        return float(
            np.mean(np.logaddexp(0, -(2 * y - 1) * logits)) + fitted.l2 / 2 * parameters[:-1] @ parameters[:-1]
        )

    best = minimize(objective, np.zeros(13), method="BFGS", options={"gtol": 1e-8}).x
    expected = 1 / (1 + np.exp(-(scaled @ best[:-1] + best[-1])))
    np.testing.assert_allclose(fitted.probabilities(x), expected, atol=1e-5)
    accuracy = np.mean((fitted.probabilities(held_x) >= 0.5) == held_y)
    assert fitted.validation_accuracy == pytest.approx(accuracy)
    assert fitted.l2 in L2_STRENGTHS
    assert accuracy > 0.55


def test_counterfactual_augmentation_equals_dropping_the_column():
    train, validation = _rows(400, 3), _rows(150, 4)
    plain = fit_raw_classifier(train, validation, people.SCHEMA)
    augmented = augment(train, people.SCHEMA, ["sex"])
    assert augmented.twins == augmented.originals
    fair = fit_raw_classifier(augmented.table, validation, people.SCHEMA)
    unaware = fit_raw_classifier(train, validation, people.SCHEMA, drop=("sex",))
    assert abs(plain.coefficients["sex=Male"] - plain.coefficients["sex=Female"]) > 0.5
    assert fair.coefficients["sex=Male"] == pytest.approx(0, abs=1e-7)
    assert fair.coefficients["sex=Female"] == pytest.approx(0, abs=1e-7)
    assert "sex=Male" not in unaware.coefficients
    np.testing.assert_allclose(fair.probabilities(validation), unaware.probabilities(validation), atol=1e-7)


def test_columns_are_standardised_and_an_unseen_category_moves_nothing():
    train = people.table([{"hours": 30.0, "race": "White"}, {"hours": 50.0, "race": "Black"}])
    columns = RawColumns.fit(train, people.SCHEMA, drop=("age", "sex", "relationship"))
    assert columns.names == ("hours", "race=Black", "race=White")
    unseen = people.table([{"hours": 60.0, "race": "Asian or Pacific Islander"}])
    np.testing.assert_array_equal(columns.encode(train), [[-1, 0, 1], [1, 1, 0]])
    np.testing.assert_array_equal(columns.encode(unseen), [[2, 0, 0]])


def test_one_class_is_bad_input():
    train, validation = _rows(40, 5), _rows(20, 6)
    ones = train.set_column(train.schema.get_field_index("label"), "label", pa.array([1] * 40, pa.int8()))
    with pytest.raises(BadInput, match="all 40 training rows have the label 1"):
        fit_raw_classifier(ones, validation, people.SCHEMA)
    x, y = _blobs(30, 7)
    with pytest.raises(BadInput, match="all 30 training rows have the label 0"):
        fit_embedding_classifier(x, np.zeros(30), x, y)


def test_what_cannot_be_read_is_named():
    x, y = _blobs(30, 8)
    broken = x.copy()
    broken[4, 2] = np.nan
    with pytest.raises(BadInput, match="training row 4, column 2"):
        fit_embedding_classifier(broken, y, x, y)
    with pytest.raises(BadInput, match="training split has no rows"):
        fit_embedding_classifier(x[:0], y[:0], x, y)
    with pytest.raises(BadInput, match="validation split has no rows"):
        fit_embedding_classifier(x, y, x[:0], y[:0])
    with pytest.raises(BadInput, match="no feature is called \\['gender'\\]"):
        fit_raw_classifier(_rows(20, 9), _rows(20, 9), people.SCHEMA, drop=("gender",))
