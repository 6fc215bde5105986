"""The tiles under the opening paragraph: up to six figures that a hurried reader takes away."""

from collections.abc import Iterable
from typing import NamedTuple

from equiray.metrics.estimates import Estimate
from equiray.reports.comparison import CHANGE, changes_between_groups, reading_words
from equiray.reports.figures import AUDIT, DISPARITIES, Figures, count_readings, is_effect
from equiray.reports.panels import signed
from equiray.reports.run_directory import RunRecord
from equiray.reports.words import MODELS, TASKS, attribute_words, bracket, count, metric_words, model_words, number


class KeyFigure(NamedTuple):
    """One tile: what it is, the figure, what is needed to read it."""

    label: str
    value: str
    note: str
    interval: str = ""


def task_words(run: RunRecord, task: str) -> str:
    """What the run calls a task or a template set."""
    details = run.details.tasks.get(task)
    return (details.title if details else None) or TASKS.get(task, task)


def place_words(run: RunRecord, disparity: Estimate) -> str:
    """``German Credit, by sex, raw columns``."""
    task, model = task_words(run, disparity.task), model_words(disparity.model)
    if disparity.model in MODELS:  # a name of one's own keeps its capitals
        model = model[:1].lower() + model[1:]
    return f"{task}, by {attribute_words(disparity.attribute or '')}, {model}"


def largest_disparity(figures: Figures) -> Estimate | None:
    """The largest demographic parity difference before mitigation, over tasks, models and attributes."""
    return max(figures.unmitigated("demographic_parity_difference"), key=lambda e: e.value or 0, default=None)


def key_figures(run: RunRecord, figures: Figures) -> list[KeyFigure]:
    """Up to six tiles; a part that the run does not have leaves none."""
    compared = [task for task in figures.decision_tasks() if figures.is_comparison(task)]
    if compared:
        return [tile for task in compared for tile in _comparison_tiles(run, figures, task)]
    tiles = [
        _gap_tile(figures, "intrinsic_gap_counterfactual"),
        _gap_tile(figures, "intrinsic_gap"),
        _disparity_tile(run, figures),
        _changes_tile(figures),
        _accuracy_tile(figures),
        _missing_tile(figures),
    ]
    return [tile for tile in tiles if tile]


def _comparison_tiles(run: RunRecord, figures: Figures, task: str) -> Iterable[KeyFigure]:
    for e in figures.all:
        if (e.task, e.stage, e.metric, e.attribute) == (task, CHANGE, "accuracy", None) and e.value is not None:
            yield KeyFigure("Accuracy, B − A", signed(e), reading_words(e), bracket(e))
    readings = count_readings(changes_between_groups(figures, task))
    if readings.compared:
        sides = f"B in {readings['better']}, A in {readings['worse']}"
        note = f"of {count(readings.compared, 'comparison')} between groups; in the others we cannot tell"
        yield KeyFigure("Clearly fairer", sides, note)
    details = run.details.comparison
    if details and details.differing is not None:
        yield KeyFigure("Rows answered differently", count(details.differing), "by A and B")


def _gap_tile(figures: Figures, metric: str) -> KeyFigure | None:
    before = next(iter(figures.levels(metric)), None)
    if before is None:
        return None
    after = figures.get(before.task, "unlearning", before.model, metric, before.attribute)
    value = number(before.value) + (f" → {number(after.value)}" if after else "")
    interval = " → ".join(bracket(e) for e in (before, after) if e)
    when = "before and after unlearning" if after else "before any mitigation"
    note = f"{attribute_words(before.attribute or 'all prompts')}, {when}"
    if metric == "intrinsic_gap":
        note += "; mixes bias with a taste for words"
    return KeyFigure(metric_words(metric).label, value, note, interval)


def _disparity_tile(run: RunRecord, figures: Figures) -> KeyFigure | None:
    largest = largest_disparity(figures)
    if largest is None:
        return None
    note = place_words(run, largest) + ("" if largest.stage == AUDIT else ", before mitigation")
    return KeyFigure("Largest selection-rate difference", number(largest.value), note, bracket(largest))


def _changes_tile(figures: Figures) -> KeyFigure | None:
    readings = count_readings(figures.changes(DISPARITIES))
    if not readings.compared:
        return None
    note = f"paired comparisons of disparity: {readings['better']} smaller, {readings['worse']} larger"
    return KeyFigure("Clear changes", f"{readings['better'] + readings['worse']} of {readings.compared}", note)


def _accuracy_tile(figures: Figures) -> KeyFigure | None:
    found = [
        e.value
        for e in figures.all
        if e.metric == "accuracy" and e.group is None and e.value is not None and not is_effect(e)
    ]
    if not found:
        return None
    ends = dict.fromkeys((number(min(found)), number(max(found))))
    note = "lowest to highest over tasks, models and stages" if len(found) > 1 else "over all rows"
    return KeyFigure("Accuracy", " – ".join(ends), note)


def _missing_tile(figures: Figures) -> KeyFigure | None:
    missing = sum(e.status == "not_estimable" for e in figures.all)
    if not missing:
        return None
    return KeyFigure("Not estimable", count(missing), f"of {count(len(figures.all), 'figure')}; listed below")
