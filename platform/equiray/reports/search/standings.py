"""Whether a configuration of the front is better than another: only limits that exclude "no difference" may say so.

Notable: where the run recorded the paired difference on the same test rows (an estimate of stage ``front-beside`` and
model ``<point>-<other>``), its limits decide; else the two intervals must not meet, which asks for more.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from equiray.reports.search.record import Configuration, Objective, SearchFile
from equiray.reports.words import NO_BREAK, count, enumerate_words, metric_words, number

PAIRED = "front-beside"
Standing = Literal["better", "worse", "INCONCLUSIVE"]


def standing(document: SearchFile, point: Configuration, other: Configuration, objective: Objective) -> Standing:
    """How `point` stands to `other` in an objective, on test."""
    limits = _paired(document, point, other, objective) or _apart(point, other, objective)
    if limits is None or limits[0] <= 0 <= limits[1]:
        return "INCONCLUSIVE"
    return "better" if (limits[0] > 0) == (objective.direction == "higher") else "worse"


def standings_words(document: SearchFile, other: Configuration) -> str:
    """How the whole front stands to one configuration, objective by objective."""
    found = Counter(
        (objective.metric, standing(document, point, other, objective))
        for objective in document.objectives
        for point in document.front
    )
    whole, each = count(len(document.front) * len(document.objectives)), count(len(document.front))
    clear = [
        f"{how} in {lower_label(objective.metric)} for {count(found[objective.metric, how])} of {each}"
        for objective in document.objectives
        for how in ("better", "worse")
        if found[objective.metric, how]
    ]
    than, unclear = other_words(other), sum(n for (_, how), n in found.items() if how == "INCONCLUSIVE")
    if not clear:
        return f"Against {than} all {whole} comparisons are INCONCLUSIVE."
    rest = f"; the other {count(unclear)} of {whole} comparisons are INCONCLUSIVE" if unclear else ""
    return f"Against {than} the front is {enumerate_words(clear)}{rest}."


def leader(document: SearchFile, objective: Objective) -> Configuration | None:
    """The point that validation has best in an objective: test figures choose nothing."""
    known = [point for point in document.front if point.validation[objective.metric] is not None]
    sign = 1 if objective.direction == "higher" else -1
    return max(known, key=lambda point: sign * (point.validation[objective.metric] or 0.0), default=None)


def optimism(point: Configuration, objective: Objective) -> float | None:
    """How much better validation looked than test; above 0 the choice flattered, whichever way is better."""
    promised, found = point.validation[objective.metric], point.test[objective.metric].value
    if promised is None or found is None:
        return None
    return promised - found if objective.direction == "higher" else found - promised


def interval_words(point: Configuration, metric: str) -> str:
    """``0.214 [0.164, 0.271]`` on test."""
    return f"{number(point.test[metric].value, metric)} {limits_words(point, metric)}".strip().replace(" ", NO_BREAK)


def limits_words(point: Configuration, metric: str) -> str:
    """``[0.164, 0.271]`` on test, empty where there are no limits."""
    of = point.test.get(metric)
    if of is None or of.low is None or of.high is None:
        return ""
    return f"[{number(of.low, metric)}, {number(of.high, metric)}]"


def other_words(other: Configuration) -> str:
    """``the base``, ``the untuned configuration``, or a known configuration's own name."""
    named = {"base": "the base", "untuned": "the untuned configuration"}
    return named.get(other.name or "", f"“{other.name or other.id}”")


def lower_label(metric: str) -> str:
    """A metric's name inside a sentence."""
    label = metric_words(metric).label
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def compared(document: SearchFile) -> Iterable[Configuration]:
    """What an opening speaks of: base and untuned configuration."""
    return filter(None, (document.against("base"), document.against("untuned")))


def _paired(
    document: SearchFile, point: Configuration, other: Configuration, objective: Objective
) -> tuple[float, float] | None:
    for e in document.estimates:
        if (e.stage, e.model, e.metric) == (PAIRED, f"{point.id}-{other.id}", objective.metric):
            return None if e.low is None or e.high is None else (e.low, e.high)
    return None


def _apart(point: Configuration, other: Configuration, objective: Objective) -> tuple[float, float] | None:
    mine, its = point.test[objective.metric], other.test[objective.metric]
    if mine.low is None or mine.high is None or its.low is None or its.high is None:
        return None
    return mine.low - its.high, mine.high - its.low
