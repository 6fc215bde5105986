"""Two methods on the same rows, each trained several times: how the accuracy of every cell changes, and of the worst.

Notable: rows are the sample. What varies from row to row is the share of trainings that decide it right, so limits are
those of means of such shares, for these trainings as they are; the range over trainings stands beside them. The worst
cell is the worst of the mean: it is one cell, not each training's own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.metrics.intervals.limits import Interval, Limits, Moments
from equiray.metrics.intervals.means import mean_interval
from equiray.metrics.intervals.shifts import Shifts, shift_interval

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CellChanges:
    """Accuracies of C cells under two methods, the second less the first, all limits holding together.

    Attributes
    ----------
    rows : int64 [C]
    first, second, change, low, high : float64 [C]
        NaN for a cell without rows.
    worst : float
        Change of the lowest accuracy of any cell; `worst_limits` are its limits.
    """

    rows: NDArray[np.int64]
    first: Array
    second: Array
    low: Array
    high: Array
    worst_limits: Limits

    @property
    def change(self) -> Array:
        return self.second - self.first

    @property
    def worst(self) -> float:
        if np.isnan(self.first).any():
            return float("nan")
        return float(self.second.min() - self.first.min())


def accuracy_change(first: ArrayLike, second: ArrayLike, confidence: float) -> tuple[float, Limits]:
    """Change of the accuracy over all rows, and its limits.

    Parameters
    ----------
    first, second : bool [S, N]
        Whether each of S trainings of a method decides each of N rows right.
    confidence : float
    """
    shift = _shifts(_right(second) - _right(first), np.zeros(np.shape(first)[-1], np.int64), 1)
    low, high = shift_interval(shift, confidence)
    return float(shift.mean[0]), Limits(float(low[0]), float(high[0]))


def cell_changes(
    first: ArrayLike, second: ArrayLike, cell: NDArray[np.int64], cells: int, confidence: float
) -> CellChanges:
    r"""Changes of every cell's accuracy and of the worst one's, with limits that hold for all at once (Bonferroni).

    The worst cell's accuracy, :math:`\min_c a'_c - \min_c a_c`, is at least
    :math:`\min_c \max(a'_c - a_c, a'_c - \min_d a_d)` with any limits of these put in: a cell that has improved by
    less than another may still be far above what the worst one was. Upwards likewise, with the methods swapped.

    Parameters
    ----------
    first, second : bool [S, N]
        Whether each of S trainings of a method decides each of N rows right.
    cell : int64 [N]
        Each row's cell, 0 to `cells` - 1.
    cells : int
    confidence : float

    Returns
    -------
    CellChanges
        Limits of the worst are NaN where a cell has no rows.
    """
    before, after = _right(first), _right(second)
    rows = np.bincount(cell, minlength=cells)
    each = 1 - (1 - confidence) / (3 * cells)  # of every cell: its accuracy before, after, and the change
    levels = [mean_interval(_moments(of, cell, cells), each) for of in (before, after)]
    low, high = shift_interval(_shifts(after - before, cell, cells), each)
    shares = [_means(of, cell, rows) for of in (before, after)]
    if rows.min() == 0:
        worst = Limits(float("nan"), float("nan"))
    else:
        one, other = levels
        worst = Limits(_at_least(low, other, one), -_at_least(-high, one, other))
    return CellChanges(rows=rows, first=shares[0], second=shares[1], low=low, high=high, worst_limits=worst)


def _at_least(change: Array, second: Interval, first: Interval) -> float:
    return float(np.maximum(change, second.low - first.high.min()).min())


def _right(decided: ArrayLike) -> Array:
    return np.asarray(decided, dtype=np.float64).mean(0)


def _means(values: Array, cell: NDArray[np.int64], rows: NDArray[np.int64]) -> Array:
    with np.errstate(invalid="ignore"):
        return np.bincount(cell, values, len(rows)) / rows


def _moments(values: Array, cell: NDArray[np.int64], cells: int) -> Moments:
    rows, total, squares = (np.bincount(cell, of, cells) for of in (values**0, values, values**2))
    return Moments(rows, total, squares, 0, 1)


def _shifts(values: Array, cell: NDArray[np.int64], cells: int) -> Shifts:
    sums = (np.bincount(cell, of, cells) for of in (values**0, values, np.abs(values), values**2))
    return Shifts(*sums)
