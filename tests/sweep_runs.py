"""Specs of sweeps on invented people and tiny random models, and the command in this process."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from numpy.typing import NDArray
from safetensors.numpy import load_file

from equiray.cli import main
from equiray.specs.sweep import SweepSpec
from fairnet_runs import fairnet_document, people

Arrays = Mapping[str, NDArray[Any]]
METRICS = ("accuracy", "equalized_odds_difference_max")
UNTUNED, NAMED = "untuned", "large"
LEDGER = "trials.jsonl"

FAIRNET_RUN = {"schema": "equiray.fairnet/1", "name": "searched", "tasks": [{"name": "adult", "attributes": ["sex"]}]}
FAIRNET = {
    "schema": "equiray.sweep/1",
    "name": "tiny",
    "kind": "fairnet",
    "run": FAIRNET_RUN,
    "space": {"adapter.rank": [4, 8, 16], "adapter.lambda_contrastive": {"low": 0, "high": 2}},
    "objectives": [
        {"metric": "accuracy", "reference": 0.5},
        {"metric": "equalized_odds_difference_max", "reference": 1},
    ],
}
BASE = {"epochs": 8, "learning_rate": 0.01, "batch_rows": 64}
UNLEARNING = {
    "schema": "equiray.sweep/1",
    "name": "tiny",
    "kind": "unlearning",
    "run": {"schema": "equiray.run/1", "name": "searched", "tasks": [{"name": "german"}]},
    "space": {"unlearning.lambda_gap": {"low": 0.5, "high": 10, "log": True}},
    "objectives": [
        {"metric": "intrinsic_gap", "reference": 1},
        {"metric": "perplexity_ratio", "reference": 1.5},
    ],
}


def sweep_spec(document: dict[str, Any], **changes: Any) -> SweepSpec:
    return SweepSpec.model_validate(document | changes)


class Done(NamedTuple):
    code: Any
    out: str
    err: str


def started(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """`equiray` in this process, for starting one takes longer than all that it does."""

    def start(*arguments: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        return Done(left.value.code, *capsys.readouterr())

    return start


def written(folder: Path, document: dict[str, Any]) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))  # known settings are tried in their order
    return path


def read(out: Path, name: str = "search.json") -> Any:
    return json.loads((out / name).read_text(encoding="utf-8"))


def fairnet_sweep(folder: Path, model: Path, rows: int = 700, **changes: Any) -> dict[str, Any]:
    """One gate, a tiny backbone, trials of less than a second."""
    task = people(folder, rows) | {"attributes": ["sex"]}
    run = fairnet_document(folder, model, tasks=[task], base=BASE) | {"name": "searched"}
    space = {
        "detector.kind": ["group", "risk", "both"],
        "adapter.rank": [2, 4, 8],
        "adapter.training.learning_rate": {"low": 0.001, "high": 0.1, "log": True},
    }
    search = {"algorithm": "random", "trials": 4}
    small = {"run": run, "space": space, "search": search, "statistics": {"replicates": 100}}
    return FAIRNET | small | changes


class Swept(NamedTuple):
    """A finished sweep: its spec and its directory."""

    spec: Path
    out: Path

    @property
    def search(self) -> dict[str, Any]:
        return read(self.out)

    def said(self, name: str, split: str) -> Arrays:
        return load_file(self.out / "said" / f"{name}.{split}.safetensors")


def document_of(folder: Path, bert: Path, **changes: Any) -> dict[str, Any]:
    """Four trials: two that the spec names, one of them outside the space, and two drawn at random."""
    known = {UNTUNED: {}, NAMED: {"adapter.rank": 16}}
    changes = {"resources": {"at_once": 1}} | changes  # every worker has to import torch
    return fairnet_sweep(folder, bert, known=known, constraints=[{"metric": "accuracy", "max_loss": 0.1}], **changes)


def sweep_to_its_end(spec: Path, out: Path) -> None:
    from equiray.cli import main

    with pytest.raises(SystemExit) as left:
        main(["sweep", str(spec), "--out", str(out), "--debug"])
    assert left.value.code == 0


def same_figures(one: Path, other: Path) -> None:
    first, second = read(one), read(other)
    for part in ("front", "beside", "frontier", "estimates", "objectives", "constraints"):
        assert first[part] == second[part], part
    assert first["hypervolume"]["test"] == second["hypervolume"]["test"]
