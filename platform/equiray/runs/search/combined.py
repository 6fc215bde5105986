"""Trials that unlearn and then decide: a classifier on the unlearned model's embeddings, and all of its thresholds.

Notable: gap and perplexity are the model's, so they are the same at every threshold of a trial. Each split is embedded
by a call of its own, as `Bundle.decide` embeds the rows that it is given: so a bundle gives a split's scores bit by
bit, and no trial meets a test row. A worker holds the model in float32, in which it is trained, and in the data type of
`language_model`, in which rows are embedded, if that is another; a merged copy lives as long as it is read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from equiray.errors import BadInput
from equiray.mitigation.unlearning import load_adapter
from equiray.models.classifiers import THRESHOLD, Logistic, fit_embedding_classifier
from equiray.models.embedding import Pooling, embed_texts
from equiray.models.loading import CausalLM, load_causal_lm
from equiray.models.logistic_store import load_logistic, save_logistic
from equiray.runs.search.gated import People, by_score, figures_at, figures_of_sweep
from equiray.runs.search.judged import Figures, judged
from equiray.runs.search.kept import keep_outcome, kept_outcome
from equiray.runs.search.points import Arrays
from equiray.runs.search.unlearning import ADAPTER, UnlearningStudy, UnlearningWorker, figures_of
from equiray.search.storage import Storage
from equiray.search.study import Outcome, Progress, Trial
from equiray.specs.run import LanguageModelSpec, RunSpec
from equiray.specs.sweep import SweepSpec

CLASSIFIER = "classifier"
SCORE = "score"

Scores = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """One split of the task: who is decided about, and what the model reads of them, in the same order."""

    people: People
    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CombinedStudy:
    """Everything that a worker needs.

    Attributes
    ----------
    unlearning : UnlearningStudy
        Prompts, texts and the original model's part of the same sweep.
    rows : mapping from split to Rows
    steering : str
        The attribute whose groups are compared.
    classifier : Logistic
        On the original model's embeddings.
    score : float64 [N]
        Its probabilities of the validation rows.
    """

    unlearning: UnlearningStudy
    rows: Mapping[str, Rows]
    steering: str
    classifier: Logistic
    score: Scores

    @property
    def spec(self) -> SweepSpec:
        return self.unlearning.spec

    @property
    def storage(self) -> Storage:
        return self.unlearning.storage

    @property
    def shared_bytes(self) -> int:
        """Of the rows' texts."""
        return sum(len(text) for rows in self.rows.values() for text in rows.texts)

    @property
    def base(self) -> Arrays:
        """What the original model said of validation prompts, texts and rows."""
        return {**self.unlearning.base, SCORE: self.score}

    @cached_property
    def base_figures(self) -> Mapping[str, float]:
        """Of the original model on validation, deciding at .5."""
        return figures_of_point(self, "validation", self.base, self.base, THRESHOLD)

    def worker(self) -> "CombinedWorker":
        """Loads the model."""
        self.storage.check()
        return CombinedWorker(self)


class CombinedWorker:
    """One process with the original model, which every trial starts from."""

    def __init__(self, study: CombinedStudy) -> None:
        self.study = study
        self.unlearning = UnlearningWorker(study.unlearning)
        self.model = model_of(study.spec)
        same = self.model.dtype == "float32"
        self.lm = self.unlearning.lm if same else load_causal_lm(self.model.source, dtype=self.model.dtype)

    def run(self, trial: Trial) -> Iterator[Progress | Outcome]:
        """Unlearn, fit a classifier on what comes of it, and sweep every threshold on validation rows."""
        study = self.study
        with study.storage.folder(f"trials/trial{trial.number}") as folder:
            found = kept_outcome(folder)
            if found is None:
                yield from self.unlearning.train(trial, folder)
                figures, thresholds = figures_of_thresholds(study, self._fitted(folder))
                found = judged(study.spec, figures, thresholds, study.base_figures)
                keep_outcome(folder, found)
        yield found

    def read(self, trial: Trial | None, split: str) -> Arrays:
        """What a trial's model, or the original one, says of a split's prompts and texts, and scores of its rows."""
        study = self.study
        if trial is None:
            if split == "validation":
                return study.base
            score = score_rows(self.lm, study.classifier, study.rows[split], self.model.pooling)
            return {**self.unlearning.read(None, split), SCORE: score}
        with study.storage.folder(f"trials/trial{trial.number}") as folder:
            file = _said(folder, split)
            if file.is_file():
                return load_file(file)
            lm = load_adapter(self.lm, folder / ADAPTER)
            score = score_rows(lm, load_logistic(folder / CLASSIFIER), study.rows[split], self.model.pooling)
            del lm
            return {**self.unlearning.said(folder, split), SCORE: score}

    def _fitted(self, folder: Path) -> Arrays:
        """Leave a classifier beside the adapter, and what both say of validation."""
        fitted = fit_on_embeddings(load_adapter(self.lm, folder / ADAPTER), self.study.rows, self.model.pooling)
        save_logistic(folder / CLASSIFIER, fitted.classifier)
        arrays = {**self.unlearning.said(folder, "validation"), SCORE: fitted.score}
        save_file({name: np.ascontiguousarray(values) for name, values in arrays.items()}, _said(folder, "validation"))
        return arrays


class Fitted(NamedTuple):
    """A classifier and its probabilities of the validation rows [N]."""

    classifier: Logistic
    score: Scores


def fit_on_embeddings(lm: CausalLM, rows: Mapping[str, Rows], pooling: Pooling) -> Fitted:
    """Fit the classifier of an evaluation's model type ``embedding``; validation rows choose its L2 strength.

    Raises
    ------
    BadInput
        One class only in training, no rows, or an embedding that is not finite.
    """
    train, validation = (rows[split] for split in ("train", "validation"))
    vectors = embed_texts(lm, train.texts, pooling=pooling)
    held_out = embed_texts(lm, validation.texts, pooling=pooling)
    classifier = fit_embedding_classifier(vectors, train.people.label, held_out, validation.people.label)
    return Fitted(classifier, classifier.probabilities(held_out))


def score_rows(lm: CausalLM, classifier: Logistic, rows: Rows, pooling: Pooling) -> Scores:
    """Probability of the positive class of each row [N].

    Raises
    ------
    BadInput
        The model gives an embedding that is not finite.
    """
    score = classifier.probabilities(embed_texts(lm, rows.texts, pooling=pooling))
    broken = int(np.isnan(score).sum())
    if broken:
        raise BadInput(
            f"the model gives embeddings with NaN or infinite values ({broken} of {len(score)} rows)",
            place=f"{rows.people.split} rows",
            fix="try run.language_model.dtype: float32, or a lower run.unlearning.learning_rate",
        )
    return score


def figures_of_thresholds(study: CombinedStudy, arrays: Arrays) -> tuple[Figures, Scores]:
    """Figures of a trial on validation at every threshold of its score, and these [T, 1]."""
    outcomes = by_score(study.rows["validation"].people, arrays[SCORE])
    figures, thresholds = figures_of_sweep(study.spec, outcomes, study.steering)
    of_model = figures_of(study.unlearning, "validation", arrays, study.base)
    return {**figures, **{name: np.repeat(value, len(thresholds)) for name, value in of_model.items()}}, thresholds


def figures_of_point(
    study: CombinedStudy, split: str, arrays: Arrays, base: Arrays, threshold: float
) -> dict[str, float]:
    """Figures of a model that decides at a threshold, beside the original model's."""
    outcomes = by_score(study.rows[split].people, arrays[SCORE])
    of_model = figures_of(study.unlearning, split, arrays, base)
    decided = figures_at(outcomes, (threshold,), study.steering)
    return {**decided, **{name: float(value[0]) for name, value in of_model.items()}}


def model_of(spec: SweepSpec) -> LanguageModelSpec:
    """The language model that all trials start from."""
    run = spec.with_settings({})
    assert isinstance(run, RunSpec)
    return run.language_model


def _said(folder: Path, split: str) -> Path:
    return folder / f"{split}.safetensors"
