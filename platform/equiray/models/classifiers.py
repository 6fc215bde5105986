"""Logistic regression on embeddings and on raw columns, its L2 strength chosen on validation rows.

What is notable:

- The penalty is per row: a training table in which every row stands twice gives the same model. So counterfactual
  augmentation, where only one column flips, gives that column the coefficient 0 and exactly the model that is trained
  without it, and not merely a similar one.
- Newton steps, not lbfgs: they converge to the optimum on correlated embeddings too, so nothing here depends on a seed
  or on where an optimiser gave up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from equiray.data.schema import Schema
from equiray.errors import BadInput

THRESHOLD = 0.5
"""Probability above which the decision is positive."""

L2_STRENGTHS = (1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5)
"""λ of mean log loss + λ/2 ‖w‖², from strong to weak."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Logistic:
    """A fitted logistic regression: P(positive) = σ(x·weights + intercept).

    Attributes
    ----------
    weights : float64 [columns]
        On the scale of the columns as they were passed.
    l2 : float
        The strength with the best validation accuracy; of equals, the one with the lower validation log loss.
    validation_accuracy : float
    """

    weights: Matrix
    intercept: float
    l2: float
    validation_accuracy: float

    def probabilities(self, x: ArrayLike) -> Matrix:
        """Probability of the positive class, float64 [rows]; `x` is [rows, columns]."""
        return expit(np.asarray(x, dtype=np.float64) @ self.weights + self.intercept)


@dataclass(frozen=True, kw_only=True)
class RawColumns:
    """Table columns as numbers: numeric ones standardised, categorical ones one 0/1 column per training category.

    A category that training never saw gets 0 in all columns of its feature: it moves no decision.
    """

    numeric: Mapping[str, tuple[float, float]]
    """name -> (mean, standard deviation) over the training rows"""
    categorical: Mapping[str, tuple[str, ...]]

    @classmethod
    def fit(cls, train: pa.Table, schema: Schema, drop: Sequence[str] = ()) -> "RawColumns":
        """Read means, deviations and categories from the training rows; the features in `drop` stay out.

        Raises
        ------
        BadInput
            `drop` names no feature of the schema, or nothing is left.
        """
        unknown = set(drop) - {feature.name for feature in schema.features}
        kept = [feature for feature in schema.features if feature.name not in drop]
        if unknown or not kept:
            raise BadInput(
                f"no feature is called {sorted(unknown)}" if unknown else "all features are dropped",
                place=f"task {schema.name!r}, dropped columns",
                fix="drop features of the schema, and not all of them",
            )
        numeric, categorical = {}, {}
        for feature in kept:
            if feature.kind == "numeric":
                values = _numbers(train, feature.name)
                numeric[feature.name] = (float(values.mean()), float(values.std()) or 1.0)
            else:
                categorical[feature.name] = tuple(sorted(train[feature.name].unique().drop_null().to_pylist()))
        return cls(numeric=numeric, categorical=categorical)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each encoded column: the feature's, or ``feature=category``."""
        categories = [f"{name}={value}" for name, values in self.categorical.items() for value in values]
        return (*self.numeric, *categories)

    def encode(self, table: pa.Table) -> Matrix:
        """Float64 [rows, len(names)]."""
        parts = [((_numbers(table, name) - mean) / std)[:, None] for name, (mean, std) in self.numeric.items()]
        for name, values in self.categorical.items():
            column = table[name].to_numpy(zero_copy_only=False)
            parts.append((column[:, None] == np.array(values, dtype=object)[None, :]).astype(np.float64))
        return np.concatenate(parts, axis=1)


@dataclass(frozen=True, kw_only=True)
class RawClassifier:
    """Logistic regression on a table's own columns."""

    columns: RawColumns
    logistic: Logistic

    @property
    def coefficients(self) -> dict[str, float]:
        """Coefficient by encoded column; a numeric one's is per standard deviation."""
        return dict(zip(self.columns.names, self.logistic.weights.tolist(), strict=True))

    def probabilities(self, table: pa.Table) -> Matrix:
        """Probability of the positive class of each row, float64 [rows]."""
        return self.logistic.probabilities(self.columns.encode(table))


def fit_raw_classifier(
    train: pa.Table, validation: pa.Table, schema: Schema, drop: tuple[str, ...] = ()
) -> RawClassifier:
    """Fit a logistic regression on the schema's features, laid out as in `Task.table`.

    Parameters
    ----------
    train, validation : pyarrow.Table
        `validation` chooses the L2 strength only; leave it un-augmented.
    schema : Schema
    drop : tuple of str
        Features the model must not see; the sensitive one gives the "unawareness" baseline.

    Raises
    ------
    BadInput
        One class only in training, no rows, or `drop` names no feature.
    """
    columns = RawColumns.fit(train, schema, drop)
    labels, held_out = (part["label"].to_numpy() for part in (train, validation))
    x, validation_x = columns.encode(train), columns.encode(validation)
    _check(x, labels, validation_x, f"task {schema.name!r}, raw columns")
    return RawClassifier(columns=columns, logistic=_fit(x, labels, validation_x, held_out))


def fit_embedding_classifier(
    train_x: ArrayLike, train_y: ArrayLike, validation_x: ArrayLike, validation_y: ArrayLike
) -> Logistic:
    """Fit a logistic regression on embeddings, standardised over the training rows.

    Parameters
    ----------
    train_x, validation_x : float [rows, hidden]
    train_y, validation_y : 0 or 1 [rows]
        Validation chooses the L2 strength only.

    Raises
    ------
    BadInput
        One class only in training, no rows, or a value that is not finite.
    """
    x, held_out = np.asarray(train_x, dtype=np.float64), np.asarray(validation_x, dtype=np.float64)
    _check(x, np.asarray(train_y), held_out, "embeddings")
    mean, std = x.mean(axis=0), x.std(axis=0)
    std[std == 0] = 1.0
    fitted = _fit((x - mean) / std, np.asarray(train_y), (held_out - mean) / std, np.asarray(validation_y))
    weights = fitted.weights / std
    return Logistic(
        weights=weights,
        intercept=fitted.intercept - float(mean @ weights),
        l2=fitted.l2,
        validation_accuracy=fitted.validation_accuracy,
    )


def _fit(x: Matrix, y: NDArray, validation_x: Matrix, validation_y: NDArray) -> Logistic:
    """The best of `L2_STRENGTHS` by validation accuracy, as the paper picks checkpoints (arXiv 2509.16462)."""
    model = LogisticRegression(solver="newton-cholesky", tol=1e-8, max_iter=200, warm_start=True)
    candidates = []
    for l2 in L2_STRENGTHS:
        model.set_params(C=1 / (l2 * len(y))).fit(x, y)
        weights, intercept = model.coef_[0].copy(), float(np.ravel(model.intercept_)[0])
        logits = validation_x @ weights + intercept
        accuracy = float(np.mean((expit(logits) > THRESHOLD) == validation_y))
        loss = float(np.mean(np.logaddexp(0, np.where(validation_y == 1, -logits, logits))))
        candidates.append(
            (accuracy, -loss, Logistic(weights=weights, intercept=intercept, l2=l2, validation_accuracy=accuracy))
        )
    return max(candidates, key=lambda candidate: candidate[:2])[2]


def _check(x: Matrix, y: NDArray, validation_x: Matrix, place: str) -> None:
    for split, values in (("training", x), ("validation", validation_x)):
        if not len(values):
            raise BadInput(
                f"the {split} split has no rows",
                place=place,
                fix="take more rows, or check the column that splits them",
            )
        if not np.isfinite(values).all():
            row, column = (int(where[0]) for where in np.nonzero(~np.isfinite(values)))
            raise BadInput(
                f"a value that is not finite ({values[row, column]})",
                place=f"{place}, {split} row {row}, column {column}",
                fix="look at that row's values or text; no model can be fitted to it",
            )
    check_two_classes(y, place=place)


def check_two_classes(labels: NDArray, *, place: str) -> None:
    """Raise BadInput where all training rows are of one class: nothing can be learned from those."""
    classes = np.unique(labels)
    if len(classes) < 2:
        only = f"all {len(labels)} training rows have the label {classes[0]}" if len(classes) else "no training rows"
        raise BadInput(
            only,
            place=place,
            fix="check the label's positive value in the schema, or take more rows: a classifier needs both classes",
        )


def _numbers(table: pa.Table, name: str) -> Matrix:
    return table[name].cast(pa.float64()).to_numpy()
