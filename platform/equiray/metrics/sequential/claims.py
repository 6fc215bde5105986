"""`Claims`: what one series says about the rates of its cells, as inequalities that a decision can count against."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_CELL = -1


@dataclass(frozen=True, kw_only=True)
class Claims:
    """A claims about C rates p, of which each reads ``scale[i] p[up[i]] - p[down[i]] <= shift[i]``.

    With `NO_CELL` on one side, ``p[up[i]] <= shift[i]`` or ``-p[down[i]] <= shift[i]``: a rate's own bound.

    Attributes
    ----------
    cells : int
        C: the rates. A row of the stream belongs to one of them, or to none.
    up, down : int64 [A]
        Cells of either side.
    scale, shift : float64 [A]
    """

    cells: int
    up: NDArray[np.int64]
    down: NDArray[np.int64]
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]

    @property
    def paired(self) -> NDArray[np.bool_]:
        """Which compare two cells, bool [A]."""
        return (self.up != NO_CELL) & (self.down != NO_CELL)


def differences(cells: int, compared: Sequence[tuple[int, int]], bound: float) -> Claims:
    """|p - q| <= bound of each of these pairs of cells: a claim in either direction."""
    both = [pair for one, other in compared for pair in ((one, other), (other, one))]
    return _claims(cells, both, 1.0, bound)


def ratios(cells: int, compared: Sequence[tuple[int, int]], bound: float) -> Claims:
    """Of each of these pairs of cells, bound * p <= q and bound * q <= p."""
    both = [pair for one, other in compared for pair in ((one, other), (other, one))]
    return _claims(cells, both, bound, 0.0)


def at_most(cells: int, judged: Sequence[int], bound: float) -> Claims:
    """P <= bound of each of these cells."""
    return _claims(cells, [(cell, NO_CELL) for cell in judged], 1.0, bound)


def at_least(cells: int, judged: Sequence[int], bound: float) -> Claims:
    """P >= bound of each of these cells."""
    return _claims(cells, [(NO_CELL, cell) for cell in judged], 1.0, -bound)


def _claims(cells: int, pairs: Sequence[tuple[int, int]], scale: float, shift: float) -> Claims:
    up, down = np.array(pairs, np.int64).reshape(-1, 2).T
    return Claims(cells=cells, up=up, down=down, scale=np.full(len(up), scale), shift=np.full(len(up), float(shift)))
