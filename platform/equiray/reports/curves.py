"""Curves of training: what training logged, as polylines in a 100 x 100 box that the page stretches to its width."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from equiray.reports.axes import Axis, Tick, axis_over


class Series(NamedTuple):
    """One logged key: `style` picks colour and dash in the style sheet."""

    key: str
    label: str
    style: str


class ChartWords(NamedTuple):
    """What a chart shows of the log; `zero` has its axis begin at 0."""

    title: str
    meaning: str
    series: tuple[Series, ...]
    zero: bool


_CHARTS = (
    ChartWords(
        "Gap on held-out prompts",
        "validation families, never trained on; signed below 0 would be an inversion",
        (Series("validation_gap", "absolute", "a"), Series("validation_gap_signed", "signed", "b")),
        True,
    ),
    ChartWords(
        "Perplexity",
        "on held-out reference text; a rise is the price of forgetting",
        (Series("perplexity", "perplexity", "a"),),
        False,
    ),
    ChartWords(
        "Loss terms",
        "before weighting, on the training batch",
        (
            Series("unlearn", "unlearn", "a"),
            Series("learn", "learn", "b"),
            Series("gap", "gap", "c"),
            Series("kl", "KL", "d"),
        ),
        True,
    ),
    ChartWords(
        "Gradient cosine of learn and unlearn",
        "below 0 the two terms pull against each other",
        (Series("gradient_cosine", "cosine", "a"),),
        True,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One series of one fold; `points` are ``x,y`` pairs in the box, y downwards; `ends` the last point."""

    style: str
    points: str
    last: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A titled set of lines with its ticks; y ticks in percent from the top."""

    title: str
    meaning: str
    legend: tuple[Series, ...]
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    zero: float | None
    spoken: str


def charts_of(curve: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """The charts that the logged steps can fill; a key never logged leaves no chart and no legend entry."""
    charts = (chart_of(words, curve) for words in _CHARTS)
    return [chart for chart in charts if chart is not None]


def chart_of(words: ChartWords, curve: Sequence[Mapping[str, Any]]) -> Chart | None:
    """A chart of logged steps, None where they lack its keys."""
    folds = sorted({step.get("fold") or 0 for step in curve})
    tracks = {(s, fold): _track(curve, s.key, fold) for s in words.series for fold in folds}
    tracks = {key: track for key, track in tracks.items() if track}
    if not tracks:
        return None
    ys = [y for track in tracks.values() for _, y in track]
    y_axis = axis_over([*ys, 0.0] if words.zero else ys)
    x_axis = _steps_axis(x for track in tracks.values() for x, _ in track)
    legend = tuple(s for s in words.series if any(series is s for series, _ in tracks))
    return Chart(
        title=words.title,
        meaning=words.meaning,
        legend=legend,
        lines=tuple(_line(series.style, track, x_axis, y_axis) for (series, _), track in tracks.items()),
        x_ticks=x_axis.ticks,
        y_ticks=tuple(Tick(round(100 - tick.at, 2), tick.label) for tick in y_axis.ticks),
        zero=round(100 - y_axis.at(0), 2) if y_axis.low <= 0 <= y_axis.high else None,
        spoken="; ".join(_spoken(s, [t for (series, _), t in tracks.items() if series is s]) for s in legend),
    )


def _track(curve: Sequence[Mapping[str, Any]], key: str, fold: int) -> list[tuple[int, float]]:
    steps = (step for step in curve if (step.get("fold") or 0) == fold)
    return [(step["step"], float(step[key])) for step in steps if isinstance(step.get(key), (int, float))]


def _steps_axis(steps: Iterable[int]) -> Axis:
    known = list(steps)
    return axis_over([0, max(*known, 1)])


def _line(style: str, track: list[tuple[int, float]], x_axis: Axis, y_axis: Axis) -> Line:
    points = [(x_axis.at(x), round(100 - y_axis.at(y), 2)) for x, y in track]
    return Line(style=style, points=" ".join(f"{x:g},{y:g}" for x, y in points), last=points[-1])


def _spoken(series: Series, tracks: list[list[tuple[int, float]]]) -> str:
    ends = ", ".join(
        f"{track[0][1]:.3g} at step {track[0][0]} to {track[-1][1]:.3g} at step {track[-1][0]}" for track in tracks
    )
    return f"{series.label}: {ends}"
