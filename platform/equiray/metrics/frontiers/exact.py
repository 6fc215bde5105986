"""The exact frontier of one threshold a group: the best accuracy at every disparity, over all combinations."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.disparities import Disparity
from equiray.metrics.frontiers.curves import GroupCurve, Split, disparity_of, group_curves, lacking
from equiray.metrics.frontiers.rules import Chosen, Frontier, Step, Trade
from equiray.metrics.frontiers.search import SAME, Path, Starts, WindowSearch

MOST_STARTS = 2_000_000
"""Pairs of a true and a false positive rate from which equalized odds of three groups or more are searched.

Where more are conceivable, rates that lie close together share a start, and the frontier says that it is partial.
"""


def threshold_frontier(split: Split, metric: str) -> Frontier:
    """The best accuracy at every level of disparity that group-specific thresholds attain on a split.

    Every combination of the groups' distinct thresholds is considered, none is listed. What matters of a combination
    is that its rates lie in a window of width eps; in a given window each group takes its own most accurate threshold,
    a maximum over a range. With two groups a window stands around each threshold of the smaller one; with more it
    opens upwards from each of the M distinct rates (for equalized odds, from each pair of a true and a false positive
    rate). From wide to narrow, each answer's own disparity is the next width that must be asked for (`WindowSearch`).

    Cost: N starts (two groups: the fewer thresholds; else M, for equalized odds up to M^2), G groups, T thresholds.
    Preparation O(G T log T); a look at a start O(G log T); all are looked at once, and again only when they come
    first, in the worst case at each of the K steps: O(N K G log T). 65,536 rows of two groups without ties take under
    a second, of five groups some seconds.

    Parameters
    ----------
    split : Split
        The rows to choose on: validation rows, never those the result will be reported on.
    metric : str
        One of `FRONTIER_METRICS`; its rates must not fall as a threshold falls.

    Returns
    -------
    Frontier
        Kind ``thresholds``. ``not_estimable`` where a group has no denominator; ``partial`` where rows have no score,
        scores are counted on a grid (then it is exact over thresholds at the grid's edges), or equalized odds of three
        groups or more have over `MOST_STARTS` pairs of rates (then a point may be less fair than its accuracy allows,
        by no more than `reason` says).

    Raises
    ------
    BadInput
        Unknown metric; no scores, or not two classes.
    """
    disparity, curves = disparity_of(metric), group_curves(split)
    reason, caveats, points = lacking(split, curves, disparity), split.caveats, ()
    if not reason:
        paths = [Path(np.stack([curve.rate(rate) for rate in disparity.rates]), curve.correct) for curve in curves]
        axes = _axes(paths)
        points, caveats = _points(paths, curves, disparity, axes), [*caveats, *axes.caveats]
    return Frontier(
        metric=metric,
        attribute=split.table.attribute,
        groups=split.groups,
        kind="thresholds",
        chosen_on=split.name,
        fingerprint=split.fingerprint,
        points=points,
        status="not_estimable" if reason else "partial" if caveats else "estimated",
        reason=reason or "; ".join(caveats),
    )


class _Axes(NamedTuple):
    """The values of each rate from which windows open, ascending; and what was left out, in a sentence."""

    rates: list[NDArray[np.float64]]
    caveats: list[str]


def _axes(paths: list[Path]) -> _Axes:
    """Every rate that a threshold has, or so few of each that their pairs are no more than `MOST_STARTS`.

    Of rates in one cell the lowest is left: the window that opens from it, wider by a cell, holds all that a window
    from any other of them holds.
    """
    rates = [np.unique(np.concatenate(axis)) for axis in zip(*(path.rates for path in paths), strict=True)]
    pairs = math.prod(map(len, rates))
    if len(paths) == 2 or len(rates) == 1 or pairs <= MOST_STARTS:
        return _Axes(rates, [])
    # all of the shorter axis and what goes with them, or equally many where both are long; rate 1 is a cell of its own
    cells = max(math.isqrt(MOST_STARTS), MOST_STARTS // min(map(len, rates))) - 1
    kept = [axis[np.unique(np.floor(axis * cells), return_index=True)[1]] for axis in rates]
    caveat = (
        f"only {math.prod(map(len, kept)):,} of {pairs:,} pairs of rates were searched: every point is attained, but "
        f"its accuracy may be had with a disparity lower by up to {1 / cells:.2g}"
    )
    return _Axes(kept, [caveat])


def _points(paths: list[Path], curves: list[GroupCurve], disparity: Disparity, axes: _Axes) -> tuple[Chosen, ...]:
    rows = sum(curve.rows for curve in curves)
    found: list[Chosen] = []
    ask, width = _two_groups(paths) if len(paths) == 2 else _many_groups(paths, axes.rates), 1.0
    while width >= 0 and (picks := ask(width)) is not None:
        at = np.stack([path.rates[:, pick] for path, pick in zip(paths, picks, strict=True)], axis=-1)
        correct = sum(float(path.correct[pick]) for path, pick in zip(paths, picks, strict=True))
        rule = tuple((Step(float(c.thresholds[pick]), 1.0),) for c, pick in zip(curves, picks, strict=True))
        trade = Trade(float(disparity.of_rates(list(at))), correct / rows)
        if found and trade.accuracy >= found[-1].on_choice.accuracy - SAME:
            found.pop()  # as accurate, and fairer
        found.append(Chosen(rule, trade))
        width = trade.disparity - 3 * SAME  # the widest that this combination does not fit into
    return tuple(reversed(found))


_Picks = tuple[int, ...]


def _two_groups(paths: list[Path]) -> Callable[[float], _Picks | None]:
    """Picks of both groups: a window around each threshold of the one with fewer, in the other."""
    pivot = min((0, 1), key=lambda g: len(paths[g].correct))
    search = WindowSearch(
        [paths[1 - pivot]], Starts(corner=paths[pivot].rates, base=paths[pivot].correct, both_sides=True)
    )

    def ask(width: float) -> _Picks | None:
        best = search.best(width)
        picks = None if best is None else (best.start, *best.picks)
        return picks if picks is None or pivot == 0 else picks[::-1]

    return ask


def _many_groups(paths: list[Path], axes: list[NDArray[np.float64]]) -> Callable[[float], _Picks | None]:
    """Picks of all groups: a window that opens upwards from each rate, or pair of rates, on the axes."""
    corner = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")])
    search = WindowSearch(paths, Starts(corner=corner, base=np.zeros(corner.shape[1]), both_sides=False))

    def ask(width: float) -> _Picks | None:
        best = search.best(width)
        return None if best is None else best.picks

    return ask
