"""Directories that runs leave: the contracts' examples of chains, reward models, preferences, open-ended text."""

import json
from pathlib import Path
from typing import Any

CONTRACTS = Path(__file__).parents[1] / "docs" / "contracts"


def one(task: str, stage: str, metric: str, value: float | None, **more: Any) -> dict[str, Any]:
    """An estimate, .1 to either side of its value unless told otherwise."""
    limits = (None, None) if value is None else (round(value - 0.1, 6), round(value + 0.1, 6))
    found = {"task": task, "stage": stage, "model": "lm0", "metric": metric, "attribute": None, "group": None}
    found |= {"value": value, "low": limits[0], "high": limits[1], "confidence": 0.95, "n": 36}
    found |= {"status": "not_estimable" if value is None else "estimated", "direction": "higher"}
    return found | more


def chains_document() -> dict[str, Any]:
    """The contract's example, with the weighted vote beside its baselines."""
    document = json.loads((CONTRACTS / "chains_results.json").read_text(encoding="utf-8"))
    document["methods"] = ["majority", "single", "reward"]
    bbq, compas = document["tasks"]
    pooled: dict[str, Any] = {"attribute": "all categories"}
    signed = pooled | {"direction": "zero"}
    bbq["estimates"] += [
        one("bbq", "majority", "bbq_bias_ambiguous", 0.4, **signed),
        one("bbq", "reward", "bbq_bias_ambiguous", 0.125, **signed),
        one("bbq", "reward-majority", "bbq_bias_ambiguous", -0.275, **signed),
        one("bbq", "majority", "accuracy", 0.3125, **pooled, group="ambiguous"),
        one("bbq", "reward", "accuracy", 0.375, **pooled, group="ambiguous"),
        one("bbq", "reward-majority", "accuracy", 0.06, **pooled, group="ambiguous"),
    ]
    race = {"attribute": "race", "direction": "lower"}
    gap = "demographic_parity_difference"
    compas["estimates"] += [
        one("compas", "majority", "accuracy", 0.625),
        one("compas", "reward", "accuracy", 0.5),
        one("compas", "reward-majority", "accuracy", -0.125),
        one("compas", "majority", gap, 0.375, **race),
        one("compas", "reward", gap, 0.25, **race),
        one("compas", "reward-majority", gap, -0.125, **race),
        one("compas", "majority", "selection_rate", 0.4375, attribute="race", group="Caucasian", direction="none"),
        one("compas", "reward-majority", "disparate_impact_ratio", None, **race),
    ]
    for grid in bbq["grids"]:
        grid["temperatures"], grid["chains"] = [0.01, "inf"], [2, 3]
    return document


def reward_document() -> dict[str, Any]:
    """The contract's example, with leads, calibration, a judge and proxies."""
    document = json.loads((CONTRACTS / "reward_results.json").read_text(encoding="utf-8"))
    step = "step_auc"
    document["estimates"] += [
        one("steps", "masked difference", step, 0.05, model="reward_model-bag_of_words"),
        one("steps", "masked difference", step, 0.1875, model="reward_model-last_step"),
        one("steps", "masked", "ece", 0.125, model="reward_model", attribute="category", group="Age"),
        one("steps", "judge", "judge_kappa", 0.4375, model="local", attribute="category"),
        one("proxies", "written for the test", "proxy_detection_rate", 0.5625, attribute="proxy", group="zip_code"),
    ]
    document["reliability"]["masked"].append({"low": 0.5, "steps": 57, "mean_score": 0.5334, "unbiased": 0.7193})
    return document


def write_document(run_dir: Path, name: str, document: dict[str, Any]) -> Path:
    """The document, with ``results.json`` and ``spec.yaml`` beside it."""
    run_dir.mkdir(parents=True, exist_ok=True)
    estimates = document["estimates"] if "estimates" in document else [
        estimate for task in document["tasks"] for estimate in task["estimates"]
    ]  # fmt: skip
    tasks = list(dict.fromkeys(estimate["task"] for estimate in estimates))
    results = {"schema": "equiray.results/1", "spec_sha256": "5e" * 32, "task": tasks}
    results |= {"n_rows": dict.fromkeys(tasks, 36), "estimates": estimates, "verdicts": []}
    for file, content in {name: document, "results.json": results}.items():
        (run_dir / file).write_text(json.dumps(content), encoding="utf-8")
    (run_dir / "spec.yaml").write_text("name: tiny\n", encoding="utf-8")
    return run_dir


def write_chains(run_dir: Path, document: dict[str, Any] | None = None) -> Path:
    """A directory that a run of chains has finished, before its report."""
    return write_document(run_dir, "chains.json", chains_document() if document is None else document)


def write_reward(run_dir: Path, document: dict[str, Any] | None = None) -> Path:
    """A directory that a reward model's run has finished, before its report."""
    return write_document(run_dir, "reward.json", reward_document() if document is None else document)


def likelihood_document() -> dict[str, Any]:
    """The contract's example, with the other data sets and figures of all four."""
    document = json.loads((CONTRACTS / "likelihood_results.json").read_text(encoding="utf-8"))
    told = document["datasets"][1]
    document["datasets"] += [
        told | {"name": "winobias", "title": "WinoBias, test halves", "categories": {"type1": 20}},
        told | {"name": "bbq", "title": "BBQ, Bias Benchmark for QA", "whole": 60, "categories": {"Race_x_gender": 9}},
    ]
    half, zero, pooled = {"direction": "half"}, {"direction": "zero"}, {"attribute": "all categories"}
    bias = "bbq_bias_ambiguous"
    document["estimates"] += [
        one("stereoset", "baseline", "stereoset_ss", 0.5625, **half),
        one("stereoset", "baseline", "stereoset_ss", 0.625, **half, attribute="religion"),
        one("stereoset", "baseline", "stereoset_icat", 0.8125),
        one("winobias", "baseline", "winobias_gap", -0.1875, **zero),
        one("winobias", "baseline", "winobias_gap", None, **zero, attribute="type1"),
        one("bbq", "baseline", bias, 0.1, **zero, **pooled, low=0.0, high=0.2),
        one("bbq", "baseline", bias, 0.25, **zero, attribute="Race_x_gender", low=None, high=None, status="partial"),
        one("bbq", "baseline", "accuracy", 0.3125, **pooled, group="ambiguous"),
    ]
    return document


def write_likelihood(run_dir: Path, document: dict[str, Any] | None = None) -> Path:
    """A directory that a run of preferences has finished, before its report."""
    return write_document(run_dir, "likelihood.json", likelihood_document() if document is None else document)


def open_ended_document() -> dict[str, Any]:
    """The contract's example."""
    return json.loads((CONTRACTS / "open_ended_results.json").read_text(encoding="utf-8"))


def write_open_ended(run_dir: Path, document: dict[str, Any] | None = None) -> Path:
    """A directory that open-ended generation has finished, before its report."""
    return write_document(run_dir, "open_ended.json", open_ended_document() if document is None else document)
