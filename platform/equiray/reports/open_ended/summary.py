"""The answer in words: which groups' texts differ by more than the scorer's own error, and which do not."""

from equiray.metrics.estimates import Estimate
from equiray.reports.key_figures import KeyFigure
from equiray.reports.open_ended.record import OpenEndedFile, OpenEndedTask, PairFinding
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
    """The largest difference of each source in each of its first two measures."""
    found = []
    for task in document.tasks:
        for measure in task.measures[::2]:
            pairs = [(pair, difference_of(task, pair)) for pair in task.pairs if pair.measure == measure]
            known = [(pair, e) for pair, e in pairs if e is not None and e.value is not None]
            if not known:
                continue
            pair, e = max(known, key=lambda each: abs(each[1].value or 0))
            label = f"{metric_words(measure).label}, {task.title}"
            found.append(KeyFigure(label, _with_limits(e), f"{pair_words(pair)}: {pair.finding}"))
    return found[:6]


def _answer(task: OpenEndedTask) -> str:
    said = []
    for measure in task.measures:
        pairs = [pair for pair in task.pairs if pair.measure == measure]
        clear = [pair for pair in pairs if pair.finding in ("higher", "lower")]
        within = [pair for pair in pairs if pair.finding == WITHIN]
        name = metric_words(measure).label.lower()
        if clear:
            shown = "; ".join(_clear(task, pair) for pair in clear[:_MOST_NAMED])
            more = f" and {count(len(clear) - _MOST_NAMED, 'more pair')}" if len(clear) > _MOST_NAMED else ""
            said.append(f"{name} differs by more than the scorer’s own error: {shown}{more}")
        if within:
            said.append(f"{name}: {_of_pairs(len(within), len(pairs))} within the scorer’s own error")
        if not clear and not within:
            said.append(f"{name}: INCONCLUSIVE for {_of_pairs(len(pairs), len(pairs))}")
    return ". ".join(part[:1].upper() + part[1:] for part in said) + "."


def _of_pairs(part: int, whole: int) -> str:
    if whole == 1:
        return "the one pair of groups"
    return f"all {count(whole, 'pair')} of groups" if part == whole else f"{part} of {count(whole, 'pair')} of groups"


def _clear(task: OpenEndedTask, pair: PairFinding) -> str:
    e = difference_of(task, pair)
    limits = "" if e is None else f" {_with_limits(e)}"
    return f"{group_words(pair.one)} {pair.finding} than {group_words(pair.other)}{limits}"


def _with_limits(e: Estimate) -> str:
    return f"{signed(e)} {bracket(e)}".strip().replace(" ", NO_BREAK)
