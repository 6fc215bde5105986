"""Frontier charts: what group thresholds could trade, and on the same axes what every measured system does trade.

Rules are chosen on one split and drawn as they were read on another; what they promised where they were chosen is a
thin line beside them. Positions are percent of a box that the page stretches, y downwards.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from equiray.metrics.estimates import Estimate
from equiray.metrics.frontiers import FrontierReading, Read, Trade
from equiray.reports.axes import axis_over
from equiray.reports.figures import AUDIT, Figures
from equiray.reports.planes import SHAPES, Entry, Mark, Plane, PlaneChart, Promise
from equiray.reports.words import MODELS, attribute_words, bracket, metric_words, model_words, number, stage_words

MOST_DOTS = 60
"""A frontier of more rules shows about so many of them as dots, evenly among them in the order of their choice."""

_KINDS = {"thresholds": "one threshold a group", "randomised": "drawing between thresholds"}


class FrontierRecord(BaseModel):
    """A frontier of the scores of one model at one stage of a task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    stage: str
    model: str
    reading: FrontierReading


class FrontiersFile(BaseModel):
    """``frontiers.json``: every frontier of a run or an audit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal["equiray.frontiers/1"] = Field(alias="schema")
    frontiers: list[FrontierRecord]


class System(NamedTuple):
    """A model as it was measured: its disparity and its accuracy on the same test rows."""

    disparity: Estimate
    accuracy: Estimate


def systems_of(figures: Figures, task: str, attribute: str, metric: str) -> list[System]:
    """Every model and stage of a task whose disparity and accuracy could both be estimated."""
    pairs = (
        (figures.get(task, stage, model, metric, attribute), figures.get(task, stage, model, "accuracy"))
        for model in figures.models(task)
        for stage in figures.stages(task)
    )
    return [System(d, a) for d, a in pairs if d and a and d.value is not None and a.value is not None]


def frontier_chart(records: Sequence[FrontierRecord], systems: Sequence[System]) -> PlaneChart | None:
    """Frontiers of one model's scores, and the systems measured in the same metric; None if no frontier has a point.

    Raises
    ------
    ValueError
        The frontiers differ in more than their kind, or a system was measured in something else.
    """
    drawn = [record.reading for record in records if record.reading.points]
    if not drawn:
        return None
    shared = {(r.task, r.stage, r.model, *_asked(r.reading)) for r in records}
    measured = {(s.disparity.task, s.disparity.metric, s.disparity.attribute) for s in systems}
    if len(shared) > 1 or measured - {(task, metric, attribute) for task, _, _, metric, attribute, *_ in shared}:
        raise ValueError(f"one chart cannot hold frontiers of {sorted(shared)} and systems of {measured}")
    ((_, stage, model, metric, attribute, chosen_on, read_on),) = shared
    plane, words, shapes = _plane(drawn, systems), metric_words(metric), _shapes(systems)
    return PlaneChart(
        title=f"Accuracy against {words.label[:1].lower()}{words.label[1:]}, by {attribute_words(attribute)}",
        meaning=f"up and to the left is better; rules on the scores of {_name(model, stage)}, chosen on {chosen_on}: "
        f"dots are what they do on {read_on}",
        x_label=words.label,
        promises=tuple(promise_of(reading, plane) for reading in drawn),
        dots=tuple(dot_of(reading, point, plane) for reading in drawn for point in some_of(reading.points)),
        systems=tuple(_system(system, plane, shapes) for system in systems),
        legend=(*frontier_legend(drawn), *_system_legend(systems, shapes)),
        x_ticks=plane.x.ticks,
        y_ticks=plane.y_ticks,
        notes=tuple(notes_of(record.reading for record in records)),
    )


def _asked(reading: FrontierReading) -> tuple[str, ...]:
    return reading.metric, reading.attribute, reading.chosen_on, reading.read_on


def _name(model: str, stage: str) -> str:
    words = model_words(model)
    if stage == AUDIT:
        return f"“{words}”"
    stage = stage_words(stage).replace("Baseline", "baseline")
    return f"{words[:1].lower() + words[1:] if model in MODELS else words}, {stage}"


def _plane(readings: Iterable[FrontierReading], systems: Sequence[System]) -> Plane:
    trades = [trade for reading in readings for p in reading.points for trade in (p.on_choice, p.on_read)]
    ends = [(x, y) for s in systems for x, y in zip(_ends(s.disparity), _ends(s.accuracy), strict=True)]
    xs, ys = zip(*trades, *ends, strict=True)
    return Plane(axis_over([0.0, *xs]), axis_over(ys))


def _ends(e: Estimate) -> tuple[float, float, float]:
    value = 0.0 if e.value is None else e.value
    return value, value if e.low is None else e.low, value if e.high is None else e.high


def promise_of(reading: FrontierReading, plane: Plane) -> Promise:
    """Steps for thresholds, since nothing between two combinations is attained; straight lines for drawing."""
    corners = [point.on_choice for point in reading.points]
    if reading.kind == "thresholds":
        between = (Trade(after.disparity, before.accuracy) for before, after in pairwise(corners))
        corners = [corners[0], *(trade for pair in zip(between, corners[1:], strict=True) for trade in pair)]
    return plane.line(reading.kind, corners)


def some_of(points: Sequence[Read]) -> list[Read]:
    """At most `MOST_DOTS` rules, evenly among all."""
    if len(points) <= MOST_DOTS:
        return list(points)
    return [points[round(i * (len(points) - 1) / (MOST_DOTS - 1))] for i in range(MOST_DOTS)]


def dot_of(reading: FrontierReading, point: Read, plane: Plane) -> Mark:
    """A rule as it was read, spoken with what it promised."""
    (x, y), (disparity, accuracy) = plane.at(*point.on_read), point.on_read
    limits = ""
    if point.low and point.high:
        limits = f" [{number(point.low.disparity)}, {number(point.high.disparity)}]"
        limits += f", accuracy [{number(point.low.accuracy)}, {number(point.high.accuracy)}]"
    spoken = (
        f"{reading.read_on}: disparity {number(disparity)}, accuracy {number(accuracy)}{limits and ';' + limits}; "
        f"{reading.chosen_on}: {number(point.on_choice.disparity)}, {number(point.on_choice.accuracy)}"
    )
    return Mark(shape="dot", style=reading.kind, x=x, y=y, spoken=spoken)


def _shapes(systems: Sequence[System]) -> dict[str, str]:
    models = dict.fromkeys(system.disparity.model for system in systems)
    return {model: SHAPES[i % len(SHAPES)] for i, model in enumerate(models)}


def _system(system: System, plane: Plane, shapes: dict[str, str]) -> Mark:
    disparity, accuracy = system
    (x, x_low, x_high), (y, y_low, y_high) = _ends(disparity), _ends(accuracy)
    left, top = plane.at(x_low, y_high)
    right, bottom = plane.at(x_high, y_low)
    at = plane.at(x, y)
    return Mark(
        shape=shapes[disparity.model],
        style=_stage_style(disparity.stage),
        x=at[0],
        y=at[1],
        x_arm=(left, right) if disparity.low is not None else None,
        y_arm=(top, bottom) if accuracy.low is not None else None,
        spoken=f"{model_words(disparity.model)}, {stage_words(disparity.stage)}: disparity {number(x)} "
        f"{bracket(disparity)}, accuracy {number(y)} {bracket(accuracy)}",
    )


def _stage_style(stage: str) -> str:
    return "stage-" + "".join(c if c.isalnum() and c.isascii() else "-" for c in stage)


def frontier_legend(readings: Iterable[FrontierReading]) -> Iterable[Entry]:
    """What dots and lines of frontiers stand for."""
    for reading in readings:
        shown = f", {MOST_DOTS} of {len(reading.points)} rules" if len(reading.points) > MOST_DOTS else ""
        yield Entry("dot", reading.kind, f"best by {_KINDS[reading.kind]}, on {reading.read_on}{shown}")
        yield Entry("line", reading.kind, f"the same where it was chosen, on {reading.chosen_on}")


def _system_legend(systems: Sequence[System], shapes: dict[str, str]) -> Iterable[Entry]:
    """Shapes tell models, colours tell stages."""
    order = [model for model in MODELS if model in shapes]
    for model in (*order, *(model for model in shapes if model not in order)):
        audited = all(s.disparity.stage == AUDIT for s in systems)
        yield Entry(shapes[model], _stage_style(AUDIT) if audited else "any-stage", model_words(model))
    for stage in dict.fromkeys(system.disparity.stage for system in systems if system.disparity.stage != AUDIT):
        yield Entry("bar", _stage_style(stage), stage_words(stage))


def notes_of(readings: Iterable[FrontierReading]) -> Iterable[str]:
    """Why a frontier is not there, or not whole."""
    for reading in readings:
        if reading.status != "estimated":
            how = "not estimable" if reading.status == "not_estimable" else "partial"
            yield f"Frontier by {_KINDS[reading.kind]}: {how}: {reading.reason}"
