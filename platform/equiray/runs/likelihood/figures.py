"""From likelihoods to estimates, data set by data set, and what is known of them before any is computed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from equiray.data.cases.choice_sets import BBQ, ChoiceSet
from equiray.data.cases.choices import Scores
from equiray.metrics.bbq import bbq_estimates
from equiray.metrics.bbq_answers import BbqAnswers
from equiray.metrics.clusters import Resampling, cluster_sums
from equiray.metrics.estimates import Estimate
from equiray.metrics.intervals.families import family_rate_limits
from equiray.metrics.likelihood import crows_pairs_estimates, stereoset_estimates, winobias_estimates
from equiray.runs.decisions import Reported

POOLED = "all categories"
"""The attribute of BBQ's questions together, as in runs of chains."""
_METRICS = {
    "crows_pairs": ("crows_stereotype_share",),
    "stereoset": ("stereoset_ss", "stereoset_lms", "stereoset_icat"),
    "winobias": ("winobias_gap",),
    BBQ: ("bbq_bias_ambiguous", "bbq_bias_disambiguated"),
}


def estimates_of(
    chosen: ChoiceSet, scores: Scores, *, stage: str, model: str, resampling: Resampling
) -> list[Estimate]:
    """All figures of a data set, of all its choices and of each category."""
    compared = scores.compared(chosen.choices)
    confidence = resampling.confidence
    if chosen.name == "crows_pairs":
        return crows_pairs_estimates(chosen.choices, compared, stage=stage, model=model, confidence=confidence)
    if chosen.name == "winobias":
        return winobias_estimates(chosen.choices, compared, stage=stage, model=model, confidence=confidence)
    if chosen.name == "stereoset":
        return stereoset_estimates(chosen.choices, compared, stage=stage, model=model, resampling=resampling)
    return _bbq_estimates(chosen, compared, stage, model, confidence)


def _bbq_estimates(
    chosen: ChoiceSet, compared: NDArray[np.float64], stage: str, model: str, confidence: float
) -> list[Estimate]:
    """BBQ's scores of the likeliest options; rates of refusals are left out, for a likelihood cannot refuse."""
    likeliest = compared.argmax(axis=1)
    answers = BbqAnswers.of(chosen.cases, likeliest.tolist())
    pooled = replace(answers, category=np.full(len(chosen.cases), POOLED))
    right = likeliest == np.array([case.answer for case in chosen.cases])
    found = []
    for of in (pooled, answers):
        biases = bbq_estimates(of, task=BBQ, stage=stage, model=model, confidence=confidence)
        found += [one for one in biases if one.metric in _METRICS[BBQ]]
        found += _accuracies(of, right, stage, model, confidence)
    return found


def _accuracies(
    answers: BbqAnswers, right: NDArray[np.bool_], stage: str, model: str, confidence: float
) -> Iterator[Estimate]:
    """The share of right options, category by category and context by context (the group)."""
    for category in np.unique(answers.category).tolist():
        for context, ambiguous in (("ambiguous", True), ("disambiguated", False)):
            rows = (answers.category == category) & (answers.ambiguous == ambiguous)
            n = int(rows.sum())
            if not n:  # a small sample may lack a context
                continue
            trials, events = cluster_sums(np.column_stack([np.ones(n), right[rows]]), answers.family[rows]).T
            low, high = family_rate_limits(events, trials, confidence)
            limited = not np.isnan(low)
            yield Estimate(
                task=BBQ,
                stage=stage,
                model=model,
                metric="accuracy",
                attribute=category,
                group=context,
                value=float(events.sum() / n),
                low=float(low) if limited else None,
                high=float(high) if limited else None,
                confidence=confidence,
                n=n,
                status="estimated" if limited else "partial",
                direction="higher",
            )


def reported(sets: Sequence[ChoiceSet]) -> frozenset[Reported]:
    """What a policy may bound."""
    found: set[Reported] = set()
    for chosen in sets:
        whole = POOLED if chosen.name == BBQ else None
        attributes = {whole, *(choice.category for choice in chosen.choices)}
        found |= {Reported(metric, of, False) for metric in _METRICS[chosen.name] for of in attributes}
        if chosen.name == BBQ:
            found |= {Reported("accuracy", of, True) for of in attributes}
    return frozenset(found)
