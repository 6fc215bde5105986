"""Tiny FairNets of three families, with rows that can be learnt: made in a second."""

from functools import cache

import numpy as np
import torch
from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel, ViTConfig, ViTModel

from equiray.mitigation.fairnet import TrainingRows, Validation, correct, lower_states, train_base
from equiray.models.backbones import as_backbone, padded
from equiray.specs.fairnet import FairNetSpec

SHAPE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
WORDS = {**SHAPE, "vocab_size": 50, "max_position_embeddings": 64, "pad_token_id": 0}
MODELS = {
    "bert": lambda: BertModel(BertConfig(**WORDS)),
    "llama": lambda: LlamaModel(LlamaConfig(**WORDS, num_key_value_heads=2)),
    "vit": lambda: ViTModel(ViTConfig(**SHAPE, image_size=8, patch_size=4)),
}
ROWS, POSITIVE, WOMAN = 160, 7, 9
"""A row is positive if it has the token 7, and of the vulnerable group if it has the token 9."""


def backbone(family="bert", *, dtype=torch.float32, pooling=None):
    torch.manual_seed(0)
    model = MODELS[family]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return as_backbone(model, name=family, identity=f"{family}-0", dtype=dtype, pooling=pooling)


def sequences(rows=ROWS, seed=0):
    random = np.random.default_rng(seed)
    return [[2, *random.integers(3, 20, random.integers(3, 12)).tolist()] for _ in range(rows)]


def pixels(rows=ROWS, seed=0):
    return torch.randn(rows, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def inputs(family):
    return pixels() if family == "vit" else sequences()


def batch(made, rows=24):
    """The first rows as a padded batch of the backbone."""
    return pixels()[:rows] if made.tokenizer is None and made.name == "vit" else padded(made, sequences()[:rows])


def labels():
    return np.array([POSITIVE in row for row in sequences()], dtype=np.int64)


def groups():
    return {
        "sex": np.array([WOMAN in row for row in sequences()]),
        "race": np.array([len(row) % 3 == 0 for row in sequences()]),
    }


def spec(*, epochs=4, **changes):
    quick = {"epochs": epochs, "learning_rate": 3e-3, "batch_rows": 16}
    document = {
        "schema": "equiray.fairnet/1",
        "name": "tiny",
        "tasks": [{"name": "adult"}],
        "backbone": {"frozen_layers": 1},
        "base": quick,
        "detector": {"training": quick, **changes.pop("detector", {})},
        "adapter": {"training": {**quick, "learning_rate": 1e-2}, **changes.pop("adapter", {})},
        **changes,
    }
    return FairNetSpec.model_validate(document)


def training_rows(made, layer=1, attributes=("sex", "race"), **more):
    lower = lower_states(made, inputs(made.name), layer)
    return TrainingRows(lower=lower, labels=labels(), vulnerable={name: groups()[name] for name in attributes}, **more)


@cache
def trained_base(family="bert", layer=1, dtype=torch.float32):
    """(backbone, base classifier): never changed by what is built on it."""
    made = backbone(family, dtype=dtype)
    rows = training_rows(made, layer)
    return made, train_base(made, rows, Validation(rows.lower, rows.labels), spec(), 0)[0]


@cache
def corrected(family="bert", attributes=("sex", "race"), dtype=torch.float32, first_layer=None, layer=None):
    """A trained FairNet whose gates are open for some rows and closed for others."""
    made, base = trained_base(family, 0, dtype)
    chosen = spec(epochs=2, adapter={"first_layer": first_layer}, detector={"layer": layer})
    return correct(base, training_rows(made, 0, attributes), chosen, 0)
