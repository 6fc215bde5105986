"""The columns one calculates with: scores, weights, real-valued targets, each value checked."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.data.row_blocks import ColumnRows
from equiray.errors import BadInput
from equiray.metrics.counting.encoding import Place, numbers
from equiray.metrics.counting.layout import Columns, Layout
from equiray.metrics.counting.summing import LARGEST

_Real = NDArray[np.float64]
_Mask = NDArray[np.bool_]


class Measures(NamedTuple):
    """Float64 [n] each, None where the layout has none; a score is NaN where a row has none."""

    score: _Real | None
    weight: _Real | None
    target: _Real | None
    prediction: _Real | None


def read_measures(
    table: ColumnRows, layout: Layout, columns: Columns, unanswered: _Mask | None, place: Place
) -> Measures:
    """Read and check them; `unanswered` [n] marks rows without a prediction, None where each has one.

    Raises
    ------
    BadInput
        A score is outside [0, 1] or missing beside a prediction, a weight is negative, missing or not finite, a target
        or its prediction is missing or not finite; names the rows.
    """
    score = weight = target = prediction = None
    if columns.score is not None:
        score = _scores(table, columns.score, unanswered, place)
    if columns.weight is not None:
        weight = _finite(table, columns.weight, "weight", place)
        _refuse(weight < 0, weight, "weight {} is negative", columns.weight, place, "give weights of 0 or more")
    if layout.real_valued:
        target = _finite(table, columns.label, "target", place)
        prediction = _finite(table, columns.prediction, "prediction", place)
    return Measures(score, weight, target, prediction)


def _scores(table: ColumnRows, column: str, unanswered: _Mask | None, place: Place) -> _Real:
    score, missing = numbers(table[column], column, place)
    outside = (score < 0) | (score > 1)
    _refuse(outside, score, "score {} is outside [0, 1]", column, place, "give probabilities of the positive class")
    if missing is not None:
        bare = missing if unanswered is None else missing & ~unanswered
        fix = "fill it in, or leave the prediction of that row empty, too"
        _refuse(bare, score, "a score is missing (null or NaN) beside a prediction", column, place, fix)
    return score


def _finite(table: ColumnRows, column: str, what: str, place: Place) -> _Real:
    values, missing = numbers(table[column], column, place)
    if missing is not None:
        fix = "fill it in or leave the row out: it would be unclear how to count it"
        _refuse(missing, values, f"a {what} is missing (null or NaN)", column, place, fix)
    fix = f"mend the value, or write all of them in a larger unit: at most {LARGEST:g} is taken"
    huge = (values > LARGEST) | (values < -LARGEST)
    _refuse(huge, values, f"{what} {{}} is infinite or too large to be squared and summed", column, place, fix)
    return values


def _refuse(bad: _Mask, values: _Real, problem: str, column: str, place: Place, fix: str) -> None:
    if bad.any():
        first = float(values[np.argmax(bad)])
        raise BadInput(problem.format(f"{first:g}"), place=place.rows(bad, column), fix=fix)
