"""The answer in words, written from the figures: what FairNet did to the worst cell, what it cost, where it loses."""

from collections.abc import Sequence

from equiray.reports.fairnet.record import FairnetFile, Task
from equiray.reports.fairnet.standings import Standing, cell_standing, parity_frontiers, parity_standing
from equiray.reports.fairnet.tables import change_words, effects_of
from equiray.reports.figures import Reading, read_effect
from equiray.reports.frontier_figures import FrontierRecord
from equiray.reports.key_figures import KeyFigure
from equiray.reports.words import NO_BREAK, count, enumerate_words, number


def overview(document: FairnetFile, frontiers: Sequence[FrontierRecord]) -> list[str]:
    """The opening: what limits the run, then one sentence for each task."""
    limits = ["This is a smoke run, too small for conclusions."] if document.smoke else []
    invented = [task.title for task in document.tasks if task.synthetic]
    if invented:
        limits.append(f"{enumerate_words(invented)}: the data are synthetic, and say nothing about people.")
    answers = [f"{task.title}: {_in_a_line(answer(document, task, frontiers))}" for task in document.tasks]
    asked = f"Asked for: {document.asked}." if document.asked else ""
    return [text for text in (" ".join(limits), *answers, asked) if text]


def _in_a_line(said: list[str]) -> str:
    if not said:
        return "FairNet was not compared with ERM."
    first, last = said[0], said[-1]
    return f"{first[:1].lower()}{first[1:]} {last}"


def answer(document: FairnetFile, task: Task, frontiers: Sequence[FrontierRecord]) -> list[str]:
    """Whether the worst cell is better, by how much, what it cost, and whether thresholds alone do as well."""
    changes = task.change("fairnet")
    if changes is None:
        return []
    measured = effects_of(task, changes)
    effects = {name: change_words(e).replace(" ", NO_BREAK) for name, e in measured.items()}
    worst, accuracy = changes.worst, changes.accuracy
    opening = f"{_worst_words(read_effect(measured['worst']))}: {effects['worst']}"
    trained = count(changes.trainings, "training")
    mean = f"; mean of {trained}" if changes.trainings > 1 else ""
    opening += f" (from {number(worst.first)} to {number(worst.second)}{mean}; limits hold for all cells at once). "
    opening += {
        "yes": "That is as much as was asked for.",
        "no": "That is less than was asked for.",
        "INCONCLUSIVE": "INCONCLUSIVE whether that is as much as was asked for.",
    }[changes.worst_up]
    cost = {
        "yes": "accuracy is kept",
        "no": "accuracy is not kept",
        "INCONCLUSIVE": "INCONCLUSIVE whether accuracy is kept",
    }[changes.accuracy_kept]
    levels = f"(from {number(accuracy.first)} to {number(accuracy.second)})"
    paragraphs = [opening + f" Of all rows, {cost}: {effects['accuracy']} {levels}."]
    shut = [seed for seed in task.seeds if all(t == "inf" for t in seed.choice.thresholds)]
    if shut:
        paragraphs.append(
            f"In {len(shut)} of {count(len(task.seeds), 'training')} every gate stays shut, so that FairNet decides as "
            f"ERM does: {shut[0].choice.reason}."
        )
    paragraphs.append(_standings_words(document, task, frontiers))
    return [paragraphs[0][:1].upper() + paragraphs[0][1:], *paragraphs[1:]]


def _worst_words(reading: Reading) -> str:
    """What the limits alone let one say; how much was asked for is another question."""
    if reading in ("better", "worse"):
        return f"the worst cell is {reading} under FairNet than under ERM"
    if reading == "identical":
        return "the worst cell is the same under FairNet as under ERM"
    return "we cannot tell whether FairNet makes the worst cell better than ERM does"


def _standings_words(document: FairnetFile, task: Task, frontiers: Sequence[FrontierRecord]) -> str:
    own = [parity_standing(seed, parity_frontiers(task, seed, frontiers)) for seed in task.seeds]
    named = {
        "the error-parity frontier": own,
        "what group thresholds alone do for the worst cell": [cell_standing(seed) for seed in task.seeds],
    }
    return " ".join(_standings(what, found) for what, found in named.items())


def _standings(what: str, found: Sequence[Standing]) -> str:
    below, unknown = sum(s.beaten is True for s in found), sum(s.beaten is None for s in found)
    of = f"in {below} of {count(len(found), 'training')}"
    if unknown == len(found):
        return f"Whether FairNet lies below {what} is not known."
    doubt = f"; of {unknown} it is not known" if unknown else ""
    return f"FairNet lies below {what} {of}{doubt}." if below else f"FairNet lies below {what} in no training{doubt}."


def tiles(document: FairnetFile) -> list[KeyFigure]:
    """Two for each task: the worst cell, and accuracy."""
    found = []
    for task in document.tasks:
        changes = task.change("fairnet")
        if changes is None:
            continue
        effects = effects_of(task, changes)
        enough = {"yes": "enough", "no": "less than asked for", "INCONCLUSIVE": "INCONCLUSIVE whether that is enough"}
        kept = {"yes": "kept", "no": "not kept", "INCONCLUSIVE": "INCONCLUSIVE whether that is kept"}
        levels = (
            ("Worst cell", "worst", changes.worst, enough[changes.worst_up]),
            ("Accuracy", "accuracy", changes.accuracy, kept[changes.accuracy_kept]),
        )
        for label, name, change, said in levels:
            value = f"{number(change.first)} → {number(change.second)}"
            note = f"{change_words(effects[name])} against ERM: {said}"
            found.append(KeyFigure(f"{label}, {task.title}", value, note))
    return found[:6]
