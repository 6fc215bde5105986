"""A sweep that unlearns and decides, small enough for a test: a tiny model that knows the words it reads."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from equiray.data.reference import load_reference
from equiray.data.templates import build_prompts, load_templates
from own_runs import SCHEMA, rows

ROWS = 400


def speaking_model(folder: Path) -> Path:
    """A random llama whose tokenizer has every word of the prompts, of the reference texts and of the people."""
    templates = load_templates("equiray")
    corpus = [prompt.prefix for prompt in build_prompts(templates, "gender")]
    corpus += [*templates.fillers.poor, *templates.fillers.rich, *load_reference("targeted").texts]
    corpus += ["The income is -0123456789. The sex is Female. The sex is Male."]
    core = Tokenizer(models.WordLevel(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=True)]
    )
    core.train_from_iterator(corpus, trainers.WordLevelTrainer(special_tokens=["<unk>", "<s>", "</s>"]))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=core.get_vocab_size(),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    ).save_pretrained(folder)
    return folder


def people(folder: Path) -> dict[str, Any]:
    """The task of a spec, its files written."""
    columns = rows(ROWS, islands=False)
    columns["sex"] = [value.capitalize() for value in columns["sex"]]
    columns["income"] = [round(value, 1) for value in columns["income"]]
    pq.write_table(pa.table(columns), folder / "people.parquet")
    schema = SCHEMA.replace(", i: islands", "").replace("female: male, male: female", "Female: Male, Male: Female")
    (folder / "schema.yaml").write_text(schema)
    return {
        "name": "people",
        "path": str(folder / "people.parquet"),
        "table_schema": str(folder / "schema.yaml"),
        "attributes": ["sex", "region"],
    }


def run_document(folder: Path, model: Path) -> dict[str, Any]:
    """The run that is searched around."""
    return {
        "schema": "equiray.run/1",
        "name": "searched",
        "tasks": [people(folder)],
        "language_model": {"source": str(model), "dtype": "float32"},
        "unlearning": {
            "reference": "targeted",
            "steps": 4,
            "log_every": 2,
            "warmup_steps": 0,
            "learning_rate": 0.01,
            "validation_prompts": 16,
            "validation_texts": 8,
            "kl_texts": 8,
            "keep": "last",
            "lora": {"rank": 4},
        },
        "intrinsic": {"variants_per_family": 1},
    }


def sweep_document(folder: Path, model: Path, **changes: Any) -> dict[str, Any]:
    """Three trials, the spec's own settings first."""
    return {
        "schema": "equiray.sweep/1",
        "name": "tiny combined",
        "kind": "combined",
        "run": run_document(folder, model),
        "space": {"unlearning.lambda_unlearn": [0.05, 0.5], "unlearning.lambda_gap": {"low": 1, "high": 8}},
        "objectives": [
            {"metric": "demographic_parity_difference", "reference": 1},
            {"metric": "accuracy", "reference": 0.3},
            {"metric": "intrinsic_gap", "reference": 1},
        ],
        "constraints": [{"metric": "perplexity_ratio", "max": 3}, {"metric": "accuracy", "max_loss": 0.2}],
        "search": {"algorithm": "random", "trials": 3},
        "statistics": {"replicates": 100},
        **changes,
    }


def write_sweep(folder: Path, model: Path, **changes: Any) -> Path:
    """The YAML of `sweep_document`."""
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(sweep_document(folder, model, **changes)))
    return path
