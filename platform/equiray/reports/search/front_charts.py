"""The front on planes of two objectives: every point where test puts it, and where validation had promised it.

Notable: the axes follow what was evaluated on test; trials, the reference point and the frontier are context, and what
of them lies far off is counted in a note instead of squeezing the front into a corner.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from equiray.reports.axes import Axis, Tick, axis_over
from equiray.reports.frontier_figures import MOST_DOTS
from equiray.reports.planes import Entry, Mark, Plane
from equiray.reports.search.cards import Card, point_card, trial_card
from equiray.reports.search.record import Configuration, Objective, SearchFile, Trial
from equiray.reports.search.standings import lower_label, other_words
from equiray.reports.words import count, number

_LOOKS = {"base": ("square", "base"), "untuned": ("triangle", "untuned")}
_KNOWN = ("circle", "known")
_NEAR = 0.5
"""How far beyond the evaluated points an axis reaches for its context, in lengths of what they span."""

MOST_WHISKERS = 30
"""Points whose whiskers all show at once; those of more would hide the points."""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A mark with its card; `promised` is where validation had it, `link` what joins marks of one configuration."""

    mark: Mark
    card: Card
    promised: tuple[float, float] | None = None
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class FrontChart:
    """A plane of two objectives; of `spots` the last lies on top. Of a `crowded` one whiskers show when asked for."""

    title: str
    meaning: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    dots: tuple[Mark, ...]
    spots: tuple[Spot, ...]
    reference: tuple[float, float] | None
    legend: tuple[Entry, ...]
    notes: tuple[str, ...]
    crowded: bool


class _Pair(NamedTuple):
    """The objectives of the lower axis and of the other."""

    x: Objective
    y: Objective


def front_charts(document: SearchFile) -> list[FrontChart]:
    """A plane for each objective beside the first that is better when higher (of none, the first of all)."""
    upright = next((o for o in document.objectives if o.direction == "higher"), document.objectives[0])
    pairs = (_Pair(objective, upright) for objective in document.objectives if objective is not upright)
    return [chart for pair in pairs if (chart := _chart(document, pair)) is not None]


def links(document: SearchFile) -> dict[str, str]:
    """A name for each point of the front that is safe in a style sheet, whatever its id holds."""
    return {point.id: f"p{place}" for place, point in enumerate(document.ordered_front)}


def _chart(document: SearchFile, pair: _Pair) -> FrontChart | None:
    evaluated = [*document.front, *document.beside]
    trials = [t for t in document.trials if t.values and t.number not in document.evaluated_trials]
    core = [*_ends(evaluated, pair), *(_promised(point, pair) for point in evaluated)]
    around = [_pair_of(trial.values or {}, pair) for trial in trials]
    frontier = [_pair_of(point, pair) for point in document.frontier.points] if document.frontier else []
    reference = (pair.x.reference, pair.y.reference)
    known = [place for place in core if place is not None] or [place for place in around if place is not None]
    if not known:
        return None
    nearby = [*(place for place in (*around, *frontier) if place is not None), reference]
    plane = Plane(*(_axis([p[i] for p in known], [p[i] for p in nearby]) for i in (0, 1)))
    shown = [(trial, place) for trial, place in zip(trials, around, strict=True) if place and _inside(plane, place)]
    dots = [place for place in _some(frontier) if place and _inside(plane, place)]
    spots = (
        *(Spot(mark=_trial_mark(plane, place, trial), card=trial_card(document, trial)) for trial, place in shown),
        *_evaluated_spots(document, plane, pair),
    )
    return FrontChart(
        title=f"{_title(pair.y.metric)} against {lower_label(pair.x.metric)}",
        meaning=_meaning(pair),
        x_label=lower_label(pair.x.metric),
        y_label=lower_label(pair.y.metric),
        x_ticks=plane.x.ticks,
        y_ticks=plane.y_ticks,
        dots=tuple(_mark(plane, place, "dot", "parity", _spoken_dot(place, pair)) for place in dots),
        spots=spots,
        reference=plane.at(*reference) if _inside(plane, reference) else None,
        legend=tuple(_legend(document, spots, bool(dots))),
        crowded=len(evaluated) > MOST_WHISKERS,
        notes=tuple(_notes(pair, reference, plane, sum(place is not None for place in around) - len(shown))),
    )


def _evaluated_spots(document: SearchFile, plane: Plane, pair: _Pair) -> Iterable[Spot]:
    """What the front is held against, then the front, each with the limits of test."""
    named = links(document)
    for point in (*document.beside, *document.ordered_front):
        x, y = point.test[pair.x.metric], point.test[pair.y.metric]
        if x.value is None or y.value is None:
            continue
        shape, style = ("diamond", "front") if point.id in named else _LOOKS.get(point.name or "", _KNOWN)
        at, card, promised = plane.at(x.value, y.value), point_card(document, point), _promised(point, pair)
        mark = Mark(
            shape=shape,
            style=style,
            x=at[0],
            y=at[1],
            x_arm=None if x.low is None or x.high is None else (plane.x.at(x.low), plane.x.at(x.high)),
            y_arm=None if y.low is None or y.high is None else (_down(plane, y.high), _down(plane, y.low)),
            spoken=card.spoken,
        )
        yield Spot(mark=mark, card=card, promised=promised and plane.at(*promised), link=named.get(point.id, ""))


def _trial_mark(plane: Plane, place: tuple[float, float], trial: Trial) -> Mark:
    return _mark(plane, place, "dot", "trial" if trial.status == "done" else "broke")


def _mark(plane: Plane, place: tuple[float, float], shape: str, style: str, spoken: str = "") -> Mark:
    x, y = plane.at(*place)
    return Mark(shape=shape, style=style, x=x, y=y, spoken=spoken)


def _axis(core: Sequence[float], context: Iterable[float]) -> Axis:
    span = (max(core) - min(core)) or abs(max(core)) / 10 or 0.05
    low, high = min(core) - _NEAR * span, max(core) + _NEAR * span
    return axis_over([*core, *(v for v in context if low <= v <= high)])


def _inside(plane: Plane, place: tuple[float, float]) -> bool:
    return plane.x.low <= place[0] <= plane.x.high and plane.y.low <= place[1] <= plane.y.high


def _down(plane: Plane, value: float) -> float:
    return round(100 - plane.y.at(value), 2)


def _pair_of(values: dict[str, float | None], pair: _Pair) -> tuple[float, float] | None:
    x, y = values.get(pair.x.metric), values.get(pair.y.metric)
    return None if x is None or y is None else (x, y)


def _promised(point: Configuration, pair: _Pair) -> tuple[float, float] | None:
    return _pair_of(point.validation, pair)


def _ends(points: Iterable[Configuration], pair: _Pair) -> Iterable[tuple[float, float]]:
    """Values and limits on test, as places."""
    for point in points:
        x, y = point.test[pair.x.metric], point.test[pair.y.metric]
        if x.value is None or y.value is None:
            continue
        yield x.value, y.value
        yield x.value if x.low is None else x.low, y.value if y.low is None else y.low
        yield x.value if x.high is None else x.high, y.value if y.high is None else y.high


def _some(places: Sequence[tuple[float, float] | None]) -> list[tuple[float, float] | None]:
    """At most `MOST_DOTS`, evenly among all."""
    if len(places) <= MOST_DOTS:
        return list(places)
    return [places[round(i * (len(places) - 1) / (MOST_DOTS - 1))] for i in range(MOST_DOTS)]


def _title(metric: str) -> str:
    label = lower_label(metric)
    return label[:1].upper() + label[1:]


def _meaning(pair: _Pair) -> str:
    up, right = ("up" if pair.y.direction == "higher" else "down", "right" if pair.x.direction == "higher" else "left")
    return (
        f"{up} and to the {right} is better; points and whiskers are test, a thin line leads to where validation had "
        "placed the point. Rest on a point, or tap it, for its configuration"
    )


def _spoken_dot(place: tuple[float, float], pair: _Pair) -> str:
    x, y = (f"{lower_label(o.metric)} {number(v, o.metric)}" for o, v in zip(pair, place, strict=True))
    return f"error-parity frontier: {x}, {y}"


def _legend(document: SearchFile, spots: Sequence[Spot], has_frontier: bool) -> Iterable[Entry]:
    styles = {spot.mark.style for spot in spots}
    if "front" in styles:
        yield Entry("diamond", "front", f"the front, {count(len(document.front), 'point')}, on test")
        yield Entry("line", "front", "to where validation had it")
    for point in document.beside:
        shape, style = _LOOKS.get(point.name or "", _KNOWN)
        yield Entry(shape, style, other_words(point))
    if has_frontier and document.frontier:
        yield Entry("dot", "parity", document.frontier.title)
    if "trial" in styles:
        yield Entry("dot", "trial", "other trials, on validation")
    if "broke" in styles:
        yield Entry("dot", "broke", "trials that broke a constraint or were stopped")


def _notes(pair: _Pair, reference: tuple[float, float], plane: Plane, off: int) -> Iterable[str]:
    place = f"{lower_label(pair.x.metric)} {reference[0]:g}, {lower_label(pair.y.metric)} {reference[1]:g}"
    where = "is the cross" if _inside(plane, reference) else "lies off this plot"
    yield f"The reference point of the hypervolume ({place}) {where}."
    if off:
        yield f"{count(off, 'trial')} with figures further off {'is' if off == 1 else 'are'} not drawn."
