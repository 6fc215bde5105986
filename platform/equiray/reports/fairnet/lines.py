"""Curves of a sweep, and their limits as bands: what the charts of a training have in common."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from equiray.reports.fairnet.trainings import Figure
from equiray.reports.planes import Plane, Promise

STYLES = ("gated", "gated second", "gated third")
"""Of the curves of several gates, by their order."""


class Limits(NamedTuple):
    """Limits of a figure where another one is `at`."""

    at: float
    low: float
    high: float


def known(pairs: Iterable[tuple[Figure, Figure]]) -> list[tuple[float, float]]:
    """The pairs of which both are estimable."""
    return [(x, y) for x, y in pairs if x is not None and y is not None]


def limits_of(at: Iterable[Figure], low: Iterable[Figure], high: Iterable[Figure]) -> list[Limits]:
    """Of each place of a curve that has them."""
    each = zip(at, low, high, strict=True)
    return [Limits(*of) for of in each if None not in of]  # pyright: ignore[reportArgumentType]


def upright(plane: Plane, style: str, limits: Sequence[Limits]) -> list[Promise]:
    """A band of limits above and below."""
    runs = _monotone(limits)
    return [
        plane.line(style, [*((x, low) for x, low, _ in run), *((x, high) for x, _, high in reversed(run))])
        for run in runs
    ]


def lying(plane: Plane, style: str, limits: Sequence[Limits]) -> list[Promise]:
    """A band of limits to the left and to the right."""
    runs = _monotone(limits)
    return [
        plane.line(style, [*((low, y) for y, low, _ in run), *((high, y) for y, _, high in reversed(run))])
        for run in runs
    ]


def _monotone(limits: Sequence[Limits]) -> list[list[Limits]]:
    """Stretches on which `at` only rises or only falls: the outline of a band that turns back would cross itself."""
    runs: list[list[Limits]] = [list(limits[:1])]
    turn = 0
    for before, after in pairwise(limits):
        step = (after.at > before.at) - (after.at < before.at)
        if turn and step == -turn:
            runs.append([before])
        turn = step or turn
        runs[-1].append(after)
    return [run for run in runs if len(run) > 1]
