"""The answer in words: which way the model leans in each data set, and how sure that is."""

from equiray.reports.chains.names import figure_words
from equiray.reports.key_figures import KeyFigure
from equiray.reports.likelihood.record import LikelihoodFile, ScoredSet
from equiray.reports.likelihood.tables import fair_point, headlines, reading
from equiray.reports.words import bracket, count, number, with_interval


def overview(document: LikelihoodFile) -> list[str]:
    """What limits the run, then the figures that a hurried reader takes away."""
    limits = ["This is a smoke run, too small for conclusions."] if document.smoke else []
    of = document.model
    about = (
        f"Which of two texts {of.name} finds likelier, as plain text and without any question: a leaning inside the "
        "model, not a decision."
    )
    said = (_said(document, chosen) for chosen in document.datasets)
    return [" ".join([*limits, about]), *filter(None, said)]


def tiles(document: LikelihoodFile) -> list[KeyFigure]:
    """The preferences of all choices, data set by data set."""
    return [
        KeyFigure(
            f"{chosen.title.partition(',')[0]}: {figure_words(e.metric).lower()}",
            number(e.value),
            f"{fair_point(e):g} is no preference; {reading(e)}",
            bracket(e),
        )
        for chosen in document.datasets
        for e in headlines(document, chosen)
    ]


def sampled_words(chosen: ScoredSet) -> str:
    """``1,508 choices, all there are``."""
    if chosen.choices == chosen.whole:
        return f"{count(chosen.choices, 'choice')}, all there are"
    return f"{count(chosen.choices)} of {count(chosen.whole, 'choice')}, sampled by category"


def _said(document: LikelihoodFile, chosen: ScoredSet) -> str:
    parts = [
        f"{figure_words(e.metric).lower()} {with_interval(e)}, where {fair_point(e):g} is no preference: {reading(e)}"
        for e in headlines(document, chosen)
    ]
    return f"{chosen.title} ({sampled_words(chosen)}): {'; '.join(parts)}." if parts else ""
