"""The language models of a run: the one it starts from and, per fold, the one that unlearned."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equiray.mitigation.unlearning import load_adapter
from equiray.models.embedding import tokenize
from equiray.models.loading import CausalLM, load_causal_lm
from equiray.specs.run import LanguageModelSpec

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
    _identity: str | None = field(default=None, repr=False)
    _held: tuple[tuple[str, str], CausalLM] | None = field(default=None, repr=False)

    def base(self, dtype: str | None = None) -> CausalLM:
        """The model as it came; `dtype` other than the spec's for measurements that rounding would blur."""
        return self._get(BASE, None, dtype)

    def unlearned(self, fold: int = 0, dtype: str | None = None) -> CausalLM:
        """The model with a fold's adapter merged into its weights."""
        return self._get(f"fold{fold}", self.adapters[fold], dtype)

    def at(self, unlearned: bool, dtype: str | None = None) -> CausalLM:
        """The model of a stage that follows unlearning (the first fold's), or of one that does not."""
        return self.unlearned(dtype=dtype) if unlearned else self.base(dtype)

    def trainable(self, dtype: str) -> CausalLM:
        """A fresh copy in the data type that unlearning trains in; the one held is let go."""
        self._held = None
        return load_causal_lm(self.spec.source, dtype=dtype)

    @property
    def name(self) -> str:
        """The model's name, for labels."""
        return self.spec.name or self.base().name

    @property
    def identity(self) -> str:
        """`CausalLM.identity` of the model as it came; loads it if no model was loaded yet."""
        return self._identity or self.base().identity

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

    def _get(self, name: str, adapter: Path | None, dtype: str | None) -> CausalLM:
        key = (name, dtype or self.spec.dtype)
        if self._held is None or self._held[0] != key:
            self._held = None
            lm = load_causal_lm(self.spec.source, dtype=key[1])
            self._identity = lm.identity
            self._held = (key, lm if adapter is None else load_adapter(lm, adapter))
        return self._held[1]
