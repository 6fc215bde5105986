"""`load_bundle`: the combined model, ready to decide."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.bundles.checking import read_manifest, verify_bundle
from equiray.bundles.deciding import Decider, Decisions, EmbeddingDecider, GatedDecider
from equiray.bundles.manifest import MANIFEST, BackbonePart, DecisionPart, FairNetPart, LanguageModelPart, Manifest
from equiray.bundles.reward import Reward
from equiray.bundles.rows import checked_rows
from equiray.bundles.serializers import read_serializer
from equiray.data.text import CountTokens, Serializer
from equiray.errors import BadInput
from equiray.mitigation.fairnet import FairNet, load_fairnet
from equiray.mitigation.unlearning import load_adapter
from equiray.models.backbones import load_backbone
from equiray.models.loading import CausalLM, load_causal_lm
from equiray.models.logistic_store import load_logistic
from equiray.models.token_counter import TokenCounter
from equiray.specs.fairnet import BackboneSpec

_AGAIN = "copy the bundle again, or make it again with `equiray bundle`"
_SHOWN = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """A combined model in memory.

    Attributes
    ----------
    path : Path
    manifest : Manifest
    serializer : Serializer, optional
        None where the model reads texts that are no rows of a table.
    decider : Decider, optional
        None where it decides nothing: a language model alone.
    language_model : CausalLM, optional
        Of a base of that kind, unlearned where the bundle has an adapter.
    reward : Reward, optional
        What scores the language model's chains.
    """

    path: Path
    manifest: Manifest
    serializer: Serializer | None = None
    decider: Decider | None = None
    language_model: CausalLM | None = None
    reward: Reward | None = None

    def decide(self, rows: pa.Table, *, only: NDArray[np.int64] | None = None) -> Decisions:
        """Decide rows of a table.

        Parameters
        ----------
        rows : pyarrow.Table
            The columns of the task's features, with readable values as in `Task.table`; others are not read. Null is
            a value that is unknown.
        only : int64 [M], optional
            Places of the rows that are decided; the frozen layers of all rows run together. A run that evaluates one
            split of a task does so, and with the same rows and places its numbers come out bit by bit. Default: all.

        Raises
        ------
        BadInput
            There is nothing that decides, or no serializer, or there are no rows, or a column is
            absent or of another kind than in training.
        """
        if self.serializer is None:
            fix = "call `decide_texts`"
            raise BadInput("this bundle reads texts, not rows of a table", place=str(self.path), fix=fix)
        return self.decide_texts(self.serializer.texts(checked_rows(rows, self.serializer.schema)), only=only)

    def decide_texts(self, texts: Sequence[str], *, only: NDArray[np.int64] | None = None) -> Decisions:
        """Decide texts as the serializer writes them; `only` as for `decide`.

        Raises
        ------
        BadInput
            There is nothing that decides, or there are no texts, or an empty one.
        """
        if self.decider is None:
            fix = "use its `language_model`, or bundle a FairNet or a classifier"
            raise BadInput("this bundle holds nothing that decides", place=str(self.path), fix=fix)
        if not len(texts):
            raise BadInput("there are no texts to decide", place="texts", fix="give at least one")
        return self.decider(texts, np.arange(len(texts)) if only is None else only)


def load_bundle(path: Path, *, source: str | None = None, reward_source: str | None = None) -> Bundle:
    """Verify a bundle and load it, its base model with it.

    Parameters
    ----------
    path : Path
    source : str, optional
        Where the base model lies on this machine: a directory, a ``.gguf`` file or a hub id; default: where the
        manifest says. Its weights must be those that the manifest names.
    reward_source : str, optional
        The same for the reward model's base. Default: `source` where both have one base, else as the manifest says.

    Raises
    ------
    BadInput
        No bundle there, or one that `verify_bundle` finds fault with; or the base model is not there, or has other
        weights.
    """
    if problems := verify_bundle(path):
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise BadInput("; ".join([*problems[:_SHOWN], *more]), place=str(path), fix=_AGAIN)
    manifest = read_manifest(path)
    base = manifest.parts.base
    if base is None:
        return Bundle(path=path, manifest=manifest)
    if isinstance(base, BackbonePart):
        return _gated(path, manifest, base, source or base.source)
    return _language_model(path, manifest, base, source, reward_source)


def _gated(path: Path, manifest: Manifest, base: BackbonePart, source: str) -> Bundle:
    with _base_of(path):
        backbone = load_backbone(BackboneSpec(source=source, dtype=base.dtype), pooling=base.pooling)
        _check_identity(base, source, backbone.identity)
        if backbone.tokenizer is None:
            raise BadInput(f"{base.name} reads pictures", place="", fix="bundles are of models that read texts")
    part, decider = manifest.parts.fairnet, None
    if part is not None:
        fairnet = load_fairnet(path / part.folder, backbone)
        decider = GatedDecider(
            fairnet=fairnet,
            shared_layers=_shared_layers(path, part, fairnet),
            max_tokens=base.max_tokens,
            threshold=_threshold(manifest),
        )
    serializer = _serializer(path, manifest, TokenCounter(tokenizer=backbone.tokenizer))
    return Bundle(path=path, manifest=manifest, serializer=serializer, decider=decider)


def _language_model(
    path: Path, manifest: Manifest, base: LanguageModelPart, source: str | None, reward_source: str | None
) -> Bundle:
    parts, decider, reward = manifest.parts, None, None
    with _base_of(path):
        lm = load_causal_lm(source or base.source, dtype=base.dtype)
        _check_identity(base, source or base.source, lm.identity)
    if parts.reward is not None:
        shared = source if parts.reward.base.identity == base.identity else None
        reward = Reward.load(path, parts.reward, source=reward_source or shared)
    if parts.unlearning is not None:
        lm = load_adapter(lm, path / parts.unlearning.folder)
    if parts.classifier is not None:
        logistic = load_logistic(path / parts.classifier.folder)
        decider = EmbeddingDecider(lm=lm, pooling=base.pooling, logistic=logistic, threshold=_threshold(manifest))
    serializer = _serializer(path, manifest, TokenCounter(tokenizer=lm.tokenizer))
    return Bundle(
        path=path, manifest=manifest, serializer=serializer, decider=decider, language_model=lm, reward=reward
    )


def _shared_layers(path: Path, part: FairNetPart, fairnet: FairNet) -> int:
    most = fairnet.layers.cached
    if part.shared_layers is not None and part.shared_layers > most:
        raise BadInput(
            f"{part.shared_layers} layers are not shared: {most} lie below what is trained, read and adapted",
            place=f"{path / MANIFEST}, parts.fairnet.shared_layers",
            fix=_AGAIN,
        )
    return most if part.shared_layers is None else part.shared_layers


def _threshold(manifest: Manifest) -> float:
    return (manifest.parts.decision or DecisionPart()).threshold


def _serializer(path: Path, manifest: Manifest, count_tokens: CountTokens) -> Serializer | None:
    part = manifest.parts.serializer
    return None if part is None else read_serializer(path / part.file, count_tokens)


@contextmanager
def _base_of(path: Path) -> Iterator[None]:
    """Errors about the base model name the manifest, and that it may lie elsewhere here."""
    try:
        yield
    except BadInput as error:
        raise BadInput(
            error.problem,
            place=f"{path / MANIFEST}, parts.base",
            fix=f"{error.fix}; where the base model lies elsewhere on this machine, say so: --base PATH, `source=PATH`",
        ) from error


def _check_identity(base: BackbonePart | LanguageModelPart, source: str, found: str) -> None:
    if found != base.identity:
        raise BadInput(
            f"the base model {source!r} has other weights ({found:.12}) than the bundle was made with "
            f"({base.identity:.12})",
            place="parts.base",
            fix=f"give the weights of {base.name} that it was made with",
        )
