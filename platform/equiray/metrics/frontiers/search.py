"""The search behind the exact frontier: the best picks in a window of rates, for every width of the window.

Notable: nothing is gridded. A start is a place where the groups' rates may begin, its width the disparity allowed.
The best value of a start never grows as its width shrinks, so from wide to narrow every value found earlier is an
upper bound later: a start is looked at again only when its bound comes first, and most seldom do.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SAME = 1e-12
"""Rates and disparities closer than this are the same: rounding of quotients of counts is some 1e-16."""

_FEWEST = 64  # starts looked at together: numpy's overhead is that of some hundred


class Path(NamedTuple):
    """One group's thresholds: `rates` [D, T], each row never falling, and the mass decided correctly [T]."""

    rates: NDArray[np.float64]
    correct: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Starts:
    """N places from which a window opens: a threshold is in it where its rates lie within `corner` [D, N] + width.

    `both_sides` opens the window downwards as well. `base` [N] is correct whatever the window holds.
    """

    corner: NDArray[np.float64]
    base: NDArray[np.float64]
    both_sides: bool


class Best(NamedTuple):
    """The start whose window holds the most correct rows, how many, and each path's pick in it."""

    value: float
    start: int
    picks: tuple[int, ...]


class WindowSearch:
    """Best picks, one a path, in windows that open from `starts` and shrink from question to question."""

    def __init__(self, paths: list[Path], starts: Starts) -> None:
        self._paths, self._starts = paths, starts
        self._maxima = [_RangeMaximum(path.correct) for path in paths]
        self._bounds = np.full(len(starts.base), np.inf)  # the value of each start at a width it was last looked at
        self._widths = np.full(len(starts.base), np.inf)

    def best(self, width: float) -> Best | None:
        """The best of all windows of a width, which must not exceed that of the question before; None if all lack."""
        size = _FEWEST
        while True:
            size = min(size, len(self._bounds))
            first = np.argpartition(self._bounds, -size)[-size:]
            top = int(first[self._bounds[first].argmax()])
            if self._widths[top] == width:
                break
            stale = first[self._widths[first] > width]
            self._bounds[stale], self._widths[stale] = self._values(stale, width), width
            size = 2 * size if len(stale) == size else _FEWEST
        if np.isneginf(self._bounds[top]):
            return None
        return Best(float(self._bounds[top]), top, self._picks(top, width))

    def _values(self, starts: NDArray, width: float) -> NDArray:
        total = self._starts.base[starts]
        for path, maxima in zip(self._paths, self._maxima, strict=True):
            total = total + maxima.over(*self._window(path, starts, width))
        return total

    def _window(self, path: Path, starts: NDArray, width: float) -> tuple[NDArray, NDArray]:
        """First threshold in the window of each start, and the first behind it."""
        corner = self._starts.corner[:, starts]
        floor = corner - (width if self._starts.both_sides else 0.0) - SAME
        first = [np.searchsorted(*pair, "left") for pair in zip(path.rates, floor, strict=True)]
        behind = [np.searchsorted(*pair, "right") for pair in zip(path.rates, corner + width + SAME, strict=True)]
        return np.maximum.reduce(first), np.minimum.reduce(behind)

    def _picks(self, start: int, width: float) -> tuple[int, ...]:
        picks = []
        for path in self._paths:
            first, behind = (int(end[0]) for end in self._window(path, np.array([start]), width))
            picks.append(first + int(path.correct[first:behind].argmax()))
        return tuple(picks)


class _RangeMaximum:
    """Maxima of a sequence over ranges, each in constant time after O(T log T) preparation (a sparse table)."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._table = [values]
        while 2 ** len(self._table) <= len(values):
            half, last = 2 ** (len(self._table) - 1), self._table[-1]
            self._table.append(np.maximum(last[:-half], last[half:]))
        padded = [np.pad(level, (0, len(values) - len(level))) for level in self._table]
        self._flat, self._stride = np.concatenate(padded), len(values)

    def over(self, first: NDArray, behind: NDArray) -> NDArray[np.float64]:
        """The maximum over [first, behind), minus infinity where that is empty."""
        length = behind - first
        level = np.frexp(np.maximum(length, 1))[1] - 1  # floor of the binary logarithm, exact
        row = level * self._stride
        left = np.minimum(first, self._stride - 1)
        right = np.maximum(behind - (1 << level), 0)
        found = np.maximum(self._flat[row + left], self._flat[row + right])
        return np.where(length > 0, found, -np.inf)
