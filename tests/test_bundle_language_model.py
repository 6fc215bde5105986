"""Bundles of language models: an unlearning adapter, and a classifier on embeddings, over a tiny random llama."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from bundles_made import equiray
from equiray.bundles.bundle import load_bundle
from equiray.bundles.checking import read_manifest, verify_bundle
from equiray.bundles.manifest import DecisionPart, FolderPart, LanguageModelPart, Parts, Provenance
from equiray.bundles.writing import Content, write_bundle
from equiray.data.tasks.load import load_task
from equiray.errors import BadInput
from equiray.mitigation.unlearning import load_adapter
from equiray.mitigation.unlearning.adapters import RECORD
from equiray.models.classifiers import Logistic
from equiray.models.embedding import embed_texts
from equiray.models.loading import CausalLM, load_causal_lm
from equiray.models.logistic_store import load_logistic, save_logistic
from equiray.models.training.adapters import in_training, save_adapter
from equiray.specs.run import LoraSpec, TaskSpec
from own_runs import SCHEMA, rows
from tiny_models import save, tiny

TEXTS = ["The sex is Male.", "The sex is Female. The age is 39.", "The race is White. The sex is Male.", "No or Yes"]
LOGISTIC = Logistic(
    weights=np.random.default_rng(0).normal(0, 2, 32), intercept=-0.3, l2=0.01, validation_accuracy=0.75
)
ESTIMATE = {
    "task": "templates",
    "stage": "front",
    "model": "t3p0",
    "metric": "intrinsic_gap",
    "attribute": None,
    "group": None,
    "value": 0.12,
    "low": 0.1,
    "high": 0.2,
    "confidence": 0.95,
    "n": 40,
    "status": "estimated",
    "direction": "lower",
}
PROVENANCE = Provenance(origin="sweep", name="n", point="t3p0", pick="knee", spec_sha256="b" * 64, spec={})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tiny("llama", bos=True), tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def lm(model: Path) -> CausalLM:
    return load_causal_lm(str(model), dtype="float32")


@pytest.fixture(scope="module")
def trial(lm: CausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a combined trial leaves: an adapter that changes the model, and a classifier."""
    folder = tmp_path_factory.mktemp("trial")
    with in_training(lm, LoraSpec(rank=2), dtype="float32") as made:
        torch.manual_seed(1)
        moved = {name: torch.randn_like(tensor) * 0.3 for name, tensor in made.weights().items()}
        about = {"base_identity": lm.identity, "base_name": lm.name}
        save_adapter(folder / "adapter", made.lora, moved, about, RECORD)
    save_logistic(folder / "classifier", LOGISTIC)
    return folder


def base(lm: CausalLM, model: Path) -> LanguageModelPart:
    return LanguageModelPart(
        kind="language_model", source=str(model), name=lm.name, identity=lm.identity, pooling="mean", dtype="float32"
    )


def test_a_classifier_comes_back_bit_by_bit(tmp_path: Path):
    save_logistic(tmp_path, LOGISTIC)
    found = load_logistic(tmp_path)
    assert np.array_equal(found.weights, LOGISTIC.weights) and found.intercept == LOGISTIC.intercept
    assert (found.l2, found.validation_accuracy) == (0.01, 0.75)


@pytest.mark.parametrize("broken", ["cut", "nan", "schema", "gone"])
def test_a_broken_classifier_is_named(tmp_path: Path, broken: str):
    save_logistic(tmp_path, LOGISTIC)
    if broken == "cut":
        (tmp_path / "classifier.safetensors").write_bytes(b"short")
    elif broken == "nan":
        weights = np.full(32, np.nan)
        save_logistic(tmp_path, Logistic(weights=weights, intercept=0.0, l2=0.1, validation_accuracy=0.5))
    elif broken == "schema":
        (tmp_path / "classifier.json").write_text('{"schema": "other"}')
    else:
        (tmp_path / "classifier.json").unlink()
    with pytest.raises(BadInput, match="classifier"):
        load_logistic(tmp_path)


@pytest.mark.parametrize("unlearned", [False, True])
def test_embeddings_classifier_and_threshold_decide(
    lm: CausalLM, model: Path, trial: Path, tmp_path: Path, unlearned: bool
):
    plain, changed = (
        LOGISTIC.probabilities(embed_texts(of, TEXTS)) for of in (lm, load_adapter(lm, trial / "adapter"))
    )
    assert np.abs(plain - changed).max() > 1e-3  # the adapter shows
    expected = changed if unlearned else plain
    threshold = float(np.float32(expected[1]))  # a threshold is one of the scores, and that row is not above it
    parts = Parts(
        base=base(lm, model),
        unlearning=FolderPart(folder="unlearning") if unlearned else None,
        classifier=FolderPart(folder="classifier"),
        decision=DecisionPart(threshold=threshold),
    )
    folders = {"classifier": trial / "classifier"} | ({"unlearning": trial / "adapter"} if unlearned else {})
    write_bundle(tmp_path / "bundle", "n", Content(parts=parts, folders=folders), PROVENANCE)
    found = load_bundle(tmp_path / "bundle").decide_texts(TEXTS)
    assert found.probability == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(found.positive, expected.astype(np.float32) > np.float32(threshold))
    assert not found.positive[1] and found.gates == () and found.open.shape == (4, 0)
    some = load_bundle(tmp_path / "bundle").decide_texts(TEXTS, only=np.array([2, 0]))
    assert np.array_equal(some.probability, found.probability[[2, 0]])


def sweep(folder: Path, model: Path, trial: Path, kind: str, thresholds: dict[str, Any]) -> Path:
    """A sweep with one trial, number 3, on invented people whose sex the tokenizer knows."""
    columns = rows(300, islands=False)
    columns["sex"] = [value.capitalize() for value in columns["sex"]]
    pq.write_table(pa.table(columns), folder / "people.parquet")
    schema = SCHEMA.replace(", i: islands", "").replace("female: male, male: female", "Female: Male, Male: Female")
    (folder / "schema.yaml").write_text(schema)
    run = {
        "schema": "equiray.run/1",
        "name": "combined",
        "tasks": [
            {"name": "people", "path": str(folder / "people.parquet"), "table_schema": str(folder / "schema.yaml")}
        ],
        "language_model": {"source": str(model), "dtype": "float32"},
    }
    objectives = [{"metric": "intrinsic_gap", "reference": 1}, {"metric": "perplexity_ratio", "reference": 2}]
    sweep = {"schema": "equiray.sweep/1", "name": "tiny", "kind": kind, "run": run, "objectives": objectives}
    sweep["space"] = {"unlearning.lambda_gap": {"low": 0, "high": 1}}
    (folder / "spec.yaml").write_text(yaml.safe_dump(sweep))
    (folder / "trials").mkdir()
    (folder / "trials" / "trial3").symlink_to(trial)
    point = {
        "id": "t3p0",
        "trial": 3,
        "name": None,
        "settings": {"unlearning.lambda_gap": 0.5},
        "thresholds": thresholds,
        "validation": {"intrinsic_gap": 0.1, "perplexity_ratio": 1.01},
    }
    search = {
        "schema": "equiray.search/1",
        "kind": kind,
        "objectives": [
            {"metric": "intrinsic_gap", "direction": "lower", "reference": 1},
            {"metric": "perplexity_ratio", "direction": "lower", "reference": 2},
        ],
        "front": [point],
        "beside": [],
        "estimates": [ESTIMATE],
    }
    (folder / "search.json").write_text(json.dumps(search))
    return folder


def test_an_unlearned_model_of_a_sweep(lm: CausalLM, model: Path, trial: Path, tmp_path: Path, capsys):
    directory = sweep(tmp_path, model, trial, "unlearning", {})
    assert equiray("bundle", directory, "--pick", "knee", "--out", tmp_path / "out") == 0
    assert verify_bundle(tmp_path / "out") == []
    bundle = load_bundle(tmp_path / "out")
    provenance = bundle.manifest.provenance
    assert provenance.spec["unlearning"]["lambda_gap"] == 0.5 and provenance.test[0].to_json() == ESTIMATE
    assert bundle.language_model is not None and bundle.serializer is None
    expected = embed_texts(load_adapter(lm, trial / "adapter"), TEXTS)
    assert np.array_equal(embed_texts(bundle.language_model, TEXTS), expected)
    with pytest.raises(BadInput, match="holds nothing that decides"):
        bundle.decide_texts(TEXTS)
    capsys.readouterr()
    assert equiray("verify", tmp_path / "out", "--replay") == 3
    assert "records no outputs" in capsys.readouterr().err
    assert equiray("bundle", directory, "--pick", "fairest:0.1", "--out", tmp_path / "other") == 3
    assert "fairest needs the objective accuracy" in capsys.readouterr().err


def test_an_adapter_of_another_model_is_a_contradiction(model: Path, trial: Path, tmp_path: Path):
    directory = sweep(tmp_path, model, trial, "unlearning", {})
    equiray("bundle", directory, "--pick", "t3p0", "--out", tmp_path / "out")
    document = json.loads((tmp_path / "out" / "manifest.json").read_text())
    document["parts"]["base"]["identity"] = "c" * 64
    (tmp_path / "out" / "manifest.json").write_text(json.dumps(document))
    assert "part unlearning was trained on" in verify_bundle(tmp_path / "out")[0]


def test_the_combined_model_decides_rows(lm: CausalLM, model: Path, trial: Path, tmp_path: Path, capsys):
    directory = sweep(tmp_path, model, trial, "combined", {"decision": 0.4})
    assert equiray("bundle", directory, "--pick", "t3p0", "--out", tmp_path / "out") == 0
    manifest = read_manifest(tmp_path / "out")
    assert manifest.parts.decision == DecisionPart(threshold=0.4)
    task = load_task(TaskSpec(**yaml.safe_load((tmp_path / "spec.yaml").read_text())["run"]["tasks"][0]), 0)
    assert manifest.provenance.data[0].source_sha256 == task.source_sha256
    bundle = load_bundle(tmp_path / "out")
    assert bundle.serializer is not None
    texts = bundle.serializer.texts(task.table)
    assert len(set(texts)) > 100 and "The sex is Female." in " ".join(texts)
    expected = LOGISTIC.probabilities(embed_texts(load_adapter(lm, trial / "adapter"), texts))
    found = bundle.decide(task.table)
    assert found.probability == pytest.approx(expected, abs=1e-6) and len(np.unique(found.probability)) > 1
    (tmp_path / "more").mkdir()
    capsys.readouterr()
    two = sweep(tmp_path / "more", model, trial, "combined", {"a": 0.4, "b": 0.4})
    assert equiray("bundle", two, "--pick", "t3p0", "--out", tmp_path / "other") == 3
    assert "2 thresholds, and one decides" in capsys.readouterr().err
