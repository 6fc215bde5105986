"""Intrinsic bias in a run: which prompts are scored by which model, and the scores on disk.

Honest held-out figures: the prompts of a template family are scored by a model that never trained on that family.
For the set that unlearning trains on, those are the fold's test families; any other set was never trained on and
goes to the first fold's model as a whole (side effects on other words and other targets).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from equiray.data.reference import ReferenceTexts, load_reference
from equiray.data.templates import (
    Prompt,
    TemplateSet,
    build_prompts,
    fold_families,
    load_templates,
    score_prompts,
    split_families,
)
from equiray.metrics.clusters import perplexity_change, perplexity_estimate
from equiray.metrics.estimates import Estimate
from equiray.metrics.filler_scores import FillerScores
from equiray.metrics.intrinsic import GROUP_METRICS, LEVELS, intrinsic_change, intrinsic_estimates
from equiray.models.loading import CausalLM
from equiray.models.scoring import Scorer
from equiray.runs.context import RunContext
from equiray.runs.decisions import Reported
from equiray.runs.directory import RunDirectory
from equiray.specs.run import RunSpec

Fold = dict[str, tuple[str, ...]]
"""Families by part: ``train``, ``validation``, ``test``."""

BEFORE, AFTER = "baseline", "unlearning"
_TEST_FAMILIES, _TRAIN_SHARE = 12, 30 / 38


class Question(NamedTuple):
    """One attribute asked of one template set."""

    templates: TemplateSet
    attribute: str


@dataclass(frozen=True, kw_only=True)
class IntrinsicPlan:
    """What is scored, by which fold's model.

    `prompts[fold]` holds, for each question, the prompts that the fold's model scores; `held_out` are the reference
    texts that perplexity is measured on, of which unlearning never saw one.
    """

    questions: tuple[Question, ...]
    prompts: tuple[tuple[list[Prompt], ...], ...]
    held_out: ReferenceTexts
    dtype: str

    @property
    def reported(self) -> frozenset[Reported]:
        """The metrics that its results hold, paired changes aside."""
        attributes = {question.attribute for question in self.questions}
        asked = {Reported(metric, attribute, False) for attribute in attributes for metric in LEVELS}
        asked |= {Reported(metric, attribute, True) for attribute in attributes for metric in GROUP_METRICS}
        return frozenset({Reported("perplexity", None, False), *asked})


def training_folds(spec: RunSpec, templates: TemplateSet) -> list[Fold]:
    """How the trained template set's families are dealt: k folds, or once (30 / 8 / 12 of 50).

    With one fold and `intrinsic.families` set, that many families are held out instead.
    """
    families = templates.families
    if spec.unlearning.folds > 1:
        return fold_families(families, spec.unlearning.folds, spec.seed)
    test = (spec.intrinsic.families if spec.intrinsic else None) or _TEST_FAMILIES
    train = round((len(families) - test) * _TRAIN_SHARE)
    return [split_families(families, spec.seed, (train, len(families) - test - train, test))]


def plan_intrinsic(spec: RunSpec) -> IntrinsicPlan:
    """Read templates and reference texts and build every prompt.

    Raises
    ------
    BadInput
        A template set or reference is absent, has no targets for an attribute, or too few families.
    """
    assert spec.intrinsic is not None
    sets = [load_templates(name) for name in spec.intrinsic.templates]
    questions = tuple(Question(templates, attribute) for templates in sets for attribute in spec.intrinsic.attributes)
    trained = load_templates(spec.unlearning.templates)
    folds = training_folds(spec, trained)
    prompts = tuple(
        tuple(_prompts(question, spec, fold, number, trained.name) for question in questions)
        for number, fold in enumerate(folds)
    )
    _, held_out = load_reference(spec.unlearning.reference).split(spec.seed)
    return IntrinsicPlan(questions=questions, prompts=prompts, held_out=held_out, dtype=spec.intrinsic.dtype)


def _prompts(question: Question, spec: RunSpec, fold: Fold, number: int, trained: str) -> list[Prompt]:
    assert spec.intrinsic is not None
    if question.templates.name == trained:
        families = fold["test"]
    elif number == 0:
        families = question.templates.families[: spec.intrinsic.families]
    else:
        return []
    chosen = question.templates.select(families, variants_per_family=spec.intrinsic.variants_per_family)
    return build_prompts(chosen, question.attribute)


def score_stage(plan: IntrinsicPlan, stage: str, run: RunContext) -> None:
    """Score every prompt and every held-out text at one stage, unless an earlier run has."""
    for fold in range(len(plan.prompts)):
        parts = _parts(plan, stage, fold).items()
        missing = [(file, score) for file, score in parts if run.directory.read_table(file) is None]
        if missing:
            with run.directory.step(f"intrinsic bias, {stage}, fold {fold + 1} of {len(plan.prompts)}"):
                lm = run.models.base(plan.dtype) if stage == BEFORE else run.models.unlearned(fold, plan.dtype)
                for file, score in missing:
                    run.directory.write_table(file, score(lm))


def _parts(plan: IntrinsicPlan, stage: str, fold: int) -> dict[str, Callable[[CausalLM], pa.Table]]:
    """Each file of a fold, and what makes it."""
    asked = zip(plan.questions, plan.prompts[fold], strict=True)
    scores = {
        _scores_file(question, stage, fold): partial(_scored, question=question, prompts=prompts)
        for question, prompts in asked
        if prompts
    }
    return {**scores, _perplexity_file(stage, fold): partial(_perplexity, texts=plan.held_out)}


def _scored(lm: CausalLM, question: Question, prompts: list[Prompt]) -> pa.Table:
    fillers = question.templates.fillers
    scores = score_prompts(Scorer(lm=lm), prompts, fillers)
    columns = {name: [getattr(prompt, name) for prompt in prompts] for name in ("template", "family", "target", "side")}
    return pa.table(columns | {f"logprob.{word}": scores[:, i] for i, word in enumerate(fillers.words)})


def _perplexity(lm: CausalLM, texts: ReferenceTexts) -> pa.Table:
    nll, tokens = Scorer(lm=lm).text_nll(texts.texts)
    return pa.table({"text": list(texts.texts), "nll": nll, "tokens": tokens})


def _scores_file(question: Question, stage: str, fold: int) -> str:
    attribute = question.attribute.replace("*", "_x_")
    return f"intrinsic/{question.templates.name}.{attribute}.{stage}.fold{fold}.parquet"


def _perplexity_file(stage: str, fold: int) -> str:
    return f"intrinsic/perplexity.{stage}.fold{fold}.parquet"


def intrinsic_results(plan: IntrinsicPlan, stages: tuple[str, ...], run: RunContext) -> Iterator[Estimate]:
    """Estimates of each stage and, where both were scored, their paired change."""
    model, resampling = run.models.name, run.resampling
    for question in plan.questions:
        labels = {"task": question.templates.name, "attribute": question.attribute, "model": model}
        scores = {stage: _read_scores(plan, question, stage, run.directory) for stage in stages}
        for stage in stages:
            yield from intrinsic_estimates(scores[stage], **labels, stage=stage, resampling=resampling)
        if AFTER in scores:
            yield from intrinsic_change(scores[BEFORE], scores[AFTER], **labels, resampling=resampling)
    labels = {"task": plan.held_out.name, "model": model}
    nll, tokens = {}, np.empty(0)
    for stage in stages:
        nll[stage], tokens = _read_perplexity(plan, stage, run.directory)
        yield perplexity_estimate(nll[stage], tokens, **labels, stage=stage, resampling=resampling)
    if AFTER in nll:
        stage = f"{AFTER}-{BEFORE}"
        yield from perplexity_change(nll[BEFORE], nll[AFTER], tokens, **labels, stage=stage, resampling=resampling)


def _read_scores(plan: IntrinsicPlan, question: Question, stage: str, directory: RunDirectory) -> FillerScores:
    fillers = question.templates.fillers
    place = plan.questions.index(question)
    parts = []
    for fold, prompts in enumerate(plan.prompts):
        if prompts[place]:
            table = directory.read_table(_scores_file(question, stage, fold))
            assert table is not None, "results are computed after the last score"
            logprobs = np.column_stack([table[f"logprob.{word}"].to_numpy() for word in fillers.words])
            parts.append(FillerScores.of(logprobs, prompts[place], fillers))
    return FillerScores.concatenate(parts)


def _read_perplexity(plan: IntrinsicPlan, stage: str, directory: RunDirectory) -> tuple[np.ndarray, np.ndarray]:
    """(mean over folds of each text's nll, its tokens)."""
    tables = [directory.read_table(_perplexity_file(stage, fold)) for fold in range(len(plan.prompts))]
    found = [table for table in tables if table is not None]
    return np.mean([t["nll"].to_numpy() for t in found], axis=0), found[0]["tokens"].to_numpy()
