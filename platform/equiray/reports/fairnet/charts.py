"""Planes of a training: what every threshold of the gates trades, beside all methods, frontiers and the detector.

Notable: accuracy stands on one axis in both trades, so that they can be read side by side.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from equiray.reports.axes import Axis, axis_over
from equiray.reports.fairnet.record import FairnetFile, Gate, Method
from equiray.reports.fairnet.trainings import Detector, Point, Seed, Sweep
from equiray.reports.frontier_figures import FrontierRecord, dot_of, frontier_legend, promise_of, some_of
from equiray.reports.planes import SHAPES, Entry, Mark, Plane, PlaneChart, Promise
from equiray.reports.words import number, share

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
    accuracies = [a for a in (*(p.accuracy for p in seed.points), *seed.sweep.accuracy) if a is not None]
    accuracies += [g.accuracy for g in seed.group_thresholds if g.accuracy is not None]
    accuracies += [trade.accuracy for r in readings for p in r.points for trade in (p.on_choice, p.on_read)]
    if not accuracies:
        return []
    y = axis_over(accuracies)
    drawn = (_worst_cell(document, seed, y), _equalized_odds(document, seed, frontiers, y))
    return [chart for chart in drawn if chart.systems]


def _worst_cell(document: FairnetFile, seed: Seed, y: Axis) -> PlaneChart:
    sweep, priced = seed.sweep, _known((g.worst_cell, g.accuracy) for g in seed.group_thresholds)
    curve = _known(zip(sweep.worst_cell, sweep.accuracy, strict=True))
    limits = _limits(sweep.accuracy, sweep)
    measured = [(p, p.worst_cell, p.accuracy) for p in seed.points]
    xs = [x for x, _ in (*curve, *priced)] + [x for _, low, high in limits for x in (low, high)]
    xs += [x for _, x, _ in measured if x is not None]
    plane = Plane(axis_over(xs), y)
    return PlaneChart(
        title="Accuracy against worst-cell accuracy",
        meaning="up and to the right is better; the line is FairNet under every threshold of its gates, the band its "
        "limits, which hold for all thresholds at once",
        x_label="worst-cell accuracy",
        promises=(plane.line("gated", curve),),
        bands=tuple(
            plane.line("gated", [*((low, a) for a, low, _ in run), *((high, a) for a, _, high in reversed(run))])
            for run in _monotone(limits)
        ),
        dots=tuple(_priced(plane, x, accuracy) for x, accuracy in priced),
        systems=_marks(document, plane, measured, "worst cell"),
        legend=(
            *_methods_legend(document, measured),
            Entry("line", "gated", f"FairNet under every threshold, on {sweep.split}"),
            *([Entry("dot", "thresholds", "group thresholds on ERM’s scores, at several prices")] if priced else []),
        ),
        x_ticks=plane.x.ticks,
        y_ticks=plane.y_ticks,
    )


def _equalized_odds(document: FairnetFile, seed: Seed, frontiers: Sequence[FrontierRecord], y: Axis) -> PlaneChart:
    readings = [record.reading for record in frontiers if record.reading.points]
    curve = _known(zip(seed.sweep.equalized_odds_difference_max, seed.sweep.accuracy, strict=True))
    measured = [(p, p.equalized_odds_difference_max, p.accuracy) for p in seed.points]
    xs = [x for x, _ in curve] + [x for _, x, _ in measured if x is not None]
    xs += [trade.disparity for r in readings for p in r.points for trade in (p.on_choice, p.on_read)]
    plane = Plane(axis_over([0.0, *xs]), y)
    return PlaneChart(
        title="Accuracy against equalized odds",
        meaning="up and to the left is better; dots are what thresholds of its own for each group do with ERM’s "
        "scores (the error-parity frontier)",
        x_label="equalized odds difference (max)",
        promises=(*(promise_of(r, plane) for r in readings), plane.line("gated", curve)),
        dots=tuple(dot_of(r, point, plane) for r in readings for point in some_of(r.points)),
        systems=_marks(document, plane, measured, "disparity"),
        legend=(
            *_methods_legend(document, measured),
            Entry("line", "gated", f"FairNet under every threshold, on {seed.sweep.split}"),
            *frontier_legend(readings),
        ),
        x_ticks=plane.x.ticks,
        y_ticks=plane.y_ticks,
    )


def threshold_chart(seed: Seed) -> PlaneChart | None:
    """Accuracy and worst cell over the share of rows with an open gate; None where nothing was swept."""
    sweep = seed.sweep
    worst, accuracy = (_known(zip(sweep.open, curve, strict=True)) for curve in (sweep.worst_cell, sweep.accuracy))
    if not worst and not accuracy:
        return None
    limits = _limits(sweep.open, sweep)
    y = axis_over([y for _, y in (*worst, *accuracy)] + [y for _, low, high in limits for y in (low, high)])
    plane = Plane(Axis(low=0.0, high=1.0, step=0.25), y)
    return PlaneChart(
        title="How far the gates open",
        meaning="from every gate shut, which is ERM, to every gate open; the mark is the threshold that was chosen",
        x_label="share of rows with an open gate",
        y_label="accuracy",
        promises=(plane.line("gated", worst), plane.line("trained", accuracy)),
        bands=tuple(
            plane.line("gated", [*((x, low) for x, low, _ in run), *((x, high) for x, _, high in reversed(run))])
            for run in _monotone(limits)
        ),
        dots=(),
        systems=_chosen(sweep, plane),
        legend=(Entry("line", "gated", "worst cell, with its limits"), Entry("line", "trained", "all rows")),
        x_ticks=plane.x.ticks,
        y_ticks=plane.y_ticks,
    )


def detector_chart(detector: Detector, gate: Gate | None) -> PlaneChart:
    """A receiver operating characteristic with the chosen point."""
    plane = Plane(*(Axis(low=0.0, high=1.0, step=0.2) for _ in range(2)))
    at = () if detector.fpr_at is None or detector.tpr_at is None else (plane.at(detector.fpr_at, detector.tpr_at),)
    auc = detector.auc
    limits = "" if auc.low is None or auc.high is None else f" [{number(auc.low)}, {number(auc.high)}]"
    return PlaneChart(
        title=f"Detector of {_flags(gate)}",
        meaning=f"AUC {number(auc.value)}{limits}; 0.5 is chance",
        x_label="share flagged of the others",
        y_label="share flagged of those at risk",
        promises=(
            Promise("any-stage", "0,100 100,0"),
            plane.line("gated", zip(detector.fpr, detector.tpr, strict=True)),
        ),
        dots=(),
        systems=tuple(
            Mark(
                shape="diamond",
                style="gated",
                x=x,
                y=y,
                spoken=f"chosen threshold: flags {share(detector.tpr_at)} of those at risk, {share(detector.fpr_at)} "
                "of the others",
            )
            for x, y in at
        ),
        legend=(
            *([Entry("diamond", "gated", "chosen threshold")] if at else []),
            Entry("line", "any-stage", "chance"),
        ),
        x_ticks=plane.x.ticks,
        y_ticks=plane.y_ticks,
        square=True,
    )


def _flags(gate: Gate | None) -> str:
    """What counts as at risk; a gate of no attribute knows no group."""
    if gate is None or gate.kind == "risk" or gate.regime == "unlabelled":
        return "rows decided wrongly by ERM"
    return gate.vulnerable + (", decided wrongly by ERM" if gate.kind == "both" else "")


def _known(pairs: Iterable[tuple[float | None, float | None]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in pairs if x is not None and y is not None]


class _Limits(NamedTuple):
    """Limits of the worst cell where another figure is `at`."""

    at: float
    low: float
    high: float


def _limits(at: Iterable[float | None], sweep: Sweep) -> list[_Limits]:
    each = zip(at, sweep.worst_cell_low, sweep.worst_cell_high, strict=True)
    return [_Limits(x, low, high) for x, low, high in each if x is not None and low is not None and high is not None]


def _monotone(limits: Sequence[_Limits]) -> list[list[_Limits]]:
    """Stretches on which `at` only rises or only falls: the outline of a band that turns back would cross itself."""
    runs: list[list[_Limits]] = [list(limits[:1])]
    turn = 0
    for before, after in pairwise(limits):
        step = (after.at > before.at) - (after.at < before.at)
        if turn and step == -turn:
            runs.append([before])
        turn = step or turn
        runs[-1].append(after)
    return [run for run in runs if len(run) > 1]


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


def _chosen(sweep: Sweep, plane: Plane) -> tuple[Mark, ...]:
    if sweep.chosen is None:
        return ()
    opened, marks = sweep.open[sweep.chosen], []
    for name, style, curve in (("worst cell", "gated", sweep.worst_cell), ("all rows", "trained", sweep.accuracy)):
        value = curve[sweep.chosen]
        if opened is not None and value is not None:
            x, y = plane.at(opened, value)
            spoken = f"chosen threshold, {name}: accuracy {number(value)} with {share(opened)} of the gates open"
            marks.append(Mark(shape="diamond", style=style, x=x, y=y, spoken=spoken))
    return tuple(marks)
