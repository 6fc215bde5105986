"""What one gate does: how far it opens, what its detector tells apart, how well each group stays calibrated."""

from collections.abc import Sequence

from equiray.reports.axes import Axis, axis_over
from equiray.reports.fairnet.lines import known, limits_of, upright
from equiray.reports.fairnet.record import Gate
from equiray.reports.fairnet.trainings import Calibration, Detector, Figure, Sweep
from equiray.reports.planes import Entry, Mark, Plane, PlaneChart, Promise
from equiray.reports.tables import Cell, Table, TableBlock, TableRow
from equiray.reports.words import attribute_words, number, share

_DRAWN = 6
"""Groups whose calibration is drawn; the table has all."""


def opening_chart(sweep: Sweep, gates: int) -> PlaneChart | None:
    """Accuracy and worst cell over the share of rows with an open gate; None where nothing was swept."""
    worst, accuracy = (known(zip(sweep.open, curve, strict=True)) for curve in (sweep.worst_cell, sweep.accuracy))
    if not worst and not accuracy:
        return None
    limits = limits_of(sweep.open, sweep.worst_cell_low, sweep.worst_cell_high)
    y = axis_over([y for _, y in (*worst, *accuracy)] + [y for _, low, high in limits for y in (low, high)])
    plane = Plane(Axis(low=0.0, high=1.0, step=0.25), y)
    several = f", gate of {attribute_words(sweep.gate)}, the others shut" if gates > 1 else ""
    return PlaneChart(
        title=f"How far the gates open{several}",
        meaning="from every gate shut, which is ERM, to every gate open; the mark is the threshold that was chosen",
        x_label="share of rows with an open gate",
        y_label="accuracy",
        promises=(plane.line("gated", worst), plane.line("trained", accuracy)),
        bands=tuple(upright(plane, "gated", limits)),
        dots=(),
        systems=_chosen(sweep, plane),
        legend=(Entry("line", "gated", "worst cell, with its limits"), Entry("line", "trained", "all rows")),
        x_ticks=plane.x.ticks,
        y_ticks=plane.y_ticks,
    )


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


def calibration_charts(sweep: Sweep) -> list[PlaneChart]:
    """Calibration of each group over the share of rows with an open gate, all on one axis; none of many groups."""
    if len(sweep.calibration) > _DRAWN:
        return []
    values = [v for of in sweep.calibration for each in (of.ece, of.low, of.high) for v in each if v is not None]
    plane = Plane(Axis(low=0.0, high=1.0, step=0.25), axis_over([0.0, *values]))
    return [_calibration_chart(sweep, of, plane) for of in sweep.calibration if any(v is not None for v in of.ece)]


def _calibration_chart(sweep: Sweep, of: Calibration, plane: Plane) -> PlaneChart:
    marks: list[Mark] = []
    if sweep.chosen is not None:
        for x, y in known([(sweep.open[sweep.chosen], of.ece[sweep.chosen])]):
            (left, top), spoken = plane.at(x, y), f"chosen threshold: {number(y)} with {share(x)} of the gates open"
            marks.append(Mark(shape="diamond", style="gated", x=left, y=top, spoken=spoken))
    return PlaneChart(
        title=f"Calibration of {of.group}",
        meaning="from every gate shut, which is ERM, to every gate open; 0 is best",
        x_label="share of rows with an open gate",
        y_label="ECE",
        promises=(plane.line("gated", known(zip(sweep.open, of.ece, strict=True))),),
        bands=tuple(upright(plane, "gated", limits_of(sweep.open, of.low, of.high))),
        dots=(),
        systems=tuple(marks),
        legend=(
            Entry("line", "gated", "expected calibration error, with its limits"),
            *([Entry("diamond", "gated", "chosen threshold")] if marks else []),
        ),
        x_ticks=plane.x.ticks,
        y_ticks=plane.y_ticks,
    )


def calibration_table(sweeps: Sequence[Sweep]) -> Table:
    """Expected calibration error of each group: gate shut, at the chosen threshold, and open for all; by gate."""
    blocks = []
    for sweep in sweeps:
        places = (len(sweep.open) - 1, sweep.chosen, 0)
        rows = [
            TableRow(label=of.group, cells=tuple(_calibration_cell(of, place) for place in places))
            for of in sweep.calibration
        ]
        title = f"Gate of {attribute_words(sweep.gate)}" if len(sweeps) > 1 else ""
        blocks.append(TableBlock(title=title, rows=tuple(rows)))
    names = ("Gate shut (ERM)", "Chosen threshold", "Open for all")
    return Table(corner="Group", columns=tuple((name, "ECE") for name in names), blocks=tuple(blocks))


def _calibration_cell(of: Calibration, place: int | None) -> Cell:
    value = None if place is None else of.ece[place]
    if place is None or value is None:
        return Cell(value="n. e.", hint="not estimable", style="missing")
    return Cell(value=number(value), interval=_bracket(of.low[place], of.high[place]))


def _bracket(low: Figure, high: Figure) -> str:
    return "" if low is None or high is None else f"[{number(low)}, {number(high)}]"
