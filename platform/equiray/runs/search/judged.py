"""From the figures of a trial's points to its outcome: which keep the constraints, and which of these are its front."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.fronts import nondominated
from equiray.runs.search.points import best_of, thinned
from equiray.search.study import Outcome
from equiray.specs.sweep import SweepSpec

Figures = Mapping[str, NDArray[np.float64]]
"""Metric -> its value at each of K points; NaN is not estimable."""


def judged(spec: SweepSpec, figures: Figures, free: NDArray[np.float64], base: Mapping[str, float]) -> Outcome:
    """What a trial's points [K] with free settings [K, A] come to.

    A point whose objectives are not all estimable is none. Of many points of a front those are kept that together
    cover nearly all of its hypervolume (`thinned`).
    """
    values = np.column_stack([figures[each.metric] for each in spec.objectives])
    excess = _excess(spec, figures, base)
    known = np.isfinite(values).all(axis=1)
    kept = np.flatnonzero(known & (excess <= 0).all(axis=1))
    if not len(kept):
        nearest = int(np.argmin(np.where(known, np.maximum(excess, 0).sum(axis=1), math.inf)))
        broken = {
            each.name: float(by) for each, by in zip(spec.constraints, excess[nearest], strict=True) if by > 0
        } or {"every objective can be estimated": math.inf}
        return Outcome(values=[], free=[], best=_at(figures, nearest), broken=broken)
    directions = spec.directions
    front = kept[nondominated(values[kept], directions)]
    front = front[thinned(spec, values[front])]
    best = int(front[best_of(spec, values[front])])
    return Outcome(values=values[front].tolist(), free=free[front].tolist(), best=_at(figures, best), broken={})


def _excess(spec: SweepSpec, figures: Figures, base: Mapping[str, float]) -> NDArray[np.float64]:
    """By how much each point breaks each constraint, [K, C]."""
    count = len(next(iter(figures.values())))
    columns = [
        [each.excess(value, base.get(each.metric)) for value in figures[each.metric].tolist()]
        for each in spec.constraints
    ]
    return np.array(columns).T.reshape(count, len(spec.constraints))


def _at(figures: Figures, place: int) -> dict[str, float]:
    return {metric: float(values[place]) for metric, values in figures.items()}
