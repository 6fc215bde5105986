"""The run in plain words, written from its numbers.

A sentence claims a difference only where an interval excludes 0; otherwise it says "cannot tell".
"""

from collections.abc import Iterable

from equiray.metrics.estimates import Estimate
from equiray.reports.comparison import comparison_summary
from equiray.reports.figures import AUDIT, DISPARITIES, Figures, Readings, count_readings, read_effect
from equiray.reports.fine_tuning import is_short
from equiray.reports.key_figures import largest_disparity, place_words, task_words
from equiray.reports.run_directory import RunRecord
from equiray.reports.words import NO_BREAK, attribute_words, count, enumerate_words, stage_words, with_interval

_INTRINSIC_WORDS = {
    "intrinsic_gap_counterfactual": "swapping only the group that is named changes its answer by",
    "intrinsic_gap": "it leans to one kind of ending, stereotype or opposite, by",
}


def write_summary(run: RunRecord, figures: Figures) -> list[str]:
    """The opening, as up to five short paragraphs: what limits the run stands first."""
    compared = [task for task in figures.decision_tasks() if figures.is_comparison(task)]
    if compared:
        told = [text for task in compared for text in comparison_summary(run, figures, task, task_words(run, task))]
        return [*told, *_missing(figures)]
    paragraphs = (
        _limits(run),
        [_what_was_measured(run, figures), *_intrinsic_sentences(figures)],
        [*_starting_point(run, figures), *_stage_sentences(figures), *_chance(figures)],
        _accuracy_sentence(figures),
        _missing(figures),
    )
    return [text for text in map(" ".join, paragraphs) if text]


def _what_was_measured(run: RunRecord, figures: Figures) -> str:
    language_model = run.details.language_model
    name = language_model.name if language_model and language_model.name else "a language model"
    inside = f"how biased {name} is inside" if figures.intrinsic_sets() else ""
    tasks = enumerate_words([task_words(run, task) for task in figures.decision_tasks()])
    if all(figures.is_audit(task) for task in figures.decision_tasks()) and tasks:
        return f"This audit measured how fair {tasks[:1].lower()}{tasks[1:]} are."
    if not tasks:
        return f"This run measured {inside}." if inside else "This run holds no figures."
    if inside:
        return f"This run measured {inside}, and how fair decisions about people in {tasks} are."
    models = {e.model for e in figures.all}
    means = f", some of them with the help of {name}" if models & {"embedding", "prompt", "lora"} else ""
    return f"This run measured how fair decisions about people in {tasks} are{means}."


def _intrinsic_sentences(figures: Figures) -> Iterable[str]:
    before = next((e for metric in _INTRINSIC_WORDS for e in figures.levels(metric)), None)
    if before is None:
        return
    about = attribute_words(before.attribute or "people")
    what = f"{_INTRINSIC_WORDS[before.metric]} {with_interval(before)}"
    yield f"When the model finishes sentences about {about}, {what} on a scale from 0 to 1."
    after = figures.get(before.task, "unlearning", before.model, before.metric, before.attribute)
    if after is None or after.value is None:
        return
    effect, reduction = (
        figures.get(before.task, "unlearning-baseline", before.model, metric, before.attribute)
        for metric in (before.metric, f"{before.metric}_reduction")
    )
    yield f"After unlearning it is {with_interval(after)}: {_change_words(effect, before, reduction)}."
    inverted = [attribute_words(e.attribute or "people") for e in figures.inversions()]
    if inverted:
        about = enumerate_words(list(dict.fromkeys(inverted)))
        turned = f"About {about} the signed gap changed sides"
        yield f"{turned}: the model now leans clearly against the stereotype (inversion)."


def _change_words(effect: Estimate | None, before: Estimate, reduction: Estimate | None) -> str:
    if effect is None or effect.value is None or effect.low is None or effect.high is None:
        return "no paired interval was recorded, so we cannot tell whether that is more than noise"
    reading = read_effect(effect)
    if reading == "identical":
        return "unchanged"
    if reading == "cannot tell":
        return "the interval of the paired change includes 0, so we cannot tell whether it changed"
    if effect.value > 0:
        return f"clearly larger{f', by {_percent(effect.value / before.value)}' if before.value else ''}"
    if reduction is None or reduction.value is None:
        return f"clearly smaller{f', by {_percent(-effect.value / before.value)}' if before.value else ''}"
    interval = ""
    if reduction.low is not None and reduction.high is not None:
        interval = f"{NO_BREAK}[{_percent(reduction.low)},{NO_BREAK}{_percent(reduction.high)}]"
    return f"clearly smaller, by {_percent(reduction.value)}{interval}"


def _percent(share: float) -> str:
    return f"{round(100 * share)}{NO_BREAK}%"


def _starting_point(run: RunRecord, figures: Figures) -> Iterable[str]:
    largest = largest_disparity(figures)
    if largest is None:
        return
    n = len(figures.unmitigated("demographic_parity_difference"))
    subject = f"the largest of {n} differences" if n > 1 else "the difference"
    unsure = largest.low is None or largest.low <= 0
    doubt = "; its interval does not exclude 0, so we cannot tell whether the groups differ" if unsure else ""
    place = place_words(run, largest)
    when = "" if largest.stage == AUDIT else "Before mitigation, "
    sentence = f"{when}{subject} in selection rate between groups is {with_interval(largest)} ({place}){doubt}."
    yield sentence[:1].upper() + sentence[1:]


def _stage_sentences(figures: Figures) -> Iterable[str]:
    unmoved: dict[str, int] = {}
    for stage, readings in _readings_by_stage(figures).items():
        words = {"better": "clearly smaller", "worse": "clearly larger"}
        moved = [f"{phrase} in {readings[reading]}" for reading, phrase in words.items() if readings[reading]]
        if moved:
            doubt = f"; in {readings['cannot tell']} we cannot tell" if readings["cannot tell"] else ""
            of = f"{enumerate_words(moved)} of {count(readings.compared, 'comparison')} with the baseline"
            yield f"{stage_words(stage)}: disparity is {of}{doubt}."
        elif readings.compared:
            unmoved[stage_words(stage).replace("Unlearning", "unlearning")] = readings.compared
    if unmoved:
        stages = enumerate_words(list(unmoved), "or")
        yield f"We cannot tell whether {stages} changed any disparity ({_compared_words(list(unmoved.values()))})."


def _compared_words(sizes: list[int]) -> str:
    """``8 comparisons with the baseline each``, ``8, 4 and 4 comparisons with the baseline``."""
    if len(set(sizes)) == 1:
        each = " each" if len(sizes) > 1 else ""
        return f"{count(sizes[0], 'comparison')} with the baseline{each}"
    return f"{enumerate_words([count(n) for n in sizes])} comparisons with the baseline"


def _readings_by_stage(figures: Figures) -> dict[str, Readings]:
    changes = figures.changes(DISPARITIES)
    stages = dict.fromkeys(stage for task in figures.decision_tasks() for stage in figures.stages(task, effects=True))
    return {
        stage.removesuffix("-baseline"): count_readings(e for e in changes if e.stage == stage)
        for stage in stages
        if stage.endswith("-baseline")
    }


def _accuracy_sentence(figures: Figures) -> Iterable[str]:
    readings = count_readings(figures.changes(["accuracy"]))
    words = {"worse": "clearly lower", "better": "clearly higher"}
    moved = [f"{phrase} in {readings[reading]}" for reading, phrase in words.items() if readings[reading]]
    if moved:
        yield f"Accuracy is {enumerate_words(moved)} of {count(readings.compared, 'comparison')}."
    elif readings.compared:
        yield f"In {count(readings.compared, 'comparison')} of accuracy, no change is clear."


def _chance(figures: Figures) -> Iterable[str]:
    changes = figures.changes(DISPARITIES)
    compared = count_readings(changes).compared
    if compared > 1:
        expected = compared * (1 - changes[0].confidence)
        chance = f"about {expected:.1f} would look clear by chance alone, had nothing changed"
        yield f"Of {compared} comparisons of disparity {chance}."


def _limits(run: RunRecord) -> Iterable[str]:
    if run.details.smoke:
        yield "This is a smoke run, too small for conclusions about people."
    unlearning = run.details.unlearning
    if unlearning and unlearning.label == "short run":
        timed = "time budget" in (unlearning.stopped_by or "")
        by = " by its time budget" if timed else ""
        after = f" after {count(unlearning.steps_done, 'step')}" if unlearning.steps_done is not None else ""
        stopped = f", stopped{by}{after}" if by or after else ""
        yield f"Unlearning was a short run{stopped}: read it as a demonstration."
        if timed:
            yield "How far it came, and so every figure after unlearning, depends on the speed of the machine."
    if is_short(run.details.fine_tuning):
        yield "Fine-tuning was a short run, stopped by its time budget: its figures depend on the speed of the machine."


def _missing(figures: Figures) -> Iterable[str]:
    missing = sum(e.status == "not_estimable" for e in figures.all)
    if missing:
        verb = "is" if missing == 1 else "are"
        yield f"{count(missing, 'figure')} could not be estimated and {verb} listed below, never counted as 0."
