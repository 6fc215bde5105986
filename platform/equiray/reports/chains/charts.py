"""What every temperature and number of chains trades, from cached scores: a plane a split.

Notable: rightness counts cases without a decision as not right, so that N of 1 cannot look better by saying nothing.
"""

from typing import NamedTuple

from equiray.reports.axes import axis_over
from equiray.reports.chains.names import POOLED, figure_words, tau_words
from equiray.reports.chains.parts import Temperature
from equiray.reports.chains.record import ChainsTask, Grid
from equiray.reports.planes import Entry, Mark, Plane, PlaneChart
from equiray.reports.words import count, number

_RIGHT = "share_right"
_UNFAIR = ("bbq_bias_ambiguous", "demographic_parity_difference", "accuracy_parity_difference")
_TITLES = {
    "test": "Every τ and N on test cases",
    "validation": "The same on validation cases, which chose",
}


class _Point(NamedTuple):
    tau: Temperature
    chains: int
    unfair: float
    right: float


def unfair_figure(grid: Grid) -> str | None:
    """The fairness figure that a plane of this grid shows: the first that is estimable anywhere."""
    known = (name for name in _UNFAIR if any(v is not None for row in grid.figures.get(name, []) for v in row))
    return next(known, None)


def frontier_charts(task: ChainsTask) -> list[PlaneChart]:
    """Test cases, then validation cases; a split without estimable figures leaves no chart."""
    attribute = POOLED if task.is_questions else task.choice.attribute
    grids = [task.grid(split, attribute) for split in _TITLES]
    return [chart for grid in grids if grid is not None and (chart := _chart(task, grid)) is not None]


def _chart(task: ChainsTask, grid: Grid) -> PlaneChart | None:
    name = unfair_figure(grid)
    if name is None or _RIGHT not in grid.figures:
        return None
    points = _points(grid, name)
    if not points:
        return None
    plane = Plane(axis_over([0.0, *(p.unfair for p in points)]), axis_over([p.right for p in points]))
    same = [p for p in points if p.chains == task.chains]
    weighted = [p for p in same if p.tau != "inf"]
    return PlaneChart(
        title=_TITLES[grid.split],
        meaning=f"{count(grid.cases, 'case')}, {grid.attribute}; up is better, and nearer to 0 on the lower axis; "
        "every point is read from cached scores, without asking a model again",
        x_label=figure_words(name)[:1].lower() + figure_words(name)[1:],
        promises=(plane.line("gated", [(p.unfair, p.right) for p in weighted]),) if len(weighted) > 1 else (),
        dots=tuple(_dot(plane, p) for p in points if p not in same),
        systems=_systems(plane, same, task),
        legend=_legend(task, same),
        x_ticks=plane.x.ticks,
        y_ticks=plane.y_ticks,
        y_label="share decided right",
    )


def _points(grid: Grid, name: str) -> list[_Point]:
    found = []
    for tau, unfair, right in zip(grid.temperatures, grid.figures[name], grid.figures[_RIGHT], strict=True):
        for chains, x, y in zip(grid.chains, unfair, right, strict=True):
            if x is not None and y is not None:
                found.append(_Point(tau, chains, x, y))
    return found


def _systems(plane: Plane, same: list[_Point], task: ChainsTask) -> tuple[Mark, ...]:
    """As many chains as were decided with: each temperature small, majority and the chosen one on top."""
    chosen = task.choice.chosen
    ranked = sorted(same, key=lambda p: (chosen is not None and p.tau == chosen.tau, p.tau == "inf"))
    marks = []
    for p in ranked:
        shape, style = "dot", "gated"
        if chosen is not None and p.tau == chosen.tau:
            shape = "diamond"
        if p.tau == "inf":
            shape, style = "square", "erm"
        marks.append(_mark(plane, p, shape, style))
    return tuple(marks)


def _dot(plane: Plane, point: _Point) -> Mark:
    return _mark(plane, point, "dot", "any-stage")


def _mark(plane: Plane, point: _Point, shape: str, style: str) -> Mark:
    x, y = plane.at(point.unfair, point.right)
    spoken = (
        f"τ {tau_words(point.tau)}, {count(point.chains, 'chain')}: {number(point.unfair)}, right {number(point.right)}"
    )
    return Mark(shape=shape, style=style, x=x, y=y, spoken=spoken)


def _legend(task: ChainsTask, same: list[_Point]) -> tuple[Entry, ...]:
    chosen = task.choice.chosen
    n = count(task.chains, "chain")
    entries = []
    if chosen is not None and any(p.tau == chosen.tau and p.tau != "inf" for p in same):
        entries.append(Entry("diamond", "gated", f"chosen: τ {tau_words(chosen.tau)}, {n}"))
    if any(p.tau == "inf" for p in same):
        entries.append(Entry("square", "erm", f"majority vote of {n}"))
    if any(p.tau != "inf" for p in same):
        entries.append(Entry("line", "gated", f"other temperatures, {n}"))
    return (*entries, Entry("dot", "any-stage", "other numbers of chains"))
