"""Where FairNet stands to what group thresholds alone would do: said wherever it lies below, and where nobody knows."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from equiray.metrics.frontiers import Trade
from equiray.reports.fairnet.record import Task
from equiray.reports.fairnet.trainings import Seed
from equiray.reports.frontier_figures import FrontierRecord
from equiray.reports.words import count, number

EOD = "equalized_odds_difference_max"


class Standing(NamedTuple):
    """Where the chosen point of a training lies to a frontier; `beaten` is None where that is not known."""

    seed: int
    beaten: bool | None
    said: str


def parity_frontiers(task: Task, seed: Seed, found: Iterable[FrontierRecord]) -> list[FrontierRecord]:
    """Error-parity frontiers of the base model of a training."""
    return [
        f
        for f in found
        if (f.task, f.stage, f.reading.metric, f.reading.attribute) == (task.task, "erm", EOD, task.attribute)
        and f.model.endswith(f"_seed{seed.seed}")
    ]


def parity_standing(seed: Seed, frontiers: Sequence[FrontierRecord]) -> Standing:
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
    places = [
        (d, a)
        for sweep in seed.sweeps
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
