"""Points of a sweep: where they come from, and which of them are the front."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.fronts import nondominated
from equiray.search.ledger import Entry
from equiray.search.suggesting import covered
from equiray.specs.sweep import SweepSpec

Arrays = Mapping[str, NDArray[Any]]
"""What a model said of the rows of a split, by name."""

BASE = -1
"""Stands for the number of a trial where there is none: the unmitigated model."""

MOST_OF_TRIAL = 40
"""Points of one trial that go on to the test rows, at most; they are those that cover the most hypervolume."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A model that can be chosen: a trial (or `BASE`), and the settings that cost none, of each gate for one."""

    id: str
    trial: int
    free: tuple[float, ...] = ()
    name: str | None = None


def front_of(spec: SweepSpec, entries: Sequence[Entry]) -> list[Point]:
    """Non-dominated points of all whole trials that keep every constraint, best first objective first.

    Of equal ones that of the trial with the lowest number is kept, whichever was finished first.
    """
    owners: list[tuple[int, int]] = []
    values: list[Sequence[float]] = []
    free: list[Sequence[float]] = []
    for entry in sorted(entries, key=lambda entry: entry.trial.number):
        if entry.status != "done" or entry.outcome is None:
            continue
        for place in range(len(entry.outcome.values)):
            owners.append((entry.trial.number, place))
            values.append(entry.outcome.values[place])
            free.append(entry.outcome.free[place])
    if not values:
        return []
    table = np.asarray(values, dtype=np.float64)
    kept = np.flatnonzero(nondominated(table, spec.directions))
    sign = -1 if spec.objectives[0].direction == "higher" else 1
    ordered = kept[np.argsort(sign * table[kept, 0], kind="stable")]
    return [
        Point(id=f"t{owners[place][0]}p{owners[place][1]}", trial=owners[place][0], free=tuple(free[place]))
        for place in ordered.tolist()
    ]


def thinned(spec: SweepSpec, values: NDArray[np.float64], most: int = MOST_OF_TRIAL) -> NDArray[np.int64]:
    """Places of at most so many points [K, M] of a front: one after the other what adds the most hypervolume.

    Points that cover none beyond the reference are left out as long as others are there.
    """
    if len(values) <= most:
        return np.arange(len(values))
    chosen: list[int] = []
    for _ in range(most):
        rest = [place for place in range(len(values)) if place not in chosen]
        gains = [covered(spec, values[[*chosen, place]]) for place in rest]
        chosen.append(rest[int(np.argmax(gains))])
    return np.sort(np.array(chosen))


def best_of(spec: SweepSpec, values: NDArray[np.float64]) -> int:
    """The point [K, M] that covers the most hypervolume by itself; the first of several."""
    return int(np.argmax([covered(spec, values[[place]]) for place in range(len(values))]))
