"""Two gates together: a figure at every pair of their thresholds as a map, in steps of one colour.

Notable: a map is a path for each step, of runs of alike places, so that 200 x 200 pairs stay a small page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from equiray.reports.axes import Tick
from equiray.reports.fairnet.trainings import Figure, Grid, Threshold
from equiray.reports.words import attribute_words, number

_STEPS = 8
_TICKS = 5


class Step(NamedTuple):
    """Places whose figure is from `low` to `high`; `path` in units of places, `opacity` of the colour."""

    low: str
    high: str
    opacity: float
    path: str


@dataclass(frozen=True, kw_only=True)
class MapChart:
    """A figure over two axes of thresholds; the chosen pair at `x`, `y` in percent from the left and from the top."""

    title: str
    wide: int
    deep: int
    steps: tuple[Step, ...]
    x: float
    y: float
    spoken: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def grid_maps(grid: Grid) -> list[MapChart]:
    """The worst cell and accuracy; a figure that is estimable nowhere has no map."""
    named = {"Worst cell": grid.worst_cell, "Accuracy": grid.accuracy}
    return [
        _map(grid, title, plane) for title, plane in named.items() if any(v is not None for row in plane for v in row)
    ]


def _map(grid: Grid, title: str, plane: Sequence[Sequence[Figure]]) -> MapChart:
    wide, deep = (len(axis) for axis in grid.thresholds)
    values = [value for row in plane for value in row if value is not None]
    low, width = min(values), (max(values) - min(values)) / _STEPS
    # rows of the drawing run from the top, where the second gate's threshold is highest
    drawn = [[_step(plane[x][deep - 1 - y], low, width) for x in range(wide)] for y in range(deep)]
    found = plane[grid.chosen[0]][grid.chosen[1]]
    x_gate, y_gate = map(attribute_words, grid.gates)
    return MapChart(
        title=title,
        wide=wide,
        deep=deep,
        steps=tuple(
            Step(
                number(low + step * width),
                number(low + (step + 1) * width),
                round((step + 1) / _STEPS, 3),
                _path(drawn, step),
            )
            for step in range(_STEPS if width else 1)
        ),
        x=round(100 * (grid.chosen[0] + 0.5) / wide, 2),
        y=round(100 - 100 * (grid.chosen[1] + 0.5) / deep, 2),
        spoken=f"chosen thresholds: {title.lower()} {number(found)}",
        x_label=f"threshold of {x_gate}",
        y_label=f"threshold of {y_gate}",
        x_ticks=_ticks(grid.thresholds[0]),
        y_ticks=tuple(Tick(round(100 - at, 2), label) for at, label in _ticks(grid.thresholds[1])),
    )


def _step(value: Figure, low: float, width: float) -> int:
    """-1 where it is not estimable."""
    if value is None:
        return -1
    return min(int((value - low) / width), _STEPS - 1) if width else 0


def _path(drawn: Sequence[Sequence[int]], step: int) -> str:
    parts = []
    for y, row in enumerate(drawn):
        x = 0
        for found, places in groupby(row):
            count = len(list(places))
            if found == step:
                parts.append(f"M{x} {y}h{count}v1h-{count}z")
            x += count
    return "".join(parts)


def _ticks(thresholds: Sequence[Threshold]) -> tuple[Tick, ...]:
    """Thresholds at equal numbers of places; the axis is one of quantiles."""
    last = len(thresholds) - 1
    places = sorted({round(i * last / (_TICKS - 1)) for i in range(_TICKS)})
    words = {"-inf": "open", "inf": "shut"}
    return tuple(
        Tick(
            round(100 * (place + 0.5) / (last + 1), 2),
            words.get(str(thresholds[place])) or number(float(thresholds[place])),
        )
        for place in places
    )
