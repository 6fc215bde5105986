"""A vision transformer small enough to be trained from scratch on two cores."""

import torch
from transformers import ViTConfig, ViTModel

from equiray.data.pictures.drawing import SIDE


def tiny_vit_config() -> ViTConfig:
    """8 layers of width 192 on 8 x 8 patches of a picture of 64 x 64: 65 states a picture, 3.6 M parameters.

    Width and heads are those of ViT-Tiny (Touvron et al. 2021, arXiv 2012.12877, DeiT-Ti), four layers fewer; a
    detector at layer 4 is halfway up, as in FairNet (arXiv 2510.19421).
    """
    return ViTConfig(
        image_size=SIDE,
        patch_size=8,
        num_channels=3,
        hidden_size=192,
        num_hidden_layers=8,
        num_attention_heads=3,
        intermediate_size=4 * 192,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def draw_tiny_vit(seed: int) -> ViTModel:
    """The model before any training; torch's own generator is as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ViTModel(tiny_vit_config(), add_pooling_layer=False)
