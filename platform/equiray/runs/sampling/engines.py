"""`Engines`: the models of a run in this process, each loaded once and when it is first asked for."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from equiray.errors import BadInput
from equiray.mitigation.unlearning import load_adapter
from equiray.models.loading import CausalLM, check_source, load_causal_lm
from equiray.specs.generation import EngineSpec

_CHARACTERS_PER_TOKEN = 3
"""An endpoint keeps its tokenizer to itself; three characters a token overstates English prose, so budgets hold."""


@dataclass(kw_only=True)
class Engines:
    """The model that writes and those that judge; `check` finds before any compute what can be known to fail."""

    spec: EngineSpec
    _held: dict[tuple[str, str | None, str], CausalLM] = field(default_factory=dict, repr=False)

    def check(self) -> None:
        """Raise BadInput where the spec's source cannot be loaded or its backend is not there."""
        if self.spec.backend == "endpoint":
            return
        if self.spec.backend == "vllm" and importlib.util.find_spec("vllm") is None:
            fix = "make vllm, or use backend: transformers"
            raise BadInput("vLLM is not installed", place="engine.backend: vllm", fix=fix)
        check_source(self.spec.source)
        if self.spec.adapter is not None and not Path(self.spec.adapter).is_dir():
            fix = "name the directory that unlearning wrote"
            raise BadInput("no adapter there", place=f"engine.adapter {self.spec.adapter}", fix=fix)

    @property
    def model_name(self) -> str:
        """How results call the model; dots would part a file's name."""
        name = self.spec.name or (self.spec.source if self.spec.backend == "vllm" else self.lm().name)
        return name.replace(".", "-").replace("/", "-")

    @property
    def identity(self) -> dict[str, str]:
        """What names the engine's weights, where they can be known."""
        return {} if self.spec.backend == "endpoint" else {"engine": self.lm().identity}

    def lm(self) -> CausalLM:
        """The base model that writes, without the spec's adapter."""
        return self.model(self.spec.source, None, self.spec.dtype)

    def model(self, source: str, adapter: str | None, dtype: str) -> CausalLM:
        """Any causal model, an adapter merged in."""
        key = (source, adapter, dtype)
        if key not in self._held:
            lm = load_causal_lm(source, dtype=dtype)
            self._held[key] = lm if adapter is None else load_adapter(lm, Path(adapter))
        return self._held[key]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Token counts of texts as the model reads them."""
        if self.spec.backend == "endpoint":
            return [len(text) // _CHARACTERS_PER_TOKEN + 1 for text in texts]
        tokenizer = self.lm().tokenizer
        return [len(ids) for ids in tokenizer(list(texts), add_special_tokens=True)["input_ids"]] if texts else []
