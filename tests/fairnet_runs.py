"""A FairNet run on invented people and a tiny random BERT: made in seconds, no download."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, ViTConfig, ViTModel

from own_runs import SCHEMA, rows

_TEXT = "<pad> <unk> <s> </s> 0 1 2 3 4 5 6 7 8 9 . , : - = income sex female male"
WORDS = _TEXT.split()
POSITIONS = 48
QUICK = {"epochs": 2, "learning_rate": 0.003, "batch_rows": 64}


def tiny_bert(folder: Path) -> Path:
    """Three layers of 32 units; a token is a word or a digit."""
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=True)]
    )
    core.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)])
    PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", pad_token="<pad>").save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    config = BertConfig(**shape, vocab_size=len(WORDS), max_position_embeddings=POSITIONS, pad_token_id=0)
    _moved(BertModel(config)).save_pretrained(folder)
    return folder


def tiny_vit(folder: Path) -> Path:
    """A backbone of pictures; it has no tokenizer."""
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    ViTModel(ViTConfig(**shape, image_size=8, patch_size=4)).save_pretrained(folder)
    return folder


def _moved(model: Any) -> Any:
    """Weights large enough that a row's words show in its feature."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def people(folder: Path, n: int = 2400) -> dict[str, Any]:
    """The task of a spec, its files written: a tenth of the regions is missing."""
    columns = rows(n, islands=False) | {"town": np.random.default_rng(1).choice(["big", "small"], n).tolist()}
    pq.write_table(pa.table(columns), folder / "people.parquet")
    schema = SCHEMA.replace(", i: islands", "").replace("flips:", "  - {name: town, column: town}\nflips:")
    (folder / "schema.yaml").write_text(schema)
    files = {"path": str(folder / "people.parquet"), "table_schema": str(folder / "schema.yaml")}
    return {"name": "people", **files, "attributes": ["sex", "region", "sex*region"]}


def fairnet_document(folder: Path, model: Path, **changes: Any) -> dict[str, Any]:
    """A spec that trains everything in seconds."""
    document = {
        "schema": "equiray.fairnet/1",
        "name": "tiny",
        "tasks": [people(folder)] if "tasks" not in changes else [],
        "backbone": {"source": str(model), "max_tokens": POSITIONS, "frozen_layers": 1},
        "base": QUICK,
        "detector": {"training": QUICK},
        "adapter": {"training": QUICK | {"learning_rate": 0.01}},
        "threshold": {"max_accuracy_loss": 0.05},
    }
    return document | changes


def write_fairnet_spec(folder: Path, model: Path, **changes: Any) -> Path:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(fairnet_document(folder, model, **changes)))
    return path
