"""Probabilities of a fine-tuned language model, block by block: what streams embeddings streams these.

A row's "vector" is its probability of the positive answer alone, so blocks, resume and Ray actors are those of
`equiray.streaming.embed`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equiray.data.text import Prompts
from equiray.models.answers import encode_questions, score_answers
from equiray.models.loading import CausalLM
from equiray.models.lora_classifier import fine_tuned
from equiray.specs.run import LoraClassifierSpec
from equiray.streaming.kernel import Embedded
from equiray.streaming.language_model import directory_sha256, load_on_node, unlearned


@dataclass(frozen=True, kw_only=True)
class ClassifierRecipe:
    """Which weights, asked what.

    Attributes
    ----------
    source, model : str
        Where the base model comes from, and its `CausalLM.identity`.
    spec : LoraClassifierSpec
    unlearning : Path or None
        The adapter that was merged in before fine-tuning.
    adapter : Path
        What fine-tuning left; both paths are read where the model is loaded.
    question : Prompts
        Of no rows.
    """

    source: str
    model: str
    spec: LoraClassifierSpec
    unlearning: Path | None
    adapter: Path
    question: Prompts

    def identity(self) -> dict[str, str]:
        """What the probabilities depend on, for the manifest."""
        return {
            "model": self.model,
            "adapter_sha256": "" if self.unlearning is None else directory_sha256(self.unlearning),
            "classifier_sha256": directory_sha256(self.adapter),
            "dtype": self.spec.dtype,
        }

    def load(self, threads: int | None) -> "Classifier":
        """Load the weights; raises BadInput where they cannot be, or are others than the manifest's."""
        lm = load_on_node(self.source, self.spec.dtype, self.model, threads)
        return self.with_model(unlearned(lm, self.unlearning))

    def with_model(self, lm: CausalLM) -> "Classifier":
        """The classifier over the model that was fine-tuned, where that is at hand."""
        return Classifier(lm=lm, recipe=self)


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A language model in memory; its adapter is put in for the length of a call."""

    lm: CausalLM
    recipe: ClassifierRecipe

    def __call__(self, texts: Sequence[str]) -> Embedded:
        """Probabilities [texts, 1]; `tokens` counts those of all prompts, shared ones as often as they are shared."""
        prompts = self.recipe.question._replace(row_bodies=list(texts))
        with fine_tuned(self.lm, self.recipe.adapter, self.recipe.spec) as classifier:
            positive = score_answers(classifier, prompts)
        tokens = sum(map(len, encode_questions(self.lm, prompts).heads))
        return Embedded(positive.astype(np.float32)[:, None], tokens)
