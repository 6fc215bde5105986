"""Planes of a training: what every threshold of the gates trades, beside all methods and frontiers.

Notable: accuracy stands on one axis in both trades, so that they can be read side by side.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from equiray.reports.axes import Axis, axis_over
from equiray.reports.fairnet.lines import STYLES, known, limits_of, lying
from equiray.reports.fairnet.record import FairnetFile, Method
from equiray.reports.fairnet.trainings import Point, Seed
from equiray.reports.frontier_figures import FrontierRecord, dot_of, frontier_legend, promise_of, some_of
from equiray.reports.planes import SHAPES, Entry, Mark, Plane, PlaneChart
from equiray.reports.words import attribute_words, number

EOD = "equalized_odds_difference_max"
_STYLES = {"erm": "erm", "fairnet": "gated"}


class _Look(NamedTuple):
    """What a method is drawn as: colours tell what it needs, shapes tell methods of one colour apart."""

    shape: str
    style: str


def looks(methods: Sequence[Method]) -> dict[str, _Look]:
    """Grey is ERM, purple FairNet, orange what needs the group to decide, teal what does not."""
    found: dict[str, _Look] = {}
    for method in methods:
        style = _STYLES.get(method.id) or ("needs-group" if method.needs_group else "trained")
        alike = sum(look.style == style for look in found.values())
        shape = "diamond" if style == "gated" else SHAPES[(alike + (style == "trained")) % len(SHAPES)]
        found[method.id] = _Look(shape, style)
    return found


def trade_charts(document: FairnetFile, seed: Seed, frontiers: Sequence[FrontierRecord]) -> list[PlaneChart]:
    """Accuracy against worst-cell accuracy, and against equalized odds; a plane without a point leaves no chart."""
    readings = [record.reading for record in frontiers if record.reading.points]
    accuracies = [a for a in (p.accuracy for p in seed.points) if a is not None]
    accuracies += [a for sweep in seed.sweeps for a in sweep.accuracy if a is not None]
    accuracies += [g.accuracy for g in seed.group_thresholds if g.accuracy is not None]
    accuracies += [trade.accuracy for r in readings for p in r.points for trade in (p.on_choice, p.on_read)]
    if not accuracies:
        return []
    y = axis_over(accuracies)
    drawn = (_worst_cell(document, seed, y), _equalized_odds(document, seed, frontiers, y))
    return [chart for chart in drawn if chart.systems]


def _worst_cell(document: FairnetFile, seed: Seed, y: Axis) -> PlaneChart:
    priced = known((g.worst_cell, g.accuracy) for g in seed.group_thresholds)
    curves = [known(zip(sweep.worst_cell, sweep.accuracy, strict=True)) for sweep in seed.sweeps]
    limits = [limits_of(s.accuracy, s.worst_cell_low, s.worst_cell_high) for s in seed.sweeps]
    measured = [(p, p.worst_cell, p.accuracy) for p in seed.points]
    xs = [x for curve in (*curves, priced) for x, _ in curve]
    xs += [x for each in limits for _, low, high in each for x in (low, high)]
    xs += [x for _, x, _ in measured if x is not None]
    plane = Plane(axis_over(xs), y)
    return PlaneChart(
        title="Accuracy against worst-cell accuracy",
        meaning="up and to the right is better; the line is FairNet under every threshold of its gates, the band its "
        "limits, which hold for all thresholds at once",
        x_label="worst-cell accuracy",
        promises=tuple(plane.line(style, curve) for style, curve in zip(STYLES, curves, strict=False)),
        bands=tuple(b for style, each in zip(STYLES, limits, strict=False) for b in lying(plane, style, each)),
        dots=tuple(_priced(plane, x, accuracy) for x, accuracy in priced),
        systems=_marks(document, plane, measured, "worst cell"),
        legend=(
            *_methods_legend(document, measured),
            *_sweeps_legend(seed),
            *([Entry("dot", "thresholds", "group thresholds on ERM’s scores, at several prices")] if priced else []),
        ),
        x_ticks=plane.x.ticks,
        y_ticks=plane.y_ticks,
    )


def _equalized_odds(document: FairnetFile, seed: Seed, frontiers: Sequence[FrontierRecord], y: Axis) -> PlaneChart:
    readings = [record.reading for record in frontiers if record.reading.points]
    curves = [known(zip(s.equalized_odds_difference_max, s.accuracy, strict=True)) for s in seed.sweeps]
    measured = [(p, p.equalized_odds_difference_max, p.accuracy) for p in seed.points]
    xs = [x for curve in curves for x, _ in curve] + [x for _, x, _ in measured if x is not None]
    xs += [trade.disparity for r in readings for p in r.points for trade in (p.on_choice, p.on_read)]
    plane = Plane(axis_over([0.0, *xs]), y)
    return PlaneChart(
        title="Accuracy against equalized odds",
        meaning="up and to the left is better; dots are what thresholds of its own for each group do with ERM’s "
        "scores (the error-parity frontier)",
        x_label="equalized odds difference (max)",
        promises=(
            *(promise_of(r, plane) for r in readings),
            *(plane.line(style, curve) for style, curve in zip(STYLES, curves, strict=False)),
        ),
        dots=tuple(dot_of(r, point, plane) for r in readings for point in some_of(r.points)),
        systems=_marks(document, plane, measured, "disparity"),
        legend=(
            *_methods_legend(document, measured),
            *_sweeps_legend(seed),
            *frontier_legend(readings),
        ),
        x_ticks=plane.x.ticks,
        y_ticks=plane.y_ticks,
    )


def _priced(plane: Plane, worst: float, accuracy: float) -> Mark:
    (x, y), spoken = plane.at(worst, accuracy), f"worst cell {number(worst)}, accuracy {number(accuracy)}"
    return Mark(shape="dot", style="thresholds", x=x, y=y, spoken=f"group thresholds: {spoken}")


def _marks(
    document: FairnetFile, plane: Plane, measured: Sequence[tuple[Point, float | None, float | None]], what: str
) -> tuple[Mark, ...]:
    look, labels = looks(document.methods), {method.id: method.label for method in document.methods}
    marks = []
    for point, x, y in measured:
        if x is not None and y is not None:
            (left, top), (shape, style) = plane.at(x, y), look[point.method]
            spoken = f"{labels[point.method]}: {what} {number(x)}, accuracy {number(y)}"
            marks.append(Mark(shape=shape, style=style, x=left, y=top, spoken=spoken))
    # FairNet last: where marks lie on each other, the one that this page is about is on top.
    return tuple(sorted(marks, key=lambda mark: mark.style == "gated"))


def _methods_legend(
    document: FairnetFile, measured: Sequence[tuple[Point, float | None, float | None]]
) -> Iterable[Entry]:
    look = looks(document.methods)
    drawn = {point.method for point, x, y in measured if x is not None and y is not None}
    for method in document.methods:
        if method.id in drawn:
            label = method.label + (", chosen threshold" if method.id == "fairnet" else "")
            yield Entry(*look[method.id], label)


def _sweeps_legend(seed: Seed) -> Iterable[Entry]:
    for style, sweep in zip(STYLES, seed.sweeps, strict=False):
        whose = f" of the gate of {attribute_words(sweep.gate)}, the others shut" if len(seed.sweeps) > 1 else ""
        yield Entry("line", style, f"FairNet under every threshold{whose}, on {sweep.split}")
