"""What is watched while a model unlearns: gaps on validation families, perplexity on held-out texts, known failures.

The failure signs are those that arXiv 2509.16462 reports (methods: section 1.2).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from equiray.data.templates import Fillers, Prompt
from equiray.metrics.estimates import Estimate
from equiray.metrics.filler_scores import FillerScores
from equiray.metrics.intrinsic import Gaps, intrinsic_estimates, intrinsic_gaps, inverted
from equiray.mitigation.unlearning.batches import encode_prompts, hidden_states, read_answers, step_batch
from equiray.models.loading import CausalLM
from equiray.models.scoring import Scorer

PERPLEXITY_BUDGET = 1.02
"""Perplexity over that of the original model which a checkpoint may reach and still be chosen."""
_STAGNANT_POINTS = 4
_STAGNANT_SHARE = 0.2
_PROMPTS_AT_ONCE = 48


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One line of curve.jsonl: the model after `step` updates.

    The terms and their weighted sum `loss` are those of the training batch that comes next. `gradient_cosine` is the
    cosine between the gradients of the learn and the unlearn term, None where one of them is 0. Validation gaps are
    means over attributes. `seconds` of training so far, this point's measurement included. `warnings` name failure
    signs seen here.
    """

    step: int
    fold: int | None
    loss: float
    unlearn: float
    learn: float
    gap: float
    kl: float
    gradient_cosine: float | None
    validation_gap: float
    validation_gap_signed: float
    validation_gap_counterfactual: float
    perplexity: float
    seconds: float
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The line of curve.jsonl."""
        return asdict(self)


class Health(NamedTuple):
    """What validation says of a model; `signed` is the signed gap of each attribute, with its interval."""

    gaps: Gaps
    signed: tuple[Estimate, ...]
    perplexity: float


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """Validation prompts by attribute, and texts whose perplexity is watched."""

    prompts: tuple[tuple[Prompt, ...], ...]
    fillers: Fillers
    texts: tuple[str, ...]

    @classmethod
    def of(
        cls, prompts: Sequence[Prompt], fillers: Fillers, texts: Sequence[str], *, limits: tuple[int, int], seed: int
    ) -> "Monitor":
        """Watch at most `limits` = (prompts, texts) of those given, twins together, drawn from `seed`."""
        rng = np.random.default_rng(seed)
        attributes: dict[tuple[str, str], list[tuple[Prompt, ...]]] = {}
        for unit in twin_units(prompts):
            if len(unit) == 2:
                attributes.setdefault((unit[0].group, unit[1].group), []).append(unit)
        size = max(1, limits[0] // (2 * max(1, len(attributes))))
        kept = (_sample(units, size, rng) for units in attributes.values())
        return cls(
            prompts=tuple(tuple(prompt for unit in units for prompt in unit) for units in kept),
            fillers=fillers,
            texts=tuple(_sample(texts, limits[1], rng)),
        )

    def check(self, lm: CausalLM) -> Health:
        """Measure a model."""
        scores = [
            FillerScores.of(score_relevant(lm, prompts, self.fillers), prompts, self.fillers)
            for prompts in self.prompts
        ]
        gaps = Gaps(*np.mean([intrinsic_gaps(s) for s in scores], axis=0).tolist())
        nll, tokens = Scorer(lm=lm).text_nll(self.texts)
        return Health(gaps, tuple(_signed(s) for s in scores), float(np.exp(nll.sum() / tokens.sum())))


def twin_units(prompts: Sequence[Prompt]) -> list[tuple[Prompt, ...]]:
    """Prompts as they are drawn: twins (disadvantaged, advantaged) together, neutral ones alone.

    Raises
    ------
    ValueError
        Twins do not stand side by side as `equiray.data.templates.build_prompts` leaves them.
    """
    units: list[tuple[Prompt, ...]] = []
    waiting = iter(prompts)
    for prompt in waiting:
        if prompt.side == "neutral":
            units.append((prompt,))
            continue
        other = next(waiting, None)
        sides = (prompt.side, other.side if other else None)
        if other is None or sides != ("disadvantaged", "advantaged") or prompt.twin != other.twin:
            raise ValueError(f"prompt {prompt.prefix!r} is not followed by its twin")
        units.append((prompt, other))
    return units


@torch.inference_mode()
def score_relevant(lm: CausalLM, prompts: Sequence[Prompt], fillers: Fillers) -> np.ndarray:
    """Mean log-probabilities [P, poor + rich] of the relevant fillers, as `FillerScores.of` takes them.

    Equal to what `equiray.models.scoring.Scorer` returns for them, at about half its cost.
    """
    rows = []
    encoded = encode_prompts(lm, prompts, fillers)
    for first in range(0, len(encoded), _PROMPTS_AT_ONCE):
        batch = step_batch(encoded[first : first + _PROMPTS_AT_ONCE])
        answers = read_answers(lm, hidden_states(lm, batch), batch)
        rows += np.stack([answers.stereotype.cpu().double(), answers.anti.cpu().double()], axis=1).tolist()
    poor_first = [p.side == "neutral" or p.stereotype(fillers) == fillers.poor for p in prompts]
    ordered = [row if first else row[::-1] for row, first in zip(rows, poor_first, strict=True)]
    return np.array(ordered).reshape(len(prompts), -1)


def warnings_of(before: Health, now: Health, gaps: Sequence[float], cosine: float | None) -> tuple[str, ...]:
    """Failure signs of a model in training.

    Parameters
    ----------
    before, now : Health
        Of the original model and of this one.
    gaps : sequence of float
        Absolute validation gaps so far, oldest first, `now`'s last.
    cosine : float or None
        Between the gradients of the learn and the unlearn term.
    """
    found = []
    if any(inverted(old, new) for old, new in zip(before.signed, now.signed, strict=True)):
        found.append("inversion: the signed gap has changed sign beyond its interval; raise lambda_gap")
    since_best = len(gaps) - 1 - int(np.argmin(gaps))
    if since_best >= _STAGNANT_POINTS and min(gaps) > _STAGNANT_SHARE * gaps[0]:
        found.append(f"stagnation: no smaller validation gap for {since_best} points; lower lambda_kl or train longer")
    if cosine is not None and cosine < 0:
        found.append(f"conflict: the gradients of learn and unlearn oppose each other (cosine {cosine:.2f})")
    if now.perplexity > PERPLEXITY_BUDGET * before.perplexity:
        rise = now.perplexity / before.perplexity - 1
        found.append(f"perplexity: {rise:.1%} above the original model's; raise lambda_kl or lower learning_rate")
    return tuple(found)


def _signed(scores: FillerScores) -> Estimate:
    estimates = intrinsic_estimates(scores, task="validation", attribute="", stage="unlearning", model="")
    return next(e for e in estimates if e.metric == "intrinsic_gap_signed")


def _sample(items: Sequence, size: int, rng: np.random.Generator) -> list:
    chosen = rng.choice(len(items), min(size, len(items)), replace=False)
    return [items[i] for i in np.sort(chosen)]
