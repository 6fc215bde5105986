"""Interval panels: one metric per panel, a dot with its interval per stage and model; levels or paired effects."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from equiray.metrics.estimates import Estimate
from equiray.reports.axes import Axis, Tick, axis_over
from equiray.reports.figures import SIGNED_GAP, Figures, Reading, is_effect, read_effect
from equiray.reports.words import MODELS, bracket, metric_words, model_words, number, stage_words


@dataclass(frozen=True, kw_only=True)
class Row:
    """One dot. Positions are percent of the track, None where there is nothing to draw."""

    label: str
    style: str
    dot: float | None
    low: float | None
    high: float | None
    reference: float | None
    value: str
    interval: str
    spoken: str


@dataclass(frozen=True, kw_only=True)
class Block:
    """The rows of one model (or one intrinsic metric), under its name."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A titled plot; `zero` is where 0 stands if that means "no change", `sides` say what left and right of it mean."""

    title: str
    meaning: str
    blocks: tuple[Block, ...]
    ticks: tuple[Tick, ...]
    zero: float | None = None
    sides: tuple[str, str] | None = None


def panels_of(
    figures: Figures, task: str, metrics: Sequence[str], attribute: str | None, *, effects: bool
) -> list[Panel]:
    """A panel for each of `metrics` that has estimates, all on one axis so that they can be compared by eye.

    Effects, and the signed gap when it is asked for alone, get an axis centred on 0.
    """
    found = {metric: _select(figures, task, metric, attribute, effects) for metric in metrics}
    found = {metric: estimates for metric, estimates in found.items() if estimates}
    extent = [x for estimates in found.values() for e in estimates for x in (e.value, e.low, e.high) if x is not None]
    if not extent:
        return []
    centred = effects or list(found) == [SIGNED_GAP]
    if not centred and "accuracy" not in metrics:
        extent.append(0.0)  # a disparity is read by its distance from 0
    axis = axis_over(extent, symmetric=centred)
    return [_panel(figures, metric, estimates, axis, effects) for metric, estimates in found.items()]


def _select(figures: Figures, task: str, metric: str, attribute: str | None, effects: bool) -> list[Estimate]:
    wanted = (
        figures.get(task, stage, model, metric, attribute)
        for model in figures.models(task)
        for stage in figures.stages(task, effects=effects)
    )
    return [e for e in wanted if e is not None]


def _panel(figures: Figures, metric: str, estimates: Iterable[Estimate], axis: Axis, effects: bool) -> Panel:
    words = metric_words(metric)
    by_model: dict[str, list[Row]] = {}
    lower_is_better = False
    for e in estimates:
        baseline = figures.get(e.task, "baseline", e.model, e.metric, e.attribute)
        reference = baseline.value if baseline and not effects and e.stage != "baseline" else None
        by_model.setdefault(e.model, []).append(
            interval_row(e, axis, stage_words(e.stage.removesuffix("-baseline")), reference)
        )
        lower_is_better = lower_is_better or e.direction == "lower"
    one_language_model = len(by_model) == 1 and not by_model.keys() & MODELS.keys()
    return Panel(
        title=f"Change in {words.label[:1].lower() + words.label[1:] if words.label != 'AUC' else 'AUC'}"
        if effects
        else words.label,
        meaning="against the baseline" if effects else words.meaning,
        blocks=tuple(
            Block(title="" if one_language_model else model_words(model), rows=tuple(rows))
            for model, rows in by_model.items()
        ),
        ticks=axis.ticks,
        zero=axis.at(0) if effects or metric == SIGNED_GAP else None,
        sides=_sides(metric, effects, lower_is_better),
    )


def _sides(metric: str, effects: bool, lower_is_better: bool) -> tuple[str, str] | None:
    if effects:
        return ("smaller gap", "larger gap") if lower_is_better else ("worse", "better")
    return ("against the stereotype", "towards it") if metric == SIGNED_GAP else None


def interval_row(e: Estimate, axis: Axis, label: str, reference: float | None = None) -> Row:
    """The geometry and the words of one estimate; an effect is coloured only if its interval excludes 0."""
    reading: Reading | None = read_effect(e) if is_effect(e) else None
    drawn = e.value is not None
    return Row(
        label=label,
        style=reading.replace(" ", "-") if reading else f"stage-{_slug(e.stage)}",
        dot=axis.at(e.value) if e.value is not None else None,
        low=axis.at(e.low) if drawn and e.low is not None else None,
        high=axis.at(e.high) if drawn and e.high is not None else None,
        reference=axis.at(reference) if reference is not None else None,
        value=signed(e) if reading else number(e.value, e.metric),
        interval=bracket(e),
        spoken=f"{label}: {number(e.value, e.metric)} {bracket(e)}{f' ({reading})' if reading else ''}",
    )


def signed(effect: Estimate) -> str:
    """An effect with its sign shown: ``+0.012``."""
    text = number(effect.value, effect.metric)
    return f"+{text}" if effect.value is not None and effect.value > 0 and text.strip("0.") else text


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in text)
