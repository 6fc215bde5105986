"""Transformers that can be run layer by layer: cache the lower layers, correct the upper ones (`Backbone`)."""

from equiray.models.backbones.backbone import Backbone, Pooling, States, TokenBatch
from equiray.models.backbones.families import BertBackbone, LlamaBackbone, VitBackbone
from equiray.models.backbones.loading import as_backbone, load_backbone
from equiray.models.backbones.pictures import PixelScale, pixel_values
from equiray.models.backbones.tokens import encode_texts, padded

__all__ = [
    "Backbone",
    "BertBackbone",
    "LlamaBackbone",
    "PixelScale",
    "Pooling",
    "States",
    "TokenBatch",
    "VitBackbone",
    "as_backbone",
    "encode_texts",
    "load_backbone",
    "padded",
    "pixel_values",
]
