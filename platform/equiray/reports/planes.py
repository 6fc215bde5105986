"""Two figures against each other: marks, lines and bands on a plane that the page stretches, y downwards."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from equiray.reports.axes import Axis, Tick

SHAPES = ("circle", "square", "triangle", "diamond")
"""Of marks; the template has a drawing for each."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A point at `x`, `y` with its interval cross, each arm as (low, high) or None."""

    shape: str
    style: str
    x: float
    y: float
    x_arm: tuple[float, float] | None = None
    y_arm: tuple[float, float] | None = None
    spoken: str


class Promise(NamedTuple):
    """A line, such as a frontier where it was chosen: `points` are ``x,y`` pairs."""

    style: str
    points: str


class Entry(NamedTuple):
    """A line of the legend: a mark's shape and style, and what it stands for."""

    shape: str
    style: str
    label: str


@dataclass(frozen=True, kw_only=True)
class PlaneChart:
    """`dots` are small and many, `systems` are what was measured; `bands` are filled outlines, drawn below all else.

    A `square` chart has axes of one length, for figures that are shares of alike things.
    """

    title: str
    meaning: str
    x_label: str
    promises: tuple[Promise, ...]
    dots: tuple[Mark, ...]
    systems: tuple[Mark, ...]
    legend: tuple[Entry, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    notes: tuple[str, ...] = ()
    bands: tuple[Promise, ...] = ()
    y_label: str = "accuracy"
    square: bool = False


class Plane(NamedTuple):
    x: Axis
    y: Axis

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a pair of figures stands, in percent from the left and from the top."""
        return self.x.at(x), round(100 - self.y.at(y), 2)

    def line(self, style: str, points: Iterable[tuple[float, float]]) -> Promise:
        """A line through pairs of figures, in their order."""
        places = (place for place, _ in groupby(self.at(*point) for point in points))
        return Promise(style, " ".join(f"{x:g},{y:g}" for x, y in places))

    @property
    def y_ticks(self) -> tuple[Tick, ...]:
        """From the top."""
        return tuple(Tick(round(100 - tick.at, 2), tick.label) for tick in self.y.ticks)
