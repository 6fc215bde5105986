"""Parallel coordinates: every trial a line over its settings and its objectives on validation.

Notable: an axis is logarithmic where the search space is, choices stand as ticks, and objectives are drawn so that up
is better. A trial without figures is a line over its settings alone.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import JsonValue

from equiray.reports.axes import Axis, Tick, axis_over
from equiray.reports.search.cards import STATUS
from equiray.reports.search.front_charts import links
from equiray.reports.search.record import Objective, SearchFile, Trial
from equiray.reports.search.space import Setting, short_keys, value_words
from equiray.reports.words import metric_words, number

_MOST_TICKS = 7
_EDGE = 4.0
"""Where the first axis stands, in percent from the left."""


class Place(NamedTuple):
    """Where a trial crosses an axis, in percent from the top, and its value in words."""

    at: float
    words: str


class Track(NamedTuple):
    """An axis; `at` in percent from the left, ticks in percent from the top, `note` says how it is to be read."""

    at: float
    label: str
    full: str
    note: str
    ticks: tuple[Tick, ...]
    places: dict[int, Place]


class Crossing(NamedTuple):
    x: float
    y: float
    words: str


@dataclass(frozen=True, kw_only=True)
class TrialLine:
    """`points` are ``x,y`` pairs in a 100 x 100 box; `style` is ``front``, ``trial`` or ``broke``."""

    label: str
    style: str
    links: str
    points: str
    crossings: tuple[Crossing, ...]
    spoken: str


@dataclass(frozen=True, kw_only=True)
class Coordinates:
    tracks: tuple[Track, ...]
    lines: tuple[TrialLine, ...]


def coordinates(document: SearchFile) -> Coordinates | None:
    """Trials off the front first, so that the front's lie on top; None without a trial."""
    if not document.trials:
        return None
    short = short_keys([setting.key for setting in document.space])
    step = (100 - 2 * _EDGE) / (len(document.space) + len(document.objectives) - 1)
    places = (round(_EDGE + i * step, 2) for i in itertools.count())
    made = [_setting_track(setting, short[setting.key], document.trials, next(places)) for setting in document.space]
    made += [_objective_track(objective, document.trials, next(places)) for objective in document.objectives]
    ranked = sorted(document.trials, key=lambda t: (t.number in document.front_trials, t.status == "done", t.number))
    lines = (_line(document, trial, made) for trial in ranked)
    return Coordinates(tracks=tuple(made), lines=tuple(line for line in lines if line is not None))


def _setting_track(setting: Setting, label: str, trials: Sequence[Trial], at: float) -> Track:
    values = {t.number: t.settings[setting.key] for t in trials if setting.key in t.settings}
    if setting.kind == "choice":
        return _choice_track(setting, label, values, at)
    numbers = {trial: float(v) for trial, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    ends = [end for end in (setting.low, setting.high) if end is not None]
    scaled = math.log10 if setting.log else float
    shown = [v for v in (*ends, *numbers.values()) if v > 0 or not setting.log]
    axis = axis_over(map(scaled, shown))
    # a known configuration may be 0 where the space is logarithmic: it stands at the foot of the axis
    heights = {trial: _down(axis, scaled(v)) if v in shown else 100.0 for trial, v in numbers.items()}
    ticks = _decades(axis) if setting.log else axis.ticks
    return Track(
        at=at,
        label=label,
        full=setting.key,
        note="log" if setting.log else "",
        ticks=tuple(Tick(round(100 - tick.at, 2), tick.label) for tick in ticks),
        places={trial: Place(height, value_words(values[trial])) for trial, height in heights.items()},
    )


def _choice_track(setting: Setting, label: str, values: dict[int, JsonValue], at: float) -> Track:
    words = list(dict.fromkeys(map(value_words, [*(setting.choices or []), *values.values()])))
    step = 84 / max(len(words) - 1, 1)
    heights = {word: round(92 - i * step if len(words) > 1 else 50, 2) for i, word in enumerate(words)}
    kept = words if len(words) <= _MOST_TICKS else [words[0], words[-1]]
    return Track(
        at=at,
        label=label,
        full=setting.key,
        note="",
        ticks=tuple(Tick(heights[word], word) for word in kept),
        places={trial: Place(heights[value_words(v)], value_words(v)) for trial, v in values.items()},
    )


def _objective_track(objective: Objective, trials: Sequence[Trial], at: float) -> Track:
    values = {t.number: v for t in trials if (v := (t.values or {}).get(objective.metric)) is not None}
    axis = axis_over(values.values())
    better_low = objective.direction == "lower"
    ticks = (Tick(round(tick.at if better_low else 100 - tick.at, 2), tick.label) for tick in axis.ticks)
    return Track(
        at=at,
        label=metric_words(objective.metric).short,
        full=metric_words(objective.metric).label,
        note="up is better",
        ticks=tuple(ticks),
        places={
            trial: Place(round(axis.at(v), 2) if better_low else _down(axis, v), number(v, objective.metric))
            for trial, v in values.items()
        },
    )


def _decades(axis: Axis) -> list[Tick]:
    """Powers of ten on a log axis; of less than one decade, its ends."""
    powers = list(range(math.ceil(axis.low - 1e-9), math.floor(axis.high + 1e-9) + 1))
    if len(powers) < 2:
        span = axis.high - axis.low
        ends = (axis.low + 0.05 * span, axis.high - 0.05 * span)
        return [Tick(axis.at(end), f"{10**end:.2g}") for end in ends]
    powers = powers[:: math.ceil(len(powers) / _MOST_TICKS)]
    return [Tick(axis.at(power), f"{10.0**power:g}") for power in powers]


def _line(document: SearchFile, trial: Trial, tracks: Sequence[Track]) -> TrialLine | None:
    crossed = [Crossing(t.at, *t.places[trial.number]) for t in tracks if trial.number in t.places]
    if len(crossed) < 2:
        return None
    mine = [links(document)[point.id] for point in document.front if point.trial == trial.number]
    label = f"trial {trial.number}" + (f" ({trial.name})" if trial.name else "")
    told = "on the front" if mine else STATUS[trial.status]
    settings = ", ".join(f"{t.label} {t.places[trial.number].words}" for t in tracks if trial.number in t.places)
    return TrialLine(
        label=f"{label}, {told}",
        style="front" if mine else "trial" if trial.status == "done" else "broke",
        links=" ".join(mine),
        points=" ".join(f"{c.x:g},{c.y:g}" for c in crossed),
        crossings=tuple(crossed),
        spoken=f"{label}, {told}: {settings}",
    )


def _down(axis: Axis, value: float) -> float:
    return round(100 - axis.at(value), 2)
