"""Points with several objectives: which are non-dominated, how much they dominate, and which one to pick.

Notable: every function takes values [P, M] and one direction for each objective, as the catalogue has them: ``lower``,
``higher``, or ``zero`` for what is best near 0, such as a signed gap. A point with a value that is not estimable (NaN)
neither is on a front nor dominates another.
"""

from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.metrics.estimates import Direction

Array = NDArray[np.float64]
Directions = Sequence[Direction]

_ROUNDING = 1e-12  # of sums and differences of scaled figures


def costs(values: ArrayLike, directions: Directions) -> Array:
    """Values [..., M] turned so that less is better in each objective.

    Raises
    ------
    ValueError
        There is not one direction for each objective, or one of them does not order values.
    """
    turned = np.array(values, dtype=np.float64)
    if turned.ndim < 1 or turned.shape[-1] != len(directions) or not directions:
        raise ValueError(f"values of shape {turned.shape} need one direction for each objective, not {directions}")
    for objective, direction in enumerate(directions):
        column = turned[..., objective]
        if direction == "higher":
            turned[..., objective] = -column
        elif direction == "zero":
            turned[..., objective] = np.abs(column)
        elif direction != "lower":
            raise ValueError(f"direction {direction!r}: an objective is lower, higher or zero")
    return turned


def nondominated(values: ArrayLike, directions: Directions, *, keep_equal: bool = False) -> NDArray[np.bool_]:
    """Which points [P] of values [P, M] are on the front: no other is as good in all objectives and better in one.

    Of points that are equal in all objectives the first alone is kept, or with `keep_equal` all.
    """
    cost = costs(values, directions)
    front = np.all(~np.isnan(cost), axis=-1, keepdims=True)[:, 0]
    front[front] = moocore.is_nondominated(cost[front], keep_weakly=keep_equal)
    return front


def hypervolume(values: ArrayLike, reference: ArrayLike, directions: Directions) -> float:
    """Volume between the points [P, M] and a reference point [M] (Zitzler and Thiele 1999); higher is better.

    It is in the product of the objectives' units. A point that is not better than the reference in every objective adds
    nothing; 0 without points.

    Raises
    ------
    ValueError
        The reference point is not a finite number in each objective.
    """
    cost, limit = costs(values, directions), costs(reference, directions)
    if limit.shape != cost.shape[-1:] or not np.isfinite(limit).all():
        raise ValueError(f"reference {reference}: give one finite number for each of {cost.shape[-1]} objectives")
    return dominated_volume(cost, limit)


def dominated_volume(cost: Array, limit: Array) -> float:
    """`hypervolume` of `costs` [P, M] below the reference point's [M]."""
    return float(moocore.hypervolume(cost[(cost < limit).all(-1)], ref=limit))


def knee(values: ArrayLike, directions: Directions) -> int:
    """The point of the front [P, M] that lies furthest below the plane through the front's extremes.

    Each objective is scaled to the front's own range, best 0 and worst 1. The plane cuts every axis at 1: with two
    objectives it is the line through the two extremes (Das 1999), with more the plane through the points that are worst
    in one objective and best in the others. The furthest below it has the smallest sum of scaled objectives. Ties go to
    the point given first; where no point lies below the plane, that is one on it.

    Raises
    ------
    ValueError
        No point is estimable in all objectives.
    """
    cost = costs(values, directions)
    front = _front(values, directions)
    best, worst = cost[front].min(0), cost[front].max(0)
    scaled = (cost[front] - best) / np.where(worst > best, worst - best, 1)
    return _first_smallest(front, scaled.sum(-1))


def fairest_within(values: ArrayLike, directions: Directions, *, quality: int, fairness: int, within: float) -> int:
    """The point [P, M] with the best fairness among those whose quality is within some amount of the best.

    Parameters
    ----------
    values : [P, M]
    directions : sequence of M directions
    quality, fairness : int
        Places of the two objectives, such as accuracy and equalized odds difference.
    within : float
        By how much quality may be worse than the best of any point on the front, in its own unit: .005 is half a point
        of accuracy.

    Returns
    -------
    int
        Of equally fair points the one with the best quality, and of those the first on the front.

    Raises
    ------
    ValueError
        `within` is below 0, or no point is estimable in all objectives.
    """
    if not within >= 0:
        raise ValueError(f"within {within}: give an amount of at least 0")
    cost = costs(values, directions)
    front = _front(values, directions)
    allowed = front[cost[front, quality] <= cost[front, quality].min() + within + _ROUNDING]
    fair = cost[allowed, fairness]
    fairest = allowed[fair <= fair.min() + _ROUNDING]
    return _first_smallest(fairest, cost[fairest, quality])


def _front(values: ArrayLike, directions: Directions) -> NDArray[np.intp]:
    places = np.flatnonzero(nondominated(values, directions))
    if not len(places):
        raise ValueError("no point is estimable in all objectives")
    return places


def _first_smallest(places: NDArray[np.intp], of: Array) -> int:
    return int(places[of <= of.min() + _ROUNDING][0])
