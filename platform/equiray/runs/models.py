"""The language models of a run: the one it starts from and, per fold, the one that unlearned."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equiray.models.embedding import tokenize
from equiray.models.loading import CausalLM, load_causal_lm
from equiray.specs import LanguageModelSpec

_CHARACTERS_PER_TOKEN = 3
"""An endpoint keeps its tokenizer to itself; three characters a token overstates English prose, so budgets hold."""
BASE = "base"
"""Name of the model before unlearning; an unlearned one is named by its fold: ``fold0``, ``fold1``, ..."""


@dataclass(kw_only=True)
class LanguageModels:
    """Loads each model once, when it is first asked for, and keeps one: two together may not fit a GPU.

    `adapters` are the directories of the folds' final adapters, in fold order; the first fold's model is the one
    that goes on to the tables.
    """

    spec: LanguageModelSpec
    adapters: tuple[Path, ...] = ()
    _held: tuple[str, CausalLM] | None = field(default=None, repr=False)

    def base(self) -> CausalLM:
        """The model as it came."""
        return self._get(BASE, None)

    def unlearned(self, fold: int = 0) -> CausalLM:
        """The model with a fold's adapter merged into its weights."""
        return self._get(f"fold{fold}", self.adapters[fold])

    def trainable(self, dtype: str) -> CausalLM:
        """A fresh copy in the data type that unlearning trains in; the one held is let go."""
        self._held = None
        return load_causal_lm(self.spec.source, dtype=dtype)

    @property
    def name(self) -> str:
        """The model's name, for labels."""
        return self.spec.name or self.base().name

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Token counts of texts as the model reads them, special tokens included."""
        if self.spec.is_endpoint:
            return [len(text) // _CHARACTERS_PER_TOKEN + 1 for text in texts]
        return [len(ids) for ids in tokenize(self.base(), texts)]

    def details(self) -> dict[str, Any]:
        """What the report says about the model."""
        known = {"source": self.spec.source, "dtype": self.spec.dtype, "pooling": self.spec.pooling}
        if self.spec.is_endpoint:
            return {**known, "name": self.name}
        lm = self.base()
        return {**known, "name": lm.name, "parameters": lm.parameters, "identity": lm.identity}

    def _get(self, name: str, adapter: Path | None) -> CausalLM:
        if self._held is None or self._held[0] != name:
            self._held = None
            lm = load_causal_lm(self.spec.source, dtype=self.spec.dtype)
            if adapter is not None:
                from equiray.mitigation.unlearning import load_adapter

                lm = load_adapter(lm, adapter)
            self._held = (name, lm)
        return self._held[1]
