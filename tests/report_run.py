"""A run directory with SYNTHETIC figures, drawn from a seed: no figure is about a model or people."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TASKS = {
    "german": ("German Credit", {"sex": {"female": 310, "male": 690}, "age": {"25 or younger": 190, "over 25": 810}}),
    "adult": ("Adult", {"sex": {"Female": 1620, "Male": 3380}, "race": {"White": 4270, "Black": 480, "(missing)": 12}}),
}
STAGES = ("baseline", "cda", "unlearning", "cda_unlearning")
DISPARITIES = {
    "accuracy_parity_difference": 0.09,
    "demographic_parity_difference": 0.2,
    "equalized_odds_difference_max": 0.22,
    "equal_opportunity_difference": 0.15,
}
MODELS = {"raw": ("baseline", "cda"), "raw_unaware": ("baseline",), "embedding": STAGES}


def estimate(
    task: str, stage: str, model: str, metric: str, value: float | None, half: float = 0.03, **more: Any
) -> dict:
    """One record of results.json around `value`; None makes it not estimable."""
    record = {"task": task, "stage": stage, "model": model, "metric": metric, "attribute": None, "group": None}
    record |= {"value": value, "low": None, "high": None, "confidence": 0.95, "n": 300}
    record |= {"status": "not_estimable" if value is None else "estimated", "direction": "lower"}
    if value is not None:
        record |= {"low": round(value - half, 6), "high": round(value + half, 6)}
    return record | more


def synthetic_estimates(seed: int = 7) -> list[dict]:
    """Figures of two tasks and one template set, for every stage and model."""
    rng = np.random.default_rng(seed)
    records = _intrinsic()
    for task, (_, attributes) in TASKS.items():
        for model, stages in MODELS.items():
            for stage in stages:
                records += _one_stage(rng, task, model, stage, attributes)
    return records


def _one_stage(rng: np.random.Generator, task: str, model: str, stage: str, attributes: dict) -> list[dict]:
    def draw(mean: float, spread: float = 0.02) -> float:
        return round(float(abs(rng.normal(mean, spread))), 6)

    quality = {"attribute": None, "direction": "higher"}
    records = [estimate(task, stage, model, "accuracy", draw(0.76), **quality)]
    records.append(estimate(task, stage, model, "auc", draw(0.79), **quality))
    if stage != "baseline":
        records.append(estimate(task, f"{stage}-baseline", model, "accuracy", draw(0, 0.006), 0.02, **quality))
    for attribute, groups in attributes.items():
        for metric, level in DISPARITIES.items():
            relief = 0.55 if stage == "cda_unlearning" else 0.9 if stage != "baseline" else 1.0
            records.append(estimate(task, stage, model, metric, draw(level * relief), 0.05, attribute=attribute))
            if stage != "baseline":
                change = float(rng.normal(level * (relief - 1), 0.01))
                records.append(estimate(task, f"{stage}-baseline", model, metric, change, 0.045, attribute=attribute))
        for group, n in groups.items():
            where = {"attribute": attribute, "group": group, "direction": "none"}
            records.append(estimate(task, stage, model, "selection_rate", draw(0.7), n=n, **where))
            records.append(estimate(task, stage, model, "fpr", draw(0.2), n=math.ceil(n * 0.7), **where))
            empty = group == "(missing)"
            tpr = estimate(task, stage, model, "tpr", None if empty else draw(0.8), n=0 if empty else n // 3, **where)
            records.append(tpr)
    return records


def _intrinsic() -> list[dict]:
    levels = {
        "intrinsic_gap": (0.752, 0.118, 0.05, "lower"),
        "intrinsic_gap_signed": (0.074, 0.012, 0.03, "zero"),
        "intrinsic_gap_counterfactual": (0.142, 0.031, 0.028, "lower"),
    }
    records = []
    for metric, (before, after, half, direction) in levels.items():
        more = {"attribute": "gender", "direction": direction, "n": 240}
        for stage, value in (("baseline", before), ("unlearning", after), ("unlearning-baseline", after - before)):
            records.append(estimate("equiray", stage, "SmolLM2-135M-Instruct", metric, value, half, **more))
    for group, par in (("women", (0.566, 0.521)), ("men", (0.492, 0.515))):
        for stage, value in zip(("baseline", "unlearning"), par, strict=True):
            more = {"attribute": "gender", "group": group, "direction": "half", "n": 120}
            records.append(estimate("equiray", stage, "SmolLM2-135M-Instruct", "par", value, **more))
    for stage, value in (("baseline", 28.31), ("unlearning", 28.6)):
        records.append(estimate("equiray", stage, "SmolLM2-135M-Instruct", "perplexity", value, 2.2, n=60))
    return records


def synthetic_results(estimates: list[dict] | None = None) -> dict:
    """A whole results.json."""
    found = synthetic_estimates() if estimates is None else estimates
    names = list(TASKS)
    return {
        "schema": "equiray.results/1",
        "spec_sha256": "5e" * 32,
        "task": names,
        "n_rows": {"german": 1000, "adult": 5000},
        "estimates": found,
        "verdicts": [],
    }


def synthetic_curve(folds: int = 1, steps: int = 120) -> list[dict]:
    """Logged steps in which the gap decays; validation every tenth step, null between."""
    rng, rows = np.random.default_rng(3), []
    for fold in range(folds):
        for step in range(0, steps + 1, 2):
            decay, noise = math.exp(-step / 45), float(rng.normal(0, 0.02))
            checked = step % 10 == 0
            rows.append(
                {"step": step, "fold": fold, "loss": 4 * decay + noise, "unlearn": 4.2 - 2 * decay + noise}
                | {"learn": 2.1 + decay + noise, "gap": 0.7 * decay + 0.08 + abs(noise), "kl": 0.05 * (1 - decay)}
                | {"gradient_cosine": -0.25 + 0.3 * (1 - decay) + 3 * noise, "seconds": 4.3 * step}
                | {"validation_gap": 0.12 + 0.63 * decay + noise / 2 if checked else None}
                | {"validation_gap_signed": 0.08 * decay - 0.005 + noise / 4 if checked else None}
                | {"perplexity": 28.3 + 0.4 * (1 - decay) + noise if checked else None}
            )
    return rows


def synthetic_details() -> dict:
    """A whole details.json."""
    tasks = {}
    for task, (title, attributes) in TASKS.items():
        rows = sum(next(iter(attributes.values())).values())
        tasks[task] = {
            "title": title,
            "rows": rows,
            "splits": {"train": rows * 5 // 10, "validation": rows * 2 // 10, "test": rows * 3 // 10},
        }
        tasks[task] |= {"attributes": attributes, "licence": "CC BY 4.0", "source_sha256": "ab" * 32, "warnings": []}
        tasks[task] |= {"source": "UCI Machine Learning Repository"}
        tasks[task] |= {"twins": {"made": rows // 2, "skipped": {"sex is missing": 3} if task == "adult" else {}}}
    tasks["german"]["warnings"] = [
        "The sex column of German Credit is disputed (Groemping 2019): no claim rests on it alone."
    ]
    return {
        "name": "synthetic",
        "title": "Synthetic figures: a test of the report",
        "language_model": {"name": "SmolLM2-135M-Instruct", "parameters": 134515008, "dtype": "bfloat16"}
        | {"pooling": "mean", "source": "embedded"},
        "serialization": {
            "adult": {"template": "text", "order": ["age"], "max_tokens": 96, "dropped": {"capital loss": 41}}
        },
        "tasks": tasks,
        "unlearning": {"steps_done": 120, "seconds": 251.7, "label": "short run", "stopped_by": "time budget"}
        | {"settings": {"lambda_gap": 5.0, "lora": {"rank": 16, "alpha": 32}}, "folds": 1}
        | {"warnings": ["Learn and unlearn pulled against each other in 58 of 60 logged steps."]},
        "durations_s": {"read_tasks": 2.4, "unlearning": 251.7, "embed": 133.0, "intrinsic": 61.2, "classify": 9.8},
        "command": "equiray run jobs/quickstart.yaml --out runs/quickstart",
        "smoke": True,
    }


def write_synthetic_run(run_dir: Path, *, estimates: list[dict] | None = None, folds: int = 1) -> Path:
    """The whole directory, as `equiray run` leaves it before its report."""
    (run_dir / "unlearning").mkdir(parents=True)
    (run_dir / "predictions").mkdir()
    (run_dir / "results.json").write_text(json.dumps(synthetic_results(estimates)))
    (run_dir / "details.json").write_text(json.dumps(synthetic_details()))
    curve = "".join(json.dumps(row) + "\n" for row in synthetic_curve(folds))
    (run_dir / "unlearning" / "curve.jsonl").write_text(curve)
    (run_dir / "spec.yaml").write_text("schema: equiray.run/1\nname: synthetic\nseed: 11\ntasks: [{name: german}]\n")
    for task in TASKS:
        pq.write_table(pa.table({"row_id": [0, 1, 2]}), run_dir / "predictions" / f"{task}.parquet")
    return run_dir
