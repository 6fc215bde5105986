"""A FairNet run on invented people, a bundle of one of its trainings, and a sweep around it as it stands on disk."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import save_file

from equiray.cli import main
from equiray.mitigation.gating.store import load_outcomes
from fairnet_runs import people, tiny_bert, write_fairnet_spec

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
    spec = write_fairnet_spec(folder, tiny_bert(folder / "bert"), tasks=tasks, baselines=["thresholds"])
    assert equiray("run", spec, "--out", folder / "run", "--debug") == 0
    return folder / "run"


def sweep_of(run: Path, folder: Path) -> Path:
    """A finished sweep with one trial, number 12, which is the run's training of seed 0; three points of its gates."""
    spec = yaml.safe_load((run / "spec.yaml").read_text())
    shutil.copytree(run / "models" / "people.seed0" / "fairnet", folder / "models" / "people.seed0.trial12" / "fairnet")
    outcomes = load_outcomes(run / "outcomes" / "people.seed0.test.parquet")
    (folder / "test").mkdir()
    kept = {name: np.ascontiguousarray(getattr(outcomes, name)) for name in ("risk", "probability")}
    save_file(kept, folder / "test" / "trial12.safetensors")
    document = {"schema": "equiray.sweep/1", "name": "tiny sweep", "kind": "fairnet", "run": spec}
    (folder / "spec.yaml").write_text(yaml.safe_dump(document))
    low, high = np.quantile(outcomes.risk, [0.3, 0.7], axis=0).astype(float)
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
        "settings": {"detector.label_share": 0.2, "adapter.rank": 8},
        "thresholds": dict(zip(reversed(GATES), reversed(written), strict=True)),
        "open": None,
        "validation": metrics,
        "test": {
            "accuracy": {"value": 1.4 - accuracy, "low": 0.5, "high": 0.9},
            "equalized_odds_difference_max": {"value": 0.3 - gap, "low": 0.0, "high": 0.4},
        },
        "stability": 0.5,
    }


def search(points: list[dict[str, Any]]) -> dict[str, Any]:
    """The parts of search.json that a bundle reads."""
    base = point("base", [np.inf, np.inf], accuracy=0.7, gap=0.3) | {"name": "base", "trial": None}
    return {
        "schema": "equiray.search/1",
        "kind": "fairnet",
        "task": "Invented people",
        "attribute": "sex*region",
        "rows": {"validation": 480, "test": 960},
        "confidence": 0.95,
        "objectives": [
            {"metric": "accuracy", "direction": "higher", "reference": 0.5},
            {"metric": "equalized_odds_difference_max", "direction": "lower", "reference": 1.0},
        ],
        "front": points,
        "beside": [base, points[2] | {"id": "t12p9", "name": "untuned"}],
    }
