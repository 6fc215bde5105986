"""How good the models are on categories that they never saw: masked and not, beside baselines, by group.

Notable: intervals are resampled by question (`Case.family`), not by case, for the wordings of one question resemble
each other. Beside the model of steps and the two baselines stands the model of whole chains, which gives every step of
a chain one score: what step labels are worth is the difference.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.clusters import Resampling
from equiray.metrics.estimates import Estimate
from equiray.mitigation.reward.agreement import step_groups
from equiray.mitigation.reward.evaluation import (
    BAG_OF_WORDS,
    LAST_STEP,
    MODEL,
    Judged,
    auc_estimates,
    bag_of_words,
    ece_estimates,
)
from equiray.mitigation.reward.labelled import LabelledChains
from equiray.mitigation.reward.labels import UNLABELLED
from equiray.mitigation.reward.model import RewardModel
from equiray.mitigation.reward.scoring import score_chains
from equiray.mitigation.reward.steps import ReasonedCase, masked, step_records
from equiray.runs.reward.sides import Side

OUTCOME_MODEL = "outcome_model"
GROUPS = "category", "group"
"""What calibration is shown by: categories, and the stereotyped person's group within them."""

View = Literal["masked", "unmasked"]


def scores_of(
    process: RewardModel, learn: LabelledChains, test: Sequence[ReasonedCase]
) -> dict[str, NDArray[np.float64]]:
    """Probability that each step is unbiased, float64 [S], by model; baselines learn from labelled chains."""
    own = [step.text for step in step_records(learn.cases)]
    return {
        MODEL: score_chains(process, test).probabilities,
        BAG_OF_WORDS: bag_of_words(own, learn.labels, [step.text for step in step_records(test)]),
        LAST_STEP: bag_of_words(_last_texts(learn.cases), learn.labels, _last_texts(test)),
    }


def scores_of_chains(outcome: RewardModel, test: Sequence[ReasonedCase]) -> dict[str, NDArray[np.float64]]:
    """The same of the model of whole chains: each step has its chain's."""
    lengths = [len(chain.steps) for one in test for chain in one.chains]
    return {OUTCOME_MODEL: np.repeat(score_chains(outcome, test).probabilities, lengths)}


def judged(
    side: Side, scores: dict[str, NDArray[np.float64]], labels: NDArray[np.int64], groups: Sequence[str]
) -> Judged:
    """The labelled steps of a side with their scores, clustered by question."""
    known = labels != UNLABELLED
    return Judged(
        labels=labels[known],
        clusters=side.families[known],
        groups=np.array(groups, dtype=np.str_)[known],
        scores={name: values[known] for name, values in scores.items()},
    )


def evaluate(
    view: View, side: Side, scores: dict[str, NDArray[np.float64]], labels: NDArray[np.int64], resampling: Resampling
) -> list[Estimate]:
    """``step_auc`` of every model, the first one's paired differences from the others, and its ``ece`` by group.

    Stages are ``masked`` and ``masked difference``, or ``unmasked`` and ``unmasked difference``.
    """
    by_category = judged(side, scores, labels, step_groups(side.cases, "category"))
    found = [_staged(estimate, view) for estimate in auc_estimates(by_category, resampling)]
    for attribute in GROUPS:
        names = step_groups(side.cases, attribute) if attribute == "category" else person_groups(side.cases)
        of_groups = judged(side, scores, labels, names)
        made = ece_estimates(of_groups, MODEL, attribute=attribute, confidence=resampling.confidence)
        found += [_staged(one, view) for one in made if one.group is not None or attribute == "category"]
    return found


def person_groups(cases: Sequence[ReasonedCase]) -> list[str]:
    """Of each step the stereotyped person's group, behind its category: two categories may name a group alike."""
    return [
        f"{one.case.category}: {one.case.groups[one.case.category]}"
        for one in cases
        for chain in one.chains
        for _ in chain.steps
    ]


def masked_side(chains: LabelledChains) -> LabelledChains:
    """The same chains, options and names masked."""
    return LabelledChains(masked(chains.cases), chains.labels)


def _staged(estimate: Estimate, view: View) -> Estimate:
    stage = f"{view} difference" if estimate.stage == "difference" else view
    return replace(estimate, stage=stage, attribute=estimate.attribute if estimate.group is not None else None)


def _last_texts(cases: Sequence[ReasonedCase]) -> list[str]:
    return [chain.steps[-1] for one in cases for chain in one.chains for _ in chain.steps]
