"""All steps of all chains of many cases, scored in packed batches; and how much each step moves the chain's answer.

Notable: tokens that chains share (their question) and steps that are equal are computed once, nothing is padded, and
``in_context`` reads a whole chain's logits off one forward: the authors run one step per forward.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.mitigation.reward.likelihoods import AnswerLikelihoods
from equiray.mitigation.reward.model import RewardModel
from equiray.mitigation.reward.steps import ReasonedCase


@dataclass(frozen=True, kw_only=True)
class StepScores:
    """Logits of the steps of chains, ragged.

    Attributes
    ----------
    logits : float64 [S]
        All chains' steps, one after the other, before calibration; larger is less biased.
    probabilities : float64 [S]
        σ of the calibrated logits: that a step is unbiased.
    first : int64 [chains + 1]
        Steps of chain c, counted over all cases, are ``first[c]`` to ``first[c + 1] - 1``. A chain without steps has
        none; of the reading ``outcome`` every chain has one.
    """

    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    first: NDArray[np.int64]


def score_chains(model: RewardModel, cases: Sequence[ReasonedCase]) -> StepScores:
    """Score every step (of an outcome model: every chain)."""
    chains = [chain for reasoned in cases for chain in reasoned.chains]
    counts = [1 if model.reading == "outcome" else len(chain.steps) for chain in chains]
    logits = model.logits(model.inputs(cases))
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return StepScores(logits=logits, probabilities=model.calibration.probabilities(logits), first=first)


def causal_effects(likelihoods: AnswerLikelihoods, cases: Sequence[ReasonedCase]) -> NDArray[np.float64]:
    """How much each step raises the log-probability of the answer that its chain ended in, nats [S].

    log p(answer | all steps) - log p(answer | all steps but this one), under the likelihoods' model; NaN in chains
    without an answer. In the order of `step_records`.
    """
    chains = [chain for reasoned in cases for chain in reasoned.chains]
    parts = [np.empty(0)]
    for chain, logprobs in zip(chains, likelihoods.leaving_out(cases), strict=True):
        if chain.answer is None:
            parts.append(np.full(len(chain.steps), np.nan))
        else:
            parts.append(logprobs[0, chain.answer] - logprobs[1:, chain.answer])
    return np.concatenate(parts)


def causal_weights(effects: NDArray[np.float64], first: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each step's share of all movement in its chain, |effect| / Σ |effect|; weights of a chain sum to 1.

    Uniform where nothing is known to move: in a chain without an answer, or whose steps do nothing.

    Raises
    ------
    BadInput
        `first` [chains + 1] does not cut the effects [S].
    """
    if int(first[-1]) != len(effects):
        raise BadInput(
            f"{len(effects)} effects of {int(first[-1])} steps", place="causal weights", fix="use the same chains"
        )
    moved = np.abs(np.nan_to_num(effects))
    counts = np.diff(first)
    chain = np.repeat(np.arange(len(counts)), counts)
    total = np.bincount(chain, weights=moved, minlength=len(counts))
    still = total[chain] == 0
    return np.where(still, 1 / np.maximum(counts, 1)[chain], moved / np.where(still, 1, total[chain]))
