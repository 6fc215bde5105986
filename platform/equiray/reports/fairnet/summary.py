"""The answer in words, written from the figures: what FairNet did to the worst cell, what it cost, where it loses."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from equiray.metrics.frontiers import Trade
from equiray.reports.fairnet.record import FairnetFile, Task
from equiray.reports.fairnet.tables import change_words, effects_of
from equiray.reports.fairnet.trainings import Seed
from equiray.reports.frontier_figures import FrontierRecord
from equiray.reports.key_figures import KeyFigure
from equiray.reports.words import NO_BREAK, count, enumerate_words, number

EOD = "equalized_odds_difference_max"


class Standing(NamedTuple):
    """Where the chosen point of a training lies to a frontier; `beaten` is None where that is not known."""

    seed: int
    beaten: bool | None
    said: str


def overview(document: FairnetFile, frontiers: Sequence[FrontierRecord]) -> list[str]:
    """The opening: what limits the run, then one sentence for each task."""
    limits = ["This is a smoke run, too small for conclusions."] if document.smoke else []
    invented = [task.title for task in document.tasks if task.synthetic]
    if invented:
        limits.append(f"{enumerate_words(invented)}: the data are synthetic, and say nothing about people.")
    answers = [f"{task.title}: {_short_answer(document, task, frontiers)}" for task in document.tasks]
    return [text for text in (" ".join(limits), *answers) if text]


def _short_answer(document: FairnetFile, task: Task, frontiers: Sequence[FrontierRecord]) -> str:
    said = answer(document, task, frontiers)
    return said[0] if said else "FairNet was not compared with ERM."


def answer(document: FairnetFile, task: Task, frontiers: Sequence[FrontierRecord]) -> list[str]:
    """Whether the worst cell is better, by how much, what it cost, and whether thresholds alone do as well."""
    changes = task.change("fairnet")
    if changes is None:
        return []
    effects = {name: change_words(e).replace(" ", NO_BREAK) for name, e in effects_of(task, changes).items()}
    worst, accuracy = changes.worst, changes.accuracy
    opening = {
        "yes": f"the worst cell is better under FairNet than under ERM: {effects['worst']}",
        "no": f"the worst cell is not better under FairNet than under ERM: {effects['worst']}",
        "INCONCLUSIVE": f"INCONCLUSIVE: we cannot tell whether FairNet makes the worst cell better than ERM does: "
        f"{effects['worst']}",
    }[changes.worst_up]
    trained = count(changes.trainings, "training")
    mean = f"; mean of {trained}" if changes.trainings > 1 else ""
    opening += f" (from {number(worst.first)} to {number(worst.second)}{mean}; limits hold for all cells at once)."
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
    named = {
        "the error-parity frontier": [parity_standing(task, seed, frontiers) for seed in task.seeds],
        "what group thresholds alone do for the worst cell": [cell_standing(seed) for seed in task.seeds],
    }
    paragraphs.append(" ".join(_standings(what, found) for what, found in named.items()))
    return [paragraphs[0][:1].upper() + paragraphs[0][1:], *paragraphs[1:]]


def _standings(what: str, found: Sequence[Standing]) -> str:
    below, unknown = sum(s.beaten is True for s in found), sum(s.beaten is None for s in found)
    of = f"in {below} of {count(len(found), 'training')}"
    if unknown == len(found):
        return f"Whether FairNet lies below {what} is not known."
    doubt = f"; of {unknown} it is not known" if unknown else ""
    return f"FairNet lies below {what} {of}{doubt}." if below else f"FairNet lies below {what} in no training{doubt}."


def frontiers_of(
    document: FairnetFile, task: Task, seed: Seed, found: Iterable[FrontierRecord]
) -> list[FrontierRecord]:
    """Error-parity frontiers of the base model of a training."""
    model = f"{document.backbone.name}_seed{seed.seed}"
    return [
        f
        for f in found
        if (f.task, f.stage, f.model, f.reading.metric, f.reading.attribute)
        == (task.task, "erm", model, EOD, task.attribute)
    ]


def parity_standing(task: Task, seed: Seed, frontiers: Sequence[FrontierRecord]) -> Standing:
    """Whether group thresholds, read on the same rows, are as equal and more accurate than the chosen gates."""
    rules = [point.on_read for record in frontiers for point in record.reading.points]
    point = seed.point("fairnet")
    if not rules or point is None or point.accuracy is None or point.equalized_odds_difference_max is None:
        why = "no error-parity frontier was kept" if not rules else "FairNet’s own figures are not estimable"
        return Standing(seed.seed, None, f"Seed {seed.seed}: whether FairNet lies below it is not known, for {why}.")
    at = Trade(point.equalized_odds_difference_max, point.accuracy)
    better = [rule for rule in rules if rule.disparity <= at.disparity and rule.accuracy > at.accuracy]
    ours = f"FairNet (equalized odds {number(at.disparity)}, accuracy {number(at.accuracy)})"
    swept = _swept_below(seed, rules)
    if not better:
        said = f"{ours} does not lie below: none of {count(len(rules), 'rule')} is as equal and more accurate"
        return Standing(seed.seed, False, f"Seed {seed.seed}: {said}.{swept}")
    best = max(better, key=lambda rule: rule.accuracy)
    said = (
        f"{ours} lies BELOW the error-parity frontier: {len(better)} of {count(len(rules), 'rule')} are as equal and "
        f"more accurate, the best by {number(best.accuracy - at.accuracy)} (equalized odds {number(best.disparity)}, "
        f"accuracy {number(best.accuracy)}), which is too good for that one, for it is the best of many"
    )
    return Standing(seed.seed, True, f"Seed {seed.seed}: {said}.{swept}")


def _swept_below(seed: Seed, rules: Sequence[Trade]) -> str:
    sweep = seed.sweep
    places = [
        (d, a)
        for d, a in zip(sweep.equalized_odds_difference_max, sweep.accuracy, strict=True)
        if d is not None and a is not None
    ]
    below = sum(any(rule.disparity <= d and rule.accuracy > a for rule in rules) for d, a in places)
    return f" Of {count(len(places), 'threshold')} of the gates, {count(below)} lie below it." if places else ""


def cell_standing(seed: Seed) -> Standing:
    """Whether group thresholds at some price do better than the chosen gates in accuracy and in the worst cell."""
    point = seed.point("fairnet")
    priced = [(g.worst_cell, g.accuracy) for g in seed.group_thresholds]
    known = [(worst, accuracy) for worst, accuracy in priced if worst is not None and accuracy is not None]
    if not known or point is None or point.worst_cell is None or point.accuracy is None:
        why = "group thresholds were not measured" if not known else "FairNet’s own figures are not estimable"
        said = f"Seed {seed.seed}: whether group thresholds alone do as well is not known, for {why}."
        return Standing(seed.seed, None, said)
    at = (point.worst_cell, point.accuracy)
    better = [p for p in known if p[0] >= at[0] and p[1] >= at[1] and p != at]
    ours = f"FairNet (worst cell {number(at[0])}, accuracy {number(at[1])})"
    if not better:
        said = f"{ours} is not below group thresholds: at none of {count(len(known), 'price')} do they better both"
        return Standing(seed.seed, False, f"Seed {seed.seed}: {said}.")
    best = max(better)
    said = f"{ours} lies BELOW group thresholds on ERM’s scores, which reach worst cell {number(best[0])} at accuracy "
    return Standing(seed.seed, True, f"Seed {seed.seed}: {said}{number(best[1])}; but they must know the group.")


def tiles(document: FairnetFile) -> list[KeyFigure]:
    """Two for each task: the worst cell, and accuracy."""
    found = []
    for task in document.tasks:
        changes = task.change("fairnet")
        if changes is None:
            continue
        effects = effects_of(task, changes)
        levels = (("Worst cell", "worst", changes.worst, changes.worst_up, {"yes": "better", "no": "not better"}),)
        levels += (
            ("Accuracy", "accuracy", changes.accuracy, changes.accuracy_kept, {"yes": "kept", "no": "not kept"}),
        )
        for label, name, change, said, words in levels:
            value = f"{number(change.first)} → {number(change.second)}"
            note = f"{change_words(effects[name])} against ERM: {words.get(said, said)}"
            found.append(KeyFigure(f"{label}, {task.title}", value, note))
    return found[:6]
