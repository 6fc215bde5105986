"""A tiny random BERT with a tokenizer, and a FairNet on it whose gates differ from row to row: made in a second."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import BertConfig, BertModel

import streaming_cases
import tiny_models
from equiray.mitigation.fairnet import Classifier, FairNet, Layers, lower_states, save_fairnet
from equiray.mitigation.fairnet.detector import Detector
from equiray.mitigation.fairnet.gates import Adapter
from equiray.mitigation.fairnet.support import Support
from equiray.models.backbones import Backbone, encode_texts, load_backbone
from equiray.specs.fairnet import BackboneSpec, FairNetSpec

LAYERS = Layers(frozen=1, detector=2, adapter=2)
ATTRIBUTES = ("sex", "race")


def save_backbone(folder: Path, *, seed: int = 0) -> BackboneSpec:
    torch.manual_seed(seed)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    model = BertModel(BertConfig(**shape, vocab_size=tiny_models.VOCABULARY, max_position_embeddings=64))
    shaken(model, 0.1)
    model.save_pretrained(folder)
    tiny_models.tokenizer().save_pretrained(folder)
    return BackboneSpec(source=str(folder), max_tokens=32)


def texts(rows: pa.Table) -> list[str]:
    return streaming_cases.serializer().texts(rows)


def fairnet(
    backbone: Backbone, *, attributes: tuple[str, ...] = ATTRIBUTES, support: bool = False, seed: int = 0
) -> FairNet:
    """With `support`, about three rows in ten lie outside."""
    torch.manual_seed(seed)
    classifier = Classifier(backbone, frozen_layers=LAYERS.frozen, seed=seed)
    detectors = {name: Detector(backbone.width, seed=seed, stage=name).eval() for name in attributes}
    adapters = {
        name: Adapter(classifier.backbone, first_layer=LAYERS.adapter, rank=2, alpha=4, seed=seed, stage=name)
        for name in attributes
    }
    for module in (classifier.head, *adapters.values()):
        shaken(module, 0.3)
    guard = None
    if support:
        seen = encode_texts(backbone, texts(streaming_cases.rows(60)), 32)
        states = lower_states(backbone, seen, LAYERS.detector)
        rows = torch.stack([states.tokens[a:b].mean(0) for a, b in pairwise(states.offsets)])
        guard = Support.fit(rows, 0.3)
    return FairNet(classifier=classifier, detectors=detectors, adapters=adapters, layers=LAYERS, support=guard)


def saved(folder: Path, spec: BackboneSpec, **more) -> Path:
    save_fairnet(folder, fairnet(load_backbone(spec), **more))
    return folder


def shaken(module: torch.nn.Module, by: float) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * by)


SCHEMA = """
schema: equiray.table/1
title: Invented people
features:
  - {name: hours, label: hours, kind: numeric}
  - {name: age, label: age, kind: numeric}
  - {name: sex, label: sex, kind: categorical}
label: {column: paid, values: ['no', 'yes'], positive: 'yes'}
question: Does this person pay? Yes or no?
sensitive: [{name: sex, column: sex}]
split: split
"""


def run_spec(folder: Path, backbone: BackboneSpec, **changes) -> FairNetSpec:
    """A FairNet run on an invented table whose every word the tiny tokenizer knows."""
    random, n = np.random.default_rng(0), 1600
    table = {
        "hours": random.choice([20, 39, 40, 41], n),
        "age": random.choice([20, 39, 40, 41], n),
        "sex": random.choice(["Male", "Female"], n),
        "split": random.choice(["train", "validation", "test"], n),
    }
    paid = random.random(n) < np.where(table["hours"] > 39, 0.7, 0.3) - 0.2 * (table["sex"] == "Female")
    pq.write_table(pa.table({**table, "paid": np.where(paid, "yes", "no")}), folder / "people.parquet")
    (folder / "schema.yaml").write_text(SCHEMA)
    quick = {"epochs": 1, "batch_rows": 32}
    task = {"name": "people", "path": str(folder / "people.parquet"), "table_schema": str(folder / "schema.yaml")}
    document = {
        "schema": "equiray.fairnet/1",
        "name": "tiny",
        "tasks": [task],
        "vulnerable": {"sex": "Female"},
        "backbone": {**backbone.model_dump(), "frozen_layers": 1},
        "base": quick,
        "detector": {"training": quick, "kind": "group"},
        "adapter": {"training": quick},
        "baselines": [],
    }
    return FairNetSpec.model_validate(document | changes)
