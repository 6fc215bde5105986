"""The answer in words: what was chosen, and whether the reward model's weights change anything against the majority."""

from equiray.reports.chains.names import POOLED, figure_words, method_words, tau_words, verdict
from equiray.reports.chains.record import REWARD, ChainsFile, ChainsTask
from equiray.reports.chains.tables import columns_of, estimate_of
from equiray.reports.key_figures import KeyFigure
from equiray.reports.panels import signed
from equiray.reports.words import NO_BREAK, bracket, count, number


def overview(document: ChainsFile) -> list[str]:
    """What limits the run, then a sentence or two for each data set."""
    limits = ["This is a smoke run, too small for conclusions."] if document.smoke else []
    if document.reward_model.smoke:
        limits.append("The reward model comes of a smoke run.")
    return [
        text
        for text in (" ".join(limits), *(f"{task.title}: {answer(document, task)}" for task in document.tasks))
        if text
    ]


def answer(document: ChainsFile, task: ChainsTask) -> str:
    """The paired changes of the weighted vote, or why there is none."""
    reference = method_words(document.reference).lower()
    if task.choice.chosen is None:
        return f"no temperature was chosen ({task.choice.status}: {task.choice.reason}), so only baselines decide."
    said = []
    for column in columns_of(task):
        effect = estimate_of(task, f"{REWARD}-{document.reference}", column, headline_attribute(task))
        if effect is not None and effect.value is not None:
            value = f"{signed(effect)} {bracket(effect)}".strip().replace(" ", NO_BREAK)
            name = figure_words(*column)
            said.append(f"{name[:1].lower()}{name[1:]} {value}, {verdict(effect)}")
    at = choice_words(task)
    if not said:
        return f"{at}; no change against {reference} was estimable."
    return f"{at}. Against {reference} of as many chains: {'; '.join(said)}."


def choice_words(task: ChainsTask) -> str:
    """What was chosen on validation cases, and how sure that is."""
    chosen = task.choice.chosen
    if chosen is None:
        return f"nothing was chosen: {task.choice.reason}"
    doubt = "" if task.choice.status == "chosen" else f" ({task.choice.status})"
    return f"chosen on validation cases were τ {tau_words(chosen.tau)} and {count(chosen.chains, 'chain')}{doubt}"


def headline_attribute(task: ChainsTask) -> str:
    """What the headline is about: all questions, or the attribute that was chosen by."""
    return POOLED if task.is_questions else task.choice.attribute


def tiles(document: ChainsFile) -> list[KeyFigure]:
    """Two for each data set: a fairness figure and accuracy, under majority and under weights."""
    found = []
    for task in document.tasks:
        columns = columns_of(task)
        shown = (columns[0], columns[2]) if task.is_questions else (columns[1], columns[0])
        for column in shown:
            before, after, effect = (
                estimate_of(task, stage, column, headline_attribute(task))
                for stage in (document.reference, REWARD, f"{REWARD}-{document.reference}")
            )
            if before is None or after is None or effect is None:
                continue
            note = f"majority → weighted: {signed(effect)} {bracket(effect)}, {verdict(effect)}"
            value = f"{number(before.value)} → {number(after.value)}"
            found.append(KeyFigure(f"{figure_words(*column)}, {task.title}", value, note))
    return found[:6]
