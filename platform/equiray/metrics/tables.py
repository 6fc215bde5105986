"""What metrics read: counts of one attribute's groups, by label, prediction and score.

Notable: a metric is a function of an array ``mass[..., G, K, P]`` (group x label x prediction), so the same ten lines
serve counts, sums of weights, and any number of bootstrap replicates in the leading axes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MISSING = "(missing)"
"""The group of rows whose sensitive value is missing: shown like any other, last in order."""

UNANSWERED = ("(refused)", "(unparsed)")
"""The two last places of the prediction axis: no decision, as the model refused or its answer was not understood."""

CALIBRATION_BINS = 10
"""Equal-width bins [0, .1), ... [.9, 1] of the expected calibration error."""


class Mass(NamedTuple):
    """Rows of each cell [G, K, K + 2], and with weights their sums.

    The label axis has the K classes, the prediction axis the K classes and `UNANSWERED`.
    """

    count: NDArray[np.int64]  # pyright: ignore[reportIncompatibleMethodOverride]  # nobody counts in a tuple of arrays
    weight: NDArray[np.float64] | None = None
    weight_squared: NDArray[np.float64] | None = None


class ScoreCounts(NamedTuple):
    """Scores of the positive class, exact or on a grid.

    `values` float64 [S] ascending: the distinct scores, or where there were too many the lower edges of a grid;
    `count` int64 [G, K, S], and with weights their sums and those of their squares, float64 [G, K, S].
    """

    values: NDArray[np.float64]
    exact: bool
    count: NDArray[np.int64]  # pyright: ignore[reportIncompatibleMethodOverride]
    weight: NDArray[np.float64] | None = None
    weight_squared: NDArray[np.float64] | None = None


class ScoreSums(NamedTuple):
    """Exact sums of scores s where bins would round, over rows that have one, weighted where rows have weights.

    `rows` [G, K, B] sums 1 (or w), `score` [G, K, B] sums s, `score_squared` [G, K, B] sums s^2; B calibration bins.
    """

    rows: NDArray[np.float64]
    score: NDArray[np.float64]
    score_squared: NDArray[np.float64]


class TargetSums(NamedTuple):
    """Sums of a real-valued target y and its prediction f by group, each [G]: for MAE, RMSE, mean difference.

    `rows` sums 1 (or w), `target` y, `prediction` f, and so on. Of `prediction_squared`, sums of f^2, and
    `squared_error_squared`, of (f - y)^4, limits are made. `counted` counts rows. With weights each is a sum of w times
    that; of w^2 times 1, f, |f - y| and so on are those that end in ``w2`` and `weight_squared`.
    """

    rows: NDArray[np.float64]
    target: NDArray[np.float64]
    prediction: NDArray[np.float64]
    absolute_error: NDArray[np.float64]
    squared_error: NDArray[np.float64]
    prediction_squared: NDArray[np.float64]
    squared_error_squared: NDArray[np.float64]
    weight_squared: NDArray[np.float64]
    prediction_w2: NDArray[np.float64]
    absolute_error_w2: NDArray[np.float64]
    squared_error_w2: NDArray[np.float64]
    prediction_squared_w2: NDArray[np.float64]
    squared_error_squared_w2: NDArray[np.float64]
    counted: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class GroupTable:
    """Counts of one attribute (``sex``) or intersection (``race*sex``), marginalised from one base table.

    `groups` in declared order, `MISSING` last where rows have it; `classes` of labels and predictions, for a binary
    decision ``("0", "1")`` with the positive one last. A classification table has `mass`, and `scores` and
    `score_sums` where rows have scores; a real-valued one has `targets` alone.
    """

    attribute: str
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    mass: Mass | None = None
    scores: ScoreCounts | None = None
    score_sums: ScoreSums | None = None
    targets: TargetSums | None = None


@dataclass(frozen=True, kw_only=True)
class JointTable:
    """Counts of the same rows decided by two models, by the groups of an attribute or intersection.

    `mass` [G, K, P, P]: rows by group, label, first model's and second model's prediction, P = K + 2. Else as
    `GroupTable`.
    """

    attribute: str
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    mass: Mass
