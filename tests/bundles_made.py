"""A FairNet run on invented people, a bundle of one of its trainings, and a sweep around it as it stands on disk."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import save_file

from equiray.cli import main
from equiray.mitigation.fairnet import load_fairnet, lower_states, subset_probabilities
from equiray.models.backbones import encode_texts, load_backbone
from equiray.models.token_counter import TokenCounter
from equiray.runs.fairnet.planning import plan_task
from equiray.specs.fairnet import load_fairnet_spec
from fairnet_runs import QUICK, people, tiny_bert, write_fairnet_spec

GATES = ("sex", "region")


def equiray(*arguments: object) -> int:
    """The command in this process; its exit code."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 1


def fairnet_run(folder: Path) -> Path:
    """Two gates, one training, no baseline that is trained."""
    tasks = [people(folder, 800)]
    base = QUICK | {"epochs": 12}
    model = tiny_bert(folder / "bert")
    spec = write_fairnet_spec(folder, model, tasks=tasks, base=base, baselines=["thresholds"])
    assert equiray("run", spec, "--out", folder / "run", "--debug") == 0
    return folder / "run"


def sweep_of(run: Path, folder: Path) -> Path:
    """A finished sweep with one trial, number 12, which is the run's training; three points of its gates.

    Its trials share no layer: one of them, say, had a detector on the embeddings.
    """
    shutil.copytree(run / "models" / "people.seed0" / "fairnet", folder / "trials" / "trial12" / "fairnet")
    spec = load_fairnet_spec(run / "spec.yaml")
    backbone = load_backbone(spec.backbone)
    assert backbone.tokenizer is not None
    task = plan_task(spec.tasks[0], spec, TokenCounter(tokenizer=backbone.tokenizer))
    states = lower_states(backbone, encode_texts(backbone, list(task.examples.inputs), spec.backbone.max_tokens), 0)
    fairnet = load_fairnet(folder / "trials" / "trial12" / "fairnet", backbone)
    said = subset_probabilities(fairnet, states.take(task.rows("test")))
    for name in ("lower", "said"):
        (folder / name).mkdir()
    states.save(folder / "lower" / "people.layer0.safetensors")
    save_file(said._asdict(), folder / "said" / "trial12.test.safetensors")
    objectives = [{"metric": "accuracy", "reference": 0.5}, {"metric": "equalized_odds_difference_max", "reference": 1}]
    document = {
        "schema": "equiray.sweep/1",
        "name": "tiny sweep",
        "kind": "fairnet",
        "run": yaml.safe_load((run / "spec.yaml").read_text()),
        "space": {"detector.high_loss": {"low": 0.1, "high": 0.3}, "adapter.rank": [4, 8]},
        "objectives": objectives,
    }
    (folder / "spec.yaml").write_text(yaml.safe_dump(document))
    low, high = np.quantile(said.risk, [0.3, 0.7], axis=0).astype(float)
    points = [
        point("t12p0", low, accuracy=0.72, gap=0.05),
        point("t12p1", high, accuracy=0.745, gap=0.08),
        point("t12p2", [np.inf, np.inf], accuracy=0.75, gap=0.3),
    ]
    (folder / "search.json").write_text(json.dumps(search(points), indent=1))
    return folder


def point(name: str, thresholds: Any, *, accuracy: float, gap: float) -> dict[str, Any]:
    """On test rows the order of accuracies is the other way round: what picks by them picks another."""
    metrics = {"accuracy": accuracy, "equalized_odds_difference_max": gap}
    written = [value if np.isfinite(value) else str(value) for value in thresholds]
    return {
        "id": name,
        "trial": 12,
        "name": None,
        "settings": {"detector.high_loss": 0.25, "adapter.rank": 8},
        "thresholds": dict(zip(reversed(GATES), reversed(written), strict=True)),
        "open": None,
        "validation": metrics,
        "test": {name: {"value": 1.4 - value, "low": 0.5, "high": 1.4} for name, value in metrics.items()},
        "stability": 0.5,
    }


def search(points: list[dict[str, Any]]) -> dict[str, Any]:
    """The parts of search.json that a bundle reads."""
    base = point("base", [np.inf, np.inf], accuracy=0.7, gap=0.3) | {"name": "base", "trial": None}
    beside = [base, points[2] | {"id": "untuned", "name": "untuned"}]
    about = {"task": "people", "attribute": "sex*region", "group": None, "confidence": 0.95, "n": 320}
    return {
        "schema": "equiray.search/1",
        "kind": "fairnet",
        "objectives": [
            {"metric": "accuracy", "direction": "higher", "reference": 0.5},
            {"metric": "equalized_odds_difference_max", "direction": "lower", "reference": 1.0},
        ],
        "front": points,
        "beside": beside,
        "estimates": [
            {**about, **said, "stage": "front", "model": each["id"], "metric": metric, "status": "estimated"}
            | {"direction": "higher" if metric == "accuracy" else "lower"}
            for each in (*points, *beside)
            for metric, said in each["test"].items()
        ],
    }
