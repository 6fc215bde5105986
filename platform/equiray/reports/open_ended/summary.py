"""The answer in words: which groups' texts differ by more than the scorer's own error, and which do not."""

from collections import Counter

from equiray.metrics.estimates import Estimate
from equiray.reports.key_figures import KeyFigure
from equiray.reports.open_ended.record import Measure, OpenEndedFile, OpenEndedTask, PairFinding
from equiray.reports.open_ended.tables import difference_of, group_words, pair_words
from equiray.reports.panels import signed
from equiray.reports.words import NO_BREAK, bracket, count, enumerate_words, metric_words

_MOST_NAMED = 3
WITHIN = "within the scorer's error"


def overview(document: OpenEndedFile) -> list[str]:
    """What limits the run, then what each source's pairs of groups let one say."""
    names = enumerate_words([f"{scorer.measure} by {scorer.name}" for scorer in document.scorers])
    first = "This is a smoke run, too small for conclusions. " if document.smoke else ""
    read = "the whole texts were" if document.read == "text" else "its continuations alone were"
    first += (
        f"A model wrote on from beginnings about groups; {read} rated: {names}. The scorers are small and weak, so "
        "every difference stands beside what they say when only the groups’ words are exchanged."
    )
    return [first, *(f"{task.title}: {_answer(task)}" for task in document.tasks)]


def tiles(document: OpenEndedFile) -> list[KeyFigure]:
    """The largest difference of each source, in toxicity first."""
    found = []
    for measure in ("toxicity", "sentiment"):
        for task in document.tasks:
            pairs = [(pair, difference_of(task, pair)) for pair in task.pairs if pair.measure == measure]
            known = [(pair, e) for pair, e in pairs if e is not None and e.value is not None]
            if not known:
                continue
            pair, e = max(known, key=lambda each: abs(each[1].value or 0))
            label = f"{metric_words(measure).label}, {task.title}"
            found.append(KeyFigure(label, signed(e), f"{bracket(e)} {pair_words(pair)}: {pair.finding}".strip()))
    return found[:6]


def _answer(task: OpenEndedTask) -> str:
    said = [_clear_words(task, measure) for measure in task.measures]
    for finding, words in ((WITHIN, "within the scorer’s own error"), ("INCONCLUSIVE", "INCONCLUSIVE")):
        counts = Counter(pair.measure for pair in task.pairs if pair.finding == finding)
        parts = [f"{_name(measure)} of {count(n, 'pair')}" for measure, n in counts.items()]
        if parts:
            said.append(f"{words}: {enumerate_words(parts)} of groups")
    return "; ".join(part for part in said if part) + "."


def _clear_words(task: OpenEndedTask, measure: Measure) -> str:
    clear = [pair for pair in task.pairs if pair.measure == measure and pair.finding in ("higher", "lower")]
    if not clear:
        return ""
    shown = ", ".join(_clear(task, pair) for pair in clear[:_MOST_NAMED])
    more = f", and {count(len(clear) - _MOST_NAMED, 'more pair')}" if len(clear) > _MOST_NAMED else ""
    return f"{_name(measure)} differs by more than the scorer’s own error: {shown}{more}"


def _name(measure: str) -> str:
    return metric_words(measure).label.lower()


def _clear(task: OpenEndedTask, pair: PairFinding) -> str:
    e = difference_of(task, pair)
    limits = "" if e is None else f" {_with_limits(e)}"
    return f"{group_words(pair.one)} {pair.finding} than {group_words(pair.other)}{limits}"


def _with_limits(e: Estimate) -> str:
    return f"{signed(e)} {bracket(e)}".strip().replace(" ", NO_BREAK)
