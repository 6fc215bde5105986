"""What shows when a pointer or the keyboard's focus rests on a point: its configuration, its figures, its stability."""

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import JsonValue

from equiray.reports.provenance import Fact
from equiray.reports.search.record import Configuration, SearchFile, Status, Trial
from equiray.reports.search.space import short_keys, threshold_words, value_words
from equiray.reports.search.standings import limits_words, lower_label
from equiray.reports.words import count, metric_words, number, share


class Figures(NamedTuple):
    """A metric on validation and, with its limits, on test; empty where it was not evaluated there."""

    metric: str
    validation: str
    test: str
    interval: str


class Card(NamedTuple):
    """`spoken` says the same in a line, for those who hear the page."""

    title: str
    about: str
    figures: tuple[Figures, ...]
    settings: tuple[Fact, ...]
    spoken: str


STATUS: dict[Status, str] = {
    "done": "ran to the end",
    "stopped": "stopped early",
    "infeasible": "broke a constraint",
    "failed": "failed",
}
ORIGIN = {
    "known": "a known configuration",
    "start": "drawn at random to begin with",
    "suggested": "suggested",
    "grid": "of the grid",
}


def point_title(point: Configuration) -> str:
    """The id, and the name where there is another."""
    return point.id if point.name in (None, point.id) else f"{point.name} ({point.id})"


def point_card(document: SearchFile, point: Configuration) -> Card:
    """The card of a configuration that was evaluated on test."""
    metrics = [objective.metric for objective in document.objectives]
    metrics += [metric for metric in point.test if metric not in metrics]
    about = [] if point.trial is None else [f"trial {point.trial}"]
    if point.stability is not None:
        about.append(f"non-dominated in {share(point.stability)} of resamples")
    if point.open is not None:
        about.append(f"gates open for {share(point.open)} of rows")
    figures = tuple(
        Figures(
            metric_words(metric).label,
            number(point.validation[metric], metric) if metric in point.validation else "–",
            number(point.test[metric].value, metric),
            limits_words(point, metric),
        )
        for metric in metrics
    )
    thresholds = [Fact(f"threshold, {gate}", threshold_words(tau)) for gate, tau in point.thresholds.items()]
    settings = (*_settings(point.settings), *thresholds)
    spoken = [f"{of.metric} {of.test} {of.interval}".strip() for of in figures]
    return Card(
        title=point_title(point),
        about=" · ".join(about),
        figures=figures,
        settings=settings,
        spoken=f"{point_title(point)} on test: {', '.join(spoken)}",
    )


def trial_card(document: SearchFile, trial: Trial) -> Card:
    """The card of a trial off the front: its own best compromise on validation."""
    values = trial.values or {}
    figures = tuple(
        Figures(metric_words(o.metric).label, number(values.get(o.metric), o.metric), "–", "")
        for o in document.objectives
    )
    about = [STATUS[trial.status]]
    if trial.status == "done":
        about = [f"its best of {count(trial.points, 'point')}", "dominated by others"]
    spoken = [f"{lower_label(o.metric)} {number(values.get(o.metric), o.metric)}" for o in document.objectives]
    return Card(
        title=f"trial {trial.number}" + (f" ({trial.name})" if trial.name else ""),
        about=" · ".join([*about, trial.reason] if trial.reason else about),
        figures=figures,
        settings=_settings(trial.settings),
        spoken=f"trial {trial.number} on validation: {', '.join(spoken)}; {STATUS[trial.status]}",
    )


def _settings(settings: Mapping[str, JsonValue]) -> tuple[Fact, ...]:
    short = short_keys(list(settings))
    return tuple(Fact(short[key], value_words(value)) for key, value in settings.items())
