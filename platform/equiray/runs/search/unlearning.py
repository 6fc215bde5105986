"""Trials that unlearn a stereotype: what is made once, what each does, and how its model is read.

Notable: a trial's checkpoints are measured on some validation prompts, its final adapter on all of them; test families
and held-out texts are read once, for the adapters of the front.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equiray.data.reference import ReferenceTexts
from equiray.data.templates import Prompt
from equiray.metrics.filler_scores import FillerScores
from equiray.metrics.intrinsic import intrinsic_gaps
from equiray.mitigation.unlearning import load_adapter, unlearning
from equiray.mitigation.unlearning.diagnostics import score_relevant
from equiray.mitigation.unlearning.objective import Originals
from equiray.models.loading import CausalLM, load_causal_lm
from equiray.models.scoring import Scorer
from equiray.runs.search.judged import Figures, judged
from equiray.runs.search.points import Arrays
from equiray.runs.unlearning import UnlearningPlan
from equiray.search.storage import Storage
from equiray.search.study import Outcome, Progress, Trial
from equiray.specs.run import RunSpec
from equiray.specs.sweep import SweepSpec

ADAPTER = "adapter"


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What models are read on: prompts of each attribute, and texts of the perplexity."""

    prompts: tuple[tuple[str, tuple[Prompt, ...]], ...]
    reference: ReferenceTexts


@dataclass(frozen=True, kw_only=True)
class UnlearningStudy:
    """Everything that a worker needs.

    Attributes
    ----------
    spec : SweepSpec
    plan : UnlearningPlan
        With one fold.
    texts : mapping from split to Texts
    storage : Storage
    base : Arrays
        What the original model said of the validation texts; empty until it has.
    """

    spec: SweepSpec
    plan: UnlearningPlan
    texts: Mapping[str, Texts]
    storage: Storage
    base: Arrays

    @property
    def shared_bytes(self) -> int:
        """Prompts and texts only."""
        return 0

    def worker(self) -> "UnlearningWorker":
        """Loads the model."""
        self.storage.check()
        return UnlearningWorker(self)


class UnlearningWorker:
    """One process with the original model, which every trial starts from."""

    def __init__(self, study: UnlearningStudy) -> None:
        self.study = study
        spec = study.spec.with_settings({})
        assert isinstance(spec, RunSpec)
        self.lm = load_causal_lm(spec.language_model.source, dtype="float32")
        self._originals: dict[str, Originals] = {}

    def run(self, trial: Trial) -> Iterator[Progress | Outcome]:
        """Unlearn with a trial's settings, saying each measurement, and read the adapter on validation prompts."""
        study = self.study
        with study.storage.folder(f"trials/trial{trial.number}") as folder:
            yield from self.train(trial, folder)
            arrays = self.said(folder, "validation")
        figures = figures_of(study, "validation", arrays, study.base)
        yield judged(study.spec, figures, np.empty((1, 0)), {})

    def train(self, trial: Trial, folder: Path) -> Iterator[Progress]:
        """Leave a trial's adapter in its folder, saying each measurement."""
        study, run = self.study, self._run(trial)
        spec, attributes = run.unlearning, run.unlearning.attributes
        training = unlearning(
            self.lm,
            study.plan.prompts(0, "train", attributes),
            study.plan.prompts(0, "validation", attributes),
            study.plan.templates.fillers,
            study.plan.reference,
            spec,
            folder,
            seed=run.seed,
            fold=0,
            known=self._originals.setdefault(spec.dtype, {}),
        )
        for point in training:
            first = json.loads((folder / "curve.jsonl").read_text(encoding="utf-8").partition("\n")[0])
            figures = {
                "intrinsic_gap": point.validation_gap,
                "intrinsic_gap_counterfactual": point.validation_gap_counterfactual,
                "perplexity_ratio": point.perplexity / first["perplexity"],
            }
            yield Progress(step=point.step, steps=spec.steps, figures=figures)

    def read(self, trial: Trial | None, split: str) -> Arrays:
        """What a trial's model, or the original one, says of a split's texts."""
        if trial is None:
            return said_of(self.lm, self.study.texts[split], self.study.plan)
        with self.study.storage.folder(f"trials/trial{trial.number}") as folder:
            return self.said(folder, split)

    def said(self, folder: Path, split: str) -> Arrays:
        """What the adapter in a trial's folder says of a split's texts."""
        return said_of(load_adapter(self.lm, folder / ADAPTER), self.study.texts[split], self.study.plan)

    def _run(self, trial: Trial) -> RunSpec:
        spec = self.study.spec.with_settings(trial.settings)
        assert isinstance(spec, RunSpec)
        return spec


def said_of(lm: CausalLM, texts: Texts, plan: UnlearningPlan) -> Arrays:
    """Log-probabilities of the relevant fillers after every prompt, and of every text."""
    fillers = plan.templates.fillers
    scores = {f"fillers.{name}": score_relevant(lm, prompts, fillers) for name, prompts in texts.prompts}
    nll, tokens = Scorer(lm=lm).text_nll(texts.reference.texts)
    return {**scores, "nll": np.asarray(nll, np.float64), "tokens": np.asarray(tokens, np.int64)}


def filler_scores(study: UnlearningStudy, split: str, arrays: Arrays) -> list[FillerScores]:
    """The scores of each attribute's prompts."""
    fillers = study.plan.templates.fillers
    return [
        FillerScores.of(arrays[f"fillers.{name}"], prompts, fillers) for name, prompts in study.texts[split].prompts
    ]


def figures_of(study: UnlearningStudy, split: str, arrays: Arrays, base: Arrays) -> Figures:
    """The figures of one model beside the original one: gaps are means over attributes."""
    gaps = np.mean([intrinsic_gaps(scores) for scores in filler_scores(study, split, arrays)], axis=0)
    rise = (arrays["nll"].sum() - base["nll"].sum()) / arrays["tokens"].sum()
    return {
        "intrinsic_gap": np.array([gaps[0]]),
        "intrinsic_gap_signed": np.array([gaps[1]]),
        "intrinsic_gap_counterfactual": np.array([gaps[2]]),
        "perplexity_ratio": np.array([np.exp(rise)]),
    }
