"""A sweep's directory with INVENTED figures, drawn from a seed: no figure is about a model or people.

python tests/search_sample.py > docs/contracts/search_results.json
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chains_sample import write_document

ACCURACY, GAP, WORST = "accuracy", "equalized_odds_difference_max", "worst_group_accuracy_cells"
DIRECTIONS = {ACCURACY: "higher", GAP: "lower", WORST: "higher"}
REFERENCE = {ACCURACY: 0.6, GAP: 0.3, WORST: 0.3}
BASE = {ACCURACY: 0.672, GAP: 0.214, WORST: 0.441}
SPACE = [
    {"key": "detector.width", "kind": "choice", "choices": [64, 128, 256], "low": None, "high": None, "log": False},
    {"key": "detector.learning_rate", "kind": "float", "choices": None, "low": 1e-4, "high": 1e-2, "log": True},
    {"key": "adapter.rank", "kind": "int", "choices": None, "low": 2, "high": 32, "log": True},
    {"key": "adapter.learning_rate", "kind": "float", "choices": None, "low": 1e-5, "high": 3e-3, "log": True},
    {"key": "adapter.contrastive", "kind": "float", "choices": None, "low": 0.0, "high": 1.0, "log": False},
]
ENDS = {7: ("stopped", "hopeless: far behind the front after a third of its steps")}
ENDS |= {15: ("failed", "worker died: out of memory at adapter.rank 32"), 22: ENDS[7]}


def r(value: float) -> float:
    return round(float(value), 5)


def search_document(*, trials: int = 30, third: bool = False, keep: int | None = None) -> dict[str, Any]:
    """A finished sweep of FairNet; `third` adds an objective, `keep` cuts the front to so many points."""
    rng = np.random.default_rng(8)
    metrics = [ACCURACY, GAP, *([WORST] if third else [])]
    found = [_trial(number, rng, metrics) for number in range(trials)]
    points = [point for trial in found for point in trial.pop("offers")]
    front = [p for p in points if not any(_dominates(o["validation"], p["validation"], metrics) for o in points)][:keep]
    for point in front:
        point |= _evaluated(point["validation"], rng, shrink=0.3) | {"stability": r(rng.uniform(0.35, 0.97))}
    beside = [
        _beside("base", None, BASE, rng),
        _beside("untuned", 0, {ACCURACY: 0.671, GAP: 0.171, WORST: 0.49}, rng),
        _beside("published", 1, {ACCURACY: 0.665, GAP: 0.15, WORST: 0.51}, rng),
    ]
    for entry in beside:
        entry["validation"], entry["test"] = ({m: entry[of][m] for m in metrics} for of in ("validation", "test"))
    seconds = r(sum(trial["seconds"] for trial in found))
    return {
        "schema": "equiray.search/1",
        "name": "compas gates",
        "smoke": True,
        "kind": "fairnet",
        "task": "COMPAS, two years (invented figures)",
        "attribute": "race",
        "rows": {"validation": 1234, "test": 1235},
        "seed": 3,
        "confidence": 0.95,
        "objectives": [{"metric": m, "direction": DIRECTIONS[m], "reference": REFERENCE[m]} for m in metrics],
        "constraints": [_constraint(found), _constraint(found, "ece", 0.08, 0)],
        "algorithm": {"name": "tpe", "why": f"{trials} trials: fewer than 50", "startup": 8, "trials": trials},
        "space": [dict(setting) for setting in SPACE],
        "trials": found,
        "front": front,
        "beside": beside,
        "frontier": {"title": "error parity, group thresholds on the base", "points": _frontier()},
        "hypervolume": {
            "validation": 0.0192,
            "test": {"value": 0.0171, "low": 0.0148, "high": 0.0193},
            "curve": [[n + 1, r(0.0192 * (1 - 0.7 * 0.86**n))] for n in range(trials)],
        },
        "importance": [
            {"key": s["key"], "share": share} for s, share in zip(SPACE, (0.06, 0.21, 0.11, 0.44, 0.18), strict=True)
        ],
        "cost": {"seconds": seconds, "wall_seconds": r(seconds / 1.8), "stopped_seconds_saved": 14.2},
        "warnings": ["These figures are invented."],
        "estimates": [_estimate(point, metric) for point in (*front, *beside) for metric in metrics],
        "command": "equiray sweep tune/fairnet.yaml --out sweeps/compas",
        "durations_s": {"trials": seconds / 1.8, "the front on test": 4.2},
        "source": "COMPAS (invented)",
        "source_sha256": "c0" * 32,
        "licence": None,
    }


def empty_document() -> dict[str, Any]:
    """The same sweep under constraints that no trial kept."""
    document = search_document()
    for trial in document["trials"]:
        if trial["status"] == "done":
            trial |= {"status": "infeasible", "reason": "accuracy >= base - 0.005", "points": 0, "hypervolume": None}
    document["constraints"][0]["killed"], document["constraints"][1]["killed"] = 27, 4
    document |= {"front": [], "importance": None, "estimates": []}
    curve = [[n, 0.0] for n, _ in document["hypervolume"]["curve"]]
    document["hypervolume"] = {"validation": 0.0, "test": None, "curve": curve}
    return document


def unlearning_document() -> dict[str, Any]:
    """A sweep of unlearning: no thresholds, no rows, one point a trial."""
    document = search_document(trials=16)
    text = json.dumps(document).replace(GAP, "intrinsic_gap").replace(ACCURACY, "perplexity_ratio")
    document = json.loads(text)
    document |= {"kind": "unlearning", "task": "PoorOrRich templates", "attribute": None, "frontier": None}
    document["objectives"][0]["direction"] = "lower"
    for point in (*document["front"], *document["beside"]):
        point |= {"thresholds": {}, "open": None}
    return document


def write_search(run_dir: Path, document: dict[str, Any] | None = None) -> Path:
    """A directory that a sweep has finished, before its report."""
    return write_document(run_dir, "search.json", search_document() if document is None else document)


def _trial(number: int, rng: np.random.Generator, metrics: Sequence[str]) -> dict[str, Any]:
    """A trial with up to five points, or an end before them."""
    settings = {
        "detector.width": int(rng.choice([64, 128, 256])),
        "detector.learning_rate": r(10 ** rng.uniform(-4, -2)),
        "adapter.rank": int(2 ** rng.uniform(1, 5)),
        "adapter.learning_rate": float(f"{10 ** rng.uniform(-5, -2.5):.3g}"),
        "adapter.contrastive": r(rng.uniform(0, 1)),
    }
    skill = 1 - abs(np.log10(settings["adapter.learning_rate"]) + 3.4) / 1.6 + 0.25 * settings["adapter.contrastive"]
    status, reason = ENDS.get(number, ("done", None))
    if status == "done" and skill < 0.15:
        status, reason = "infeasible", "accuracy >= base - 0.005"
    offers = [_offer(number, place, skill, settings, rng, metrics) for place in range(6)] if status == "done" else []
    best = offers[2]["validation"] if offers else None
    if status == "infeasible":
        best = {ACCURACY: r(0.655 + 0.02 * skill), GAP: r(0.2 - 0.03 * skill), WORST: 0.42}
        best = {metric: best[metric] for metric in metrics}
    started = number // 2 * 9.0 + rng.uniform(0, 0.4)
    return {
        "number": number,
        "origin": "known" if number < 2 else "start" if number < 10 else "suggested",
        "name": {0: "default", 1: "published"}.get(number),
        "settings": settings,
        "status": status,
        "reason": reason,
        "values": best,
        "points": len(offers),
        "hypervolume": r(0.01 + 0.007 * skill) if offers else None,
        "seconds": r(3.1 if status == "stopped" else rng.uniform(6.8, 8.6)),
        "started_s": r(started),
        "worker": f"worker-{number % 2}",
        "offers": offers,
    }


def _offer(
    number: int, place: int, skill: float, settings: dict[str, Any], rng: np.random.Generator, metrics: Sequence[str]
) -> dict[str, Any]:
    """Further thresholds open the gate wider: fairer, and a little less accurate."""
    gap = 0.19 - 0.024 * place - 0.035 * skill + rng.normal(0, 0.006)
    accuracy = 0.676 - 0.0017 * place**1.5 + 0.004 * skill + rng.normal(0, 0.0015)
    figures = {ACCURACY: r(accuracy), GAP: r(gap), WORST: r(0.46 + 0.02 * place + 0.03 * skill + rng.normal(0, 0.01))}
    return {
        "id": f"t{number}p{place}",
        "trial": number,
        "name": None,
        "settings": settings,
        "thresholds": {"race": "inf" if place == 0 else r(0.8 - 0.11 * place)},
        "open": r(0.06 * place),
        "validation": {metric: figures[metric] for metric in metrics},
    }


def _evaluated(validation: dict[str, float], rng: np.random.Generator, shrink: float) -> dict[str, Any]:
    """On test points fall back towards the base, by chance more or less."""
    half = {ACCURACY: 0.011, GAP: 0.037, WORST: 0.045}
    test = {}
    for metric, value in validation.items():
        at = value + shrink * (BASE[metric] - value) * rng.uniform(0, 1) + rng.normal(0, half[metric] / 9)
        test[metric] = {"value": r(at), "low": r(at - half[metric]), "high": r(at + half[metric])}
    return {"test": test}


def _beside(name: str, trial: int | None, figures: dict[str, float], rng: np.random.Generator) -> dict[str, Any]:
    entry = {"id": name, "trial": trial, "name": name, "settings": {}, "thresholds": {}, "open": None}
    if trial is not None:
        entry |= {"settings": {"adapter.rank": 8}, "thresholds": {"race": 0.5}, "open": 0.17}
    return entry | {"validation": dict(figures)} | _evaluated(figures, rng, shrink=0.0) | {"stability": None}


def _constraint(
    trials: Sequence[dict[str, Any]], metric: str = ACCURACY, most: float | None = None, killed: int | None = None
) -> dict[str, Any]:
    if most is not None:
        return {"name": f"{metric} <= {most}", "metric": metric, "min": None, "max": most, "killed": killed}
    broken = sum(trial["status"] == "infeasible" for trial in trials)
    return {"name": "accuracy >= base - 0.005", "metric": metric, "min": 0.667, "max": None, "killed": broken}


def _frontier() -> list[dict[str, float]]:
    return [{ACCURACY: r(0.674 - 0.00016 * i**1.6), GAP: r(0.2 - 0.008 * i)} for i in range(20)]


def _dominates(one: dict[str, float], other: dict[str, float], metrics: Sequence[str]) -> bool:
    gains = [(one[m] - other[m]) * (1 if DIRECTIONS[m] == "higher" else -1) for m in metrics]
    return min(gains) >= 0 and max(gains) > 0


def _estimate(point: dict[str, Any], metric: str) -> dict[str, Any]:
    return {
        "task": "COMPAS, two years (invented figures)",
        "stage": "front" if point["name"] is None else "beside",
        "model": point["id"],
        "metric": metric,
        "attribute": None if metric == ACCURACY else "race",
        "group": None,
        **point["test"][metric],
        "confidence": 0.95,
        "n": 1235,
        "status": "estimated",
        "direction": DIRECTIONS[metric],
    }


if __name__ == "__main__":
    print(json.dumps(search_document(trials=10, keep=2), indent=1))
