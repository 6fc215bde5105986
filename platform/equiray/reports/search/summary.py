"""The answer in words: what was searched, and what the front offers on rows that chose nothing."""

from collections import Counter

from equiray.reports.key_figures import KeyFigure
from equiray.reports.search.cards import STATUS, point_title
from equiray.reports.search.record import Objective, SearchFile
from equiray.reports.search.standings import (
    compared,
    interval_words,
    leader,
    limits_words,
    lower_label,
    other_words,
    standing,
    standings_words,
)
from equiray.reports.words import NO_BREAK, count, enumerate_words, number, share

_KINDS = {
    "fairnet": ("FairNet’s detectors and adapters", "every threshold of the gates"),
    "unlearning": ("unlearning", None),
    "combined": ("unlearning with a classifier on top", "every decision threshold"),
}
UNITS = {"fairnet": "row", "unlearning": "prompt", "combined": "row"}


def overview(document: SearchFile) -> list[str]:
    """What limits the sweep, what was searched, and what the front offers, or why there is none."""
    limits = ["This is a smoke run, too small for conclusions."] if document.smoke else []
    first = " ".join([*limits, _searched(document), _fates(document)])
    told = [_no_front(document)]
    if document.front:
        told = [_offer(document), *(_leader_words(document, o) for o in document.objectives), _shrinkage(document)]
    return [paragraph for paragraph in (first, *told) if paragraph]


def tiles(document: SearchFile) -> list[KeyFigure]:
    """The point that validation has best in each objective, beside the base; the hypervolume; the most stable point."""
    found = [tile for objective in document.objectives if (tile := _leader_tile(document, objective)) is not None]
    volume = document.hypervolume
    if document.front and volume.test is not None and volume.test.value is not None:
        value = f"{number(volume.validation)} → {number(volume.test.value)}"
        found.append(KeyFigure("Hypervolume", value, "validation → test", _limits(document)))
    stable = max((p for p in document.front if p.stability is not None), key=lambda p: p.stability or 0, default=None)
    if stable is not None:
        note = f"of resamples {point_title(stable)} stays non-dominated: the steadiest point"
        found.append(KeyFigure("Stability", share(stable.stability), note))
    done = len(document.of_status("done"))
    found.append(KeyFigure("Trials", f"{count(done)} of {count(len(document.trials))}", STATUS["done"]))
    return found[:6]


def objectives_words(document: SearchFile) -> str:
    """``accuracy (higher is better) and equalized odds difference (max) (lower is better)``."""
    return enumerate_words([f"{lower_label(o.metric)} ({o.direction} is better)" for o in document.objectives])


def _searched(document: SearchFile) -> str:
    what, free = _KINDS[document.kind]
    by = f", by {document.attribute}" if document.attribute else ""
    inside = f" Inside a trial {free} was tried on cached outputs: one trial offers many points." if free else ""
    return (
        f"{count(len(document.trials), 'trial')} of {what} on {document.task}{by} searched "
        f"{count(len(document.space), 'setting')} for the best trades of {objectives_words(document)}.{inside}"
    )


def _fates(document: SearchFile) -> str:
    found = Counter(trial.status for trial in document.trials)
    told = [f"{count(found[status])} {words}" for status, words in STATUS.items() if found[status]]
    return f"Of the trials {enumerate_words(told)}." if told else ""


def _offer(document: SearchFile) -> str:
    unit = UNITS[document.kind]
    told = [standings_words(document, other) for other in compared(document)]
    return (
        f"The front has {count(len(document.front), 'configuration')} of {count(len(document.front_trials), 'trial')}. "
        f"{count(document.rows.validation, f'validation {unit}')} chose them; on "
        f"{count(document.rows.test, f'test {unit}')}, which chose nothing, figures are as follows. {' '.join(told)}"
    )


def _leader_words(document: SearchFile, objective: Objective) -> str:
    point, base = leader(document, objective), document.against("base")
    if point is None or base is None:
        return ""
    told = [
        f"{lower_label(o.metric)} {interval_words(point, o.metric)}, of {other_words(base)} "
        f"{interval_words(base, o.metric)}: {standing(document, point, base, o)}"
        for o in document.objectives
    ]
    best = f"Best in {lower_label(objective.metric)} on validation is {point_title(point)}"
    return f"{best}. On test it has {'; '.join(told)}."


def _shrinkage(document: SearchFile) -> str:
    volume = document.hypervolume
    if volume.test is None or volume.test.value is None:
        return ""
    test = f"{number(volume.test.value)} {_limits(document)}".strip().replace(" ", NO_BREAK)
    return (
        f"The front’s hypervolume is {number(volume.validation)} on validation and {test} on test: points that are "
        "chosen for being best look better where they were chosen."
    )


def _no_front(document: SearchFile) -> str:
    if not document.of_status("done", "infeasible"):
        return "There is no front: no trial ran to the end."
    ranked = sorted(document.constraints, key=lambda c: -c.killed)
    broken = [
        f"“{c.name}” was broken by {count(c.killed)} of {count(len(document.trials), 'trial')}"
        for c in ranked
        if c.killed
    ]
    if not broken:
        return "There is no front: no trial offered a point whose objectives are all estimable."
    return f"There is no front: no trial kept all constraints. {enumerate_words(broken)}; a trial may break several."


def _leader_tile(document: SearchFile, objective: Objective) -> KeyFigure | None:
    point, base = leader(document, objective), document.against("base")
    if point is None:
        return None
    metric = objective.metric
    note = point_title(point)
    if base is not None:
        note += f"; {other_words(base)} {interval_words(base, metric)}: {standing(document, point, base, objective)}"
    label = f"Best {lower_label(metric)} by validation, on test"
    return KeyFigure(label, number(point.test[metric].value, metric), note, limits_words(point, metric))


def _limits(document: SearchFile) -> str:
    test = document.hypervolume.test
    if test is None or test.low is None or test.high is None:
        return ""
    return f"[{number(test.low)}, {number(test.high)}]"
