"""What thresholds of several gates would do together: exactly, on a grid of quantiles of the risks.

Notable: a row's output depends only on where each of its risks lies among a gate's thresholds. So rows are counted once
for each subset of open gates, by cell and by their place on the grid; cumulative sums along each axis, from below where
a gate is shut and from above where it is open, give the counts at every point of the grid. No pass over rows per point.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.errors import BadInput
from equiray.mitigation.gating.outcomes import CLOSED, MOST_CACHED, OPEN, GatedOutcomes
from equiray.mitigation.gating.thresholds import Cells, Masses, Sweep, collect

POINTS = {1: 200, 2: 200, 3: 34}
"""Thresholds of each gate on a grid, by the number of gates: 40,000 points or fewer."""


def quantile_thresholds(risk: NDArray[np.float32], points: int) -> NDArray[np.float32]:
    """At most `points` thresholds of one gate, ascending, [T].

    `OPEN`, quantiles of the known risks [N] (each a risk that occurs), `CLOSED`; every distinct risk where they are
    few enough.
    """
    if points < 2:
        raise ValueError(f"{points} thresholds: an open and a shut gate are two")
    known = risk[~np.isnan(risk)]
    if not len(known):
        return np.array([CLOSED])
    distinct = np.unique(known)[:-1]  # above the highest a gate is shut
    if len(distinct) > points - 2:
        levels = np.arange(1, points - 1) / (points - 1)
        distinct = np.unique(np.quantile(known, levels, method="inverted_cdf"))
    return np.concatenate([[OPEN], distinct, [CLOSED]], dtype=np.float32)


def sweep_grid(outcomes: GatedOutcomes, attribute: str, *, fewest_rows: int = 1, points: int | None = None) -> Sweep:
    """Two gates on a grid of 200 x 200 quantiles of their risks; one gate at 200, three on 34 x 34 x 34.

    Parameters
    ----------
    outcomes : GatedOutcomes
    attribute : str
        Attribute or intersection whose groups are compared.
    fewest_rows : int
        Cells with fewer do not count for `Sweep.worst_cell`.
    points : int, optional
        Thresholds of each gate; default: `POINTS`.

    Raises
    ------
    BadInput
        There are more than `MOST_CACHED` gates, or no groups of that attribute.
    """
    gates = len(outcomes.attributes)
    if gates > MOST_CACHED:
        raise BadInput(
            f"{gates} gates have {1 << gates} outputs a row, which are computed on demand and not for a whole grid",
            place="sweep of a grid of thresholds",
            fix="name the thresholds to look at (`sweep_at`), or sweep some gates with the others shut (`alone`)",
        )
    cells = Cells.of(outcomes, attribute)
    axes = [quantile_thresholds(risk, points or POINTS[gates]) for risk in outcomes.risk.T]
    masses = counted_on_grid(outcomes, cells, axes, opened_by(outcomes.risk, axes))
    found = collect(outcomes, attribute, cells, iter([masses]), fewest_rows)
    return replace(found, shape=tuple(len(axis) for axis in axes))


def sweep_at(outcomes: GatedOutcomes, attribute: str, thresholds: ArrayLike, *, fewest_rows: int = 1) -> Sweep:
    """Some thresholds [T, A] of any number of gates, one pass over the rows for each.

    Raises
    ------
    BadInput
        Thresholds do not fit the gates, need outputs that were not computed, or there are no such groups.
    """
    cells = Cells.of(outcomes, attribute)
    taus = np.asarray(thresholds, dtype=np.float32).reshape(-1, len(outcomes.attributes))
    decided = [cells.code[outcomes.decided(tau) > 0.5] for tau in taus]
    positive = np.stack([np.bincount(codes, minlength=cells.rows.size) for codes in decided], axis=1)
    opened = np.array([np.count_nonzero(outcomes.opened(tau).any(1)) for tau in taus])
    masses = Masses(taus, cells.mass(positive), opened)
    return collect(outcomes, attribute, cells, iter([masses]), fewest_rows)


def opened_by(risk: NDArray[np.float32], axes: Sequence[NDArray[np.float32]]) -> NDArray[np.int64]:
    """How many of each gate's thresholds open it for each row, [N, A]: the first so many, as they ascend."""
    return np.stack(
        [
            np.where(np.isnan(column), 0, np.searchsorted(axis, column))
            for column, axis in zip(risk.T, axes, strict=True)
        ],
        axis=1,
    )


def counted_on_grid(
    outcomes: GatedOutcomes, cells: Cells, axes: Sequence[NDArray[np.float32]], opened: NDArray[np.int64]
) -> Masses:
    """Counts at every point of the grid of thresholds, the last gate's changing fastest; `opened` from `opened_by`."""
    shape = tuple(len(axis) + 1 for axis in axes)
    place = np.asarray(np.ravel_multi_index(tuple(opened.T), shape))
    size = math.prod(shape)
    positive = np.zeros((cells.rows.size, *(len(axis) for axis in axes)), np.int64)
    for subset, probability in enumerate(outcomes.probability.T):
        rows = probability > 0.5
        counts = np.bincount(cells.code[rows] * size + place[rows], minlength=cells.rows.size * size)
        positive += _over_grid(counts.reshape(-1, *shape), subset)
    shut = _over_grid(np.bincount(place, minlength=size).reshape(1, *shape), 0)
    points = np.array(list(product(*axes)), dtype=np.float32)
    return Masses(points, cells.mass(positive.reshape(len(positive), -1)), outcomes.rows - shut.reshape(-1))


def _over_grid(counts: NDArray[np.int64], subset: int) -> NDArray[np.int64]:
    """Rows at each point of the grid that have just this subset of gates open, [C, T + 1, ...] -> [C, T, ...].

    A row at place b of an axis has its gate open at points 0 to b - 1.
    """
    for axis in range(1, counts.ndim):
        shut_up_to = counts.cumsum(axis)
        within = [slice(None)] * axis + [slice(-1)]
        if subset >> (axis - 1) & 1:
            shut_up_to = shut_up_to.take([-1], axis) - shut_up_to
        counts = shut_up_to[tuple(within)]
    return counts
