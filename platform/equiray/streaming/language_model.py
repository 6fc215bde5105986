"""The embedder that counts: a frozen causal language model, with an unlearning adapter merged in or without."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from equiray.errors import BadInput
from equiray.models.embedding import Pooling, embed_texts
from equiray.models.loading import CausalLM, load_causal_lm
from equiray.specs.run import LanguageModelSpec
from equiray.streaming.kernel import Embedded


@dataclass(frozen=True, kw_only=True)
class LanguageModelRecipe:
    """Which weights, run how. `model` is `CausalLM.identity` of the base model; paths are read where it is loaded."""

    spec: LanguageModelSpec
    model: str
    adapter: Path | None

    def identity(self) -> dict[str, str]:
        """What the vectors depend on, for the manifest."""
        return {
            "model": self.model,
            "adapter_sha256": "" if self.adapter is None else directory_sha256(self.adapter),
            "pooling": self.spec.pooling,
            "dtype": self.spec.dtype,
        }

    def load(self, threads: int | None) -> "LanguageModelEmbedder":
        """Load the weights.

        Raises
        ------
        BadInput
            They cannot be loaded here, or are others than the manifest's.
        """
        return self.with_model(load_on_node(self.spec.source, self.spec.dtype, self.model, threads))

    def with_model(self, lm: CausalLM) -> "LanguageModelEmbedder":
        """The embedder over a base model that is loaded already."""
        return LanguageModelEmbedder(lm=unlearned(lm, self.adapter), pooling=self.spec.pooling)


@dataclass(frozen=True, kw_only=True)
class LanguageModelEmbedder:
    """A language model in memory."""

    lm: CausalLM
    pooling: Pooling

    def __call__(self, texts: Sequence[str]) -> Embedded:
        """Embed texts; `tokens` counts equal texts once."""
        counts: list[int] = []
        vectors = embed_texts(self.lm, texts, pooling=self.pooling, progress=lambda _, tokens: counts.append(tokens))
        return Embedded(vectors, sum(counts))


def load_on_node(source: str, dtype: str, identity: str, threads: int | None) -> CausalLM:
    """Load a base model to compute on so many threads (None: as this process is set).

    Raises
    ------
    BadInput
        It cannot be loaded here, or its weights are not those of `identity`.
    """
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    lm = load_causal_lm(source, dtype=dtype)
    if lm.identity != identity:
        raise BadInput(
            f"the weights of {source!r} are {lm.identity} on this node, {identity} where it started",
            place="language_model.source",
            fix="give all nodes the same files",
        )
    return lm


def unlearned(lm: CausalLM, adapter: Path | None) -> CausalLM:
    """A base model with an unlearning adapter merged in; as it is without one."""
    if adapter is None:
        return lm
    from equiray.mitigation.unlearning.adapters import load_adapter

    return load_adapter(lm, adapter)


def directory_sha256(directory: Path) -> str:
    """Hash of a directory's files, names and bytes.

    Raises
    ------
    BadInput
        There are none.
    """
    files = sorted(path for path in directory.rglob("*") if path.is_file()) if directory.is_dir() else []
    if not files:
        raise BadInput("no adapter there", place=str(directory), fix="name the directory that unlearning wrote")
    digest = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(directory).as_posix()} {content}\n".encode())
    return digest.hexdigest()
