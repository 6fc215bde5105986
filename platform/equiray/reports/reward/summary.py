"""The answer in words: whether the reward model tells biased steps from unbiased ones better than cheap baselines."""

from equiray.reports.chains.names import verdict
from equiray.reports.key_figures import KeyFigure
from equiray.reports.panels import signed
from equiray.reports.reward.record import RewardFile, View
from equiray.reports.reward.tables import MODELS, VIEWS, lead_of, level_of
from equiray.reports.words import NO_BREAK, bracket, count, enumerate_words, with_interval


def overview(document: RewardFile) -> list[str]:
    """What limits the run, then the figures that a hurried reader takes away."""
    limits = ["This is a smoke run, too small for conclusions."] if document.smoke else []
    judge = document.labels.judge
    test = document.sides.test.labels.get(judge)
    held = enumerate_words(document.cases.held_out)
    about = f"Held out were {held}, which training never saw: {count(document.sides.test.cases, 'case')}"
    if test is not None:
        about += f", {count(test.biased + test.unbiased)} of {count(test.steps, 'step')} labelled by judge {judge}"
    return [text for text in (" ".join(limits), about + ".", *(_view_words(document, view) for view in VIEWS)) if text]


def _view_words(document: RewardFile, view: View) -> str:
    level = level_of(document, view)
    if level is None or level.value is None:
        return ""
    leads = []
    for model in ("bag_of_words", "last_step", "outcome_model"):
        lead = lead_of(document, view, model)
        if lead is not None and lead.value is not None:
            change = f"{signed(lead)} {bracket(lead)}".replace(" ", NO_BREAK)
            leads.append(f"{MODELS[model].lower()} {change}, {verdict(lead)}")
    beside = f"; less that of each other, paired: {'; '.join(leads)}" if leads else ""
    return f"Step AUC with texts {view}: {with_interval(level)}{beside}."


def tiles(document: RewardFile) -> list[KeyFigure]:
    """Step AUC of both views."""
    found = []
    for view in VIEWS:
        level, lead = level_of(document, view), lead_of(document, view, "bag_of_words")
        if level is None:
            continue
        note = "held-out categories"
        if lead is not None:
            note += f"; against bag of words {signed(lead)} {bracket(lead)}, {verdict(lead)}"
        found.append(KeyFigure(f"Step AUC, {view}", with_interval(level), note))
    return found
