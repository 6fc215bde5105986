"""A FairNet run's directory with INVENTED figures, drawn from a seed: no figure is about a model or people.

python tests/fairnet_sample.py > docs/contracts/fairnet_results.json
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from report_run import estimate

METHODS = {
    "erm": ("ERM", False, "the base model, fine-tuned on all rows alike"),
    "fairnet": ("FairNet", False, "adapters that act only on rows that a detector flags"),
    "group_dro": ("GroupDRO", False, "trained on the worst cell’s loss"),
    "jtt": ("JTT", False, "trained again with more weight on rows that the base gets wrong"),
    "dfr": ("DFR", False, "the last layer is fitted again on balanced cells"),
    "cda": ("CDA", False, "trained on rows and their counterfactual twins"),
    "thresholds": ("Group thresholds", True, "ERM’s scores with a threshold for each group"),
    "gate_and_thresholds": ("Gate and group thresholds", True, "FairNet’s scores with a threshold for each group"),
}
CELLS = ("Female, label 0", "Female, label 1", "Male, label 0", "Male, label 1")
ROWS = (2841, 359, 4032, 1768)
ERM_CELLS = np.array([0.957, 0.482, 0.897, 0.664])
EFFECT = {  # of a method on each cell, and on its equalized odds
    "erm": ([0, 0, 0, 0], 0),
    "fairnet": ([-0.009, 0.121, -0.002, 0.012], -0.062),
    "group_dro": ([-0.061, 0.167, -0.031, 0.042], -0.09),
    "jtt": ([-0.043, 0.097, -0.049, 0.068], -0.03),
    "dfr": ([-0.037, 0.112, -0.027, 0.04], -0.055),
    "cda": ([-0.002, 0.011, 0.002, -0.003], -0.01),
    "thresholds": ([-0.022, 0.143, 0.008, -0.021], -0.115),
    "gate_and_thresholds": ([-0.026, 0.158, 0.004, -0.009], -0.12),
}
BACKBONE = {
    "name": "minilm",
    "identity": "sha256:4f1c",
    "depth": 6,
    "width": 384,
    "frozen_layers": 4,
    "detector_layer": 4,
    "adapter_first_layer": 4,
    "trained_parameters": 3_549_698,
    "adapter_parameters": 24_576,
}


def r(value: float) -> float:
    return round(float(value), 6)


def change(first: float | None, second: float | None, half: float = 0.02) -> dict[str, float | None]:
    if first is None or second is None:
        return {"first": first, "second": second, "value": None, "low": None, "high": None}
    value = second - first
    return {"first": r(first), "second": r(second), "value": r(value), "low": r(value - half), "high": r(value + half)}


def cells_of(method: str, scale: float = 1.0) -> np.ndarray:
    return ERM_CELLS + scale * np.array(EFFECT[method][0])


def accuracy_of(cells: np.ndarray) -> float:
    return float(np.average(cells, weights=ROWS))


def changes_of(method: str, trainings: int = 1, *, scale: float = 1.0, half: float = 0.038) -> dict[str, Any]:
    """`scale` shrinks the effect and leaves the limits, so that nothing can be told."""
    before, after = ERM_CELLS, cells_of(method, scale)
    worst = change(before.min(), after.min(), half)
    value = float(after.min() - before.min())
    low, high = value - half, value + half
    accuracy = change(accuracy_of(before), accuracy_of(after), 0.0028)
    kept = accuracy_of(after) - accuracy_of(before)
    return {
        "method": method,
        "reference": "erm",
        "trainings": trainings,
        "confidence": 0.95,
        "accuracy": accuracy,
        "worst": worst,
        "cells": [
            {"name": name, "rows": rows, **change(one, two, half if rows < 1000 else 0.014)}
            for name, rows, one, two in zip(CELLS, ROWS, before, after, strict=True)
        ],
        "left_out": [],
        "worst_up": "yes" if value >= 0.08 and low > 0 else "INCONCLUSIVE" if high >= 0.08 else "no",
        "accuracy_kept": "yes" if kept >= -0.003 else "INCONCLUSIVE" if kept + 0.0028 >= -0.003 else "no",
    }


def point(method: str, rng: np.random.Generator, scale: float = 1.0) -> dict[str, Any]:
    cells = cells_of(method, scale) + rng.normal(0, 0.002, 4)
    eod = 0.205 + scale * EFFECT[method][1]
    return {
        "method": method,
        "accuracy": r(accuracy_of(cells)),
        "worst_cell": r(cells.min()),
        "equalized_odds_difference_max": r(eod),
        "equalized_odds_difference_mean": r(0.6 * eod),
        "ece": None if method.endswith("thresholds") else r(abs(rng.normal(0.021, 0.004))),
        "open": 0.142 if method in ("fairnet", "gate_and_thresholds") else None,
    }


def sweep(chosen: dict[str, Any], base: dict[str, Any], n: int = 81, gate: str = "sex") -> dict[str, Any]:
    """From every gate open to every gate shut; the chosen place has the chosen point's figures."""
    place = n * 5 // 8
    t = np.abs(np.arange(n) - place) / np.where(np.arange(n) < place, place, n - 1 - place)
    left = np.arange(n) < place
    ends = {"accuracy": (base["accuracy"] - 0.017, base["accuracy"])}
    ends["worst_cell"] = (chosen["worst_cell"] + 0.024, base["worst_cell"])
    ends["equalized_odds_difference_max"] = (
        chosen["equalized_odds_difference_max"] - 0.02,
        base["equalized_odds_difference_max"],
    )
    bends = {"accuracy": (2.2, 1.9), "worst_cell": (0.9, 1.1), "equalized_odds_difference_max": (0.8, 1.0)}
    curves = {
        name: [r(chosen[name] + (low - chosen[name]) * x ** bends[name][0] if at
                 else chosen[name] + (high - chosen[name]) * x ** bends[name][1])
               for x, at in zip(t, left, strict=True)]
        for name, (low, high) in ends.items()
    }  # fmt: skip
    threshold: list[float | str] = [r(x) for x in np.linspace(0, 1, n - 1)]
    worst = curves["worst_cell"]
    ece = [r(0.02 + 0.03 * t_**2) for t_ in np.linspace(1, 0, n)]
    return {
        "gate": gate,
        "split": "test",
        "threshold": [*threshold, "inf"],
        **curves,
        "worst_cell_low": [r(w - 0.055) for w in worst],
        "worst_cell_high": [r(w + 0.052) for w in worst],
        "open": [r(x) for x in np.linspace(1, 0, n) ** 2],
        "chosen": place,
        "calibration": [
            {
                "group": group,
                "ece": [r(e + more) for e in ece],
                "low": [r(e + more - 0.012) for e in ece],
                "high": [r(e + more + 0.015) for e in ece],
            }
            for group, more in (("Female", 0.01), ("Male", 0.0))
        ],
    }


def grid(chosen: dict[str, Any], base: dict[str, Any], n: int = 12) -> dict[str, Any]:
    """Two gates: both open in one corner, both shut in the other."""
    axis: list[float | str] = ["-inf", *(r(x) for x in np.linspace(0.1, 0.9, n - 2)), "inf"]
    open_ = np.linspace(1, 0, n)
    both = np.add.outer(0.7 * open_, 0.3 * open_)
    spread = {"worst_cell": chosen["worst_cell"] - base["worst_cell"], "accuracy": -0.015}
    planes = {name: [[r(base[name] + more * x) for x in row] for row in both.tolist()] for name, more in spread.items()}
    return {"split": "test", "gates": ["sex", "race"], "thresholds": [axis, axis], "chosen": [7, 4], **planes}


def flagged() -> list[dict[str, Any]]:
    text = "The age is 38. The occupation is {}. The marital status is {}. The hours per week is {}. The sex is Female."
    rows = [
        ("Executive", "married", 45, "yes", 0.91, 0.41, 0.68, "corrected"),
        ("Sales", "married", 40, "yes", 0.83, 0.44, 0.57, "corrected"),
        ("Administration", "divorced", 40, "no", 0.79, 0.36, 0.52, "harmed"),
        ("Professional specialty", "never married", 50, "yes", 0.77, 0.22, 0.39, "unchanged"),
        ("Administration", "married", 38, "no", 0.74, 0.31, 0.44, "unchanged"),
    ]
    return [
        {"text": text.format(job, status, hours), "label": label, "group": "Female", "risk": risk}
        | {"base": base, "adapted": adapted, "outcome": outcome}
        for job, status, hours, label, risk, base, adapted, outcome in rows
    ]


def one_seed(seed: int, *, scale: float = 1.0, attribute: str = "sex") -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    points = [point(method, rng, scale) for method in METHODS]
    by = {p["method"]: p for p in points}
    fpr = np.linspace(0, 1, 61)
    at = 0.09
    gain, loss = 0.0041, 0.0017
    exact = by["fairnet"]["accuracy"] - by["erm"]["accuracy"]
    return {
        "seed": seed,
        "points": points,
        "choice": {
            "attribute": attribute,
            "by": "worst_cell",
            "rows": 4000,
            "groups_known": 4000,
            "thresholds": [0.631],
            "figures": {"accuracy": 0.861, "activation_rate": 0.139},
            "base": {"accuracy": 0.8605, "activation_rate": 0.0},
            "worst_cell": 0.607,
            "base_worst_cell": 0.489,
            "left_out": [],
            "candidates": 3904,
            "feasible": 2210,
            "reason": "the best worst cell within the constraints",
        },
        "sweeps": [sweep(by["fairnet"], by["erm"])],
        "grid": None,
        "group_thresholds": [
            {
                "accuracy": r(by["erm"]["accuracy"] + 0.0015 - 0.012 * x**2),
                "worst_cell": r(by["erm"]["worst_cell"] + 0.16 * x),
            }
            for x in np.linspace(0, 1, 9)
        ],
        "detectors": [
            {
                "attribute": attribute,
                "auc": {"value": 0.879, "low": 0.871, "high": 0.887},
                "fpr": [r(x) for x in fpr],
                "tpr": [r(x) for x in fpr ** (0.121 / 0.879)],
                "tpr_at": r(at ** (0.121 / 0.879)),
                "fpr_at": at,
            }
        ],
        "no_harm": [
            {
                "gate": attribute,
                "rows": {"validation": 4000, "test": sum(ROWS)},
                "exact": {
                    "validation": limited(exact + 0.0011),
                    "test": limited(exact),
                },
                "prevalence": 0.0399,
                "tpr": 0.84,
                "fpr": 0.11,
                "d_min": 0.122,
                "d_maj": 0.0161,
                "gain": gain,
                "loss": loss,
                "margin": limited(gain - loss),
                "selection": limited(exact + 0.0011 - gain + loss),
                "holds": True,
            }
        ],
        "training": {
            "base_s": 41.2 + seed,
            "detector_s": 3.9,
            "adapter_s": 18.7,
            "open_hinges": {attribute: [r(0.1 + 0.8 * math.exp(-step / 9)) for step in range(30)]},
            "curves": {
                "base loss": [r(0.3 + 0.4 * math.exp(-step / 12)) for step in range(60)],
                "adapter loss": [r(0.25 + 0.3 * math.exp(-step / 8)) for step in range(30)],
            },
        },
        "flagged": flagged(),
        "flagged_totals": {"corrected": 61, "harmed": 24, "unchanged": 1240},
        "double_count": {
            "gate": measured(by["fairnet"]),
            "thresholds": measured(by["thresholds"]),
            "both": measured(by["gate_and_thresholds"]),
        },
    }


def limited(value: float) -> dict[str, float]:
    return {"value": r(value), "low": r(value - 0.0028), "high": r(value + 0.0028)}


def measured(of: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in of.items() if name != "method"}


def task(name: str, title: str, seeds: int, *, synthetic: bool = False, scale: float = 1.0) -> dict[str, Any]:
    return {
        "task": name,
        "title": title,
        "synthetic": synthetic,
        "warnings": ["Invented figures: nothing on this page is about a model or about people."],
        "rows": {"train": 10000, "validation": 4000, "test": sum(ROWS)},
        "attribute": "sex",
        "gates": [{"attribute": "sex", "vulnerable": "Female", "kind": "both", "regime": "full"}],
        "changes": [changes_of(method, seeds, scale=scale) for method in METHODS if method != "erm"],
        "seeds": [one_seed(seed, scale=scale) for seed in range(seeds)],
    }


def with_two_gates(of: dict[str, Any]) -> dict[str, Any]:
    """The same task with a second gate."""
    of["gates"].append({"attribute": "race", "vulnerable": "Black", "kind": "both", "regime": "full"})
    for seed in of["seeds"]:
        by = {p["method"]: p for p in seed["points"]}
        seed["sweeps"].append(sweep(by["fairnet"], by["erm"], gate="race"))
        seed["grid"] = grid(by["fairnet"], by["erm"])
        seed["no_harm"].append(seed["no_harm"][0] | {"gate": "race"})
    return of


def sample_document() -> dict[str, Any]:
    """A whole fairnet.json: Adult with three trainings, and pictures with one, of which nothing can be told."""
    adult = task("adult", "Adult", 3)
    faces = with_two_gates(task("avatars", "Drawn faces", 1, synthetic=True, scale=0.36))
    without = changes_of("fairnet", 3) | {"accuracy": change(0.8595, 0.8447, 0.0033), "accuracy_kept": "no"}
    return {
        "schema": "equiray.fairnet-results/2",
        "name": "FairNet, invented figures",
        "smoke": True,
        "asked": "the worst cell up by 0.08 or more, limits above 0; accuracy down by 0.003 at most",
        "backbone": BACKBONE,
        "methods": [
            {"id": name, "label": label, "needs_group": needs, "what": what}
            for name, (label, needs, what) in METHODS.items()
        ],
        "tasks": [adult, faces],
        "ablations": [
            {"task": "adult", "name": "no_detector", "label": "Without a detector (adapter always on)"}
            | {"change": without},
            {"task": "adult", "name": "no_contrastive", "label": "Without the contrastive loss"}
            | {"change": changes_of("fairnet", 3, scale=0.45)},
            {"task": "adult", "name": "tenth_labels", "label": "Groups of a tenth of the rows known"}
            | {"change": changes_of("fairnet", 3, scale=0.7)},
        ],
        "stress": [
            {"task": "adult", "name": "label_noise", "label": "10 % label noise in training", "open": 0.171}
            | {"rows": sum(ROWS), "confidence": 0.95}
            | {"worst": change(0.462, 0.541, 0.041), "accuracy": change(0.851, 0.8476, 0.0035), "harmed": 0.0121},
            {"task": "adult", "name": "empty_group", "label": "Only people over 80", "open": 0.02}
            | {"rows": 212, "confidence": 0.9}
            | {"worst": change(None, None), "accuracy": change(0.811, 0.812, 0.02), "harmed": 0.0},
        ],
    }


def sample_estimates(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of results.json that go with it."""
    metrics = {
        "accuracy": ("accuracy", None, "higher"),
        "worst_cell": ("worst_group_accuracy_cells", "sex", "higher"),
        "equalized_odds_difference_max": ("equalized_odds_difference_max", "sex", "lower"),
        "equalized_odds_difference_mean": ("equalized_odds_difference_mean", "sex", "lower"),
        "ece": ("ece", None, "lower"),
    }
    return [
        estimate(
            task["task"], p["method"], f"minilm_seed{seed['seed']}", metric, p[name], attribute=attribute,
            direction=direction, n=sum(ROWS),
        )
        for task in document["tasks"]
        for seed in task["seeds"]
        for p in seed["points"]
        for name, (metric, attribute, direction) in metrics.items()
    ]  # fmt: skip


def sample_frontiers(document: dict[str, Any]) -> dict[str, Any]:
    """Of Adult alone: whether pictures lie below a frontier is not known."""
    frontiers = []
    for seed in document["tasks"][0]["seeds"]:
        base = next(p["accuracy"] for p in seed["points"] if p["method"] == "erm")
        for kind, n in (("thresholds", 60), ("randomised", 14)):
            points = []
            for x in np.linspace(0, 1, n):
                promised, disparity = base + 0.004 - 0.024 * (1 - x) ** 2, 0.21 * x
                on_read = [r(disparity + 0.006), r(promised - 0.0035)]
                points.append(
                    {"rule": [[[0.5, 1.0]], [[0.4, 1.0]]], "on_choice": [r(disparity), r(promised)], "on_read": on_read}
                    | {"low": [r(max(0, on_read[0] - 0.05)), r(on_read[1] - 0.008)]}
                    | {"high": [r(on_read[0] + 0.05), r(on_read[1] + 0.008)]}
                )
            reading = {"metric": "equalized_odds_difference_max", "attribute": "sex", "groups": ["Female", "Male"]}
            reading |= {"kind": kind, "chosen_on": "validation", "read_on": "test", "n": sum(ROWS), "confidence": 0.95}
            reading |= {"points": points, "status": "estimated", "reason": ""}
            model = f"minilm_seed{seed['seed']}"
            frontiers.append({"task": "adult", "stage": "erm", "model": model, "reading": reading})
    return {"schema": "equiray.frontiers/1", "frontiers": frontiers}


def contract_document() -> dict[str, Any]:
    """The example of docs/contracts: one task and one training, curves of few places."""
    document = sample_document()
    adult = task("adult", "Adult", 1)
    (only,) = adult["seeds"]
    by = {p["method"]: p for p in only["points"]}
    only["sweeps"] = [sweep(by["fairnet"], by["erm"], 9)]
    only["grid"] = grid(by["fairnet"], by["erm"], 4) | {"chosen": [2, 1]}
    only["flagged"], only["group_thresholds"] = only["flagged"][1:4], only["group_thresholds"][::4]
    for curve in ("fpr", "tpr"):
        only["detectors"][0][curve] = only["detectors"][0][curve][::15]
    only["training"]["open_hinges"] = {gate: each[::10] for gate, each in only["training"]["open_hinges"].items()}
    only["training"]["curves"] = {name: values[::20] for name, values in only["training"]["curves"].items()}
    return document | {"tasks": [adult]}


def printed(document: object, depth: int = 0) -> str:
    """The file's text: a part that fits stands on one line."""
    flat = json.dumps(document, ensure_ascii=False)
    if len(flat) <= 150 or not isinstance(document, dict | list):
        return flat
    pad, inner = " " * depth, " " * (depth + 1)
    if isinstance(document, dict):
        parts = [f"{inner}{json.dumps(key)}: {printed(value, depth + 1)}" for key, value in document.items()]
        return "{\n" + ",\n".join(parts) + f"\n{pad}}}"
    return "[\n" + ",\n".join(inner + printed(value, depth + 1) for value in document) + f"\n{pad}]"


def write_sample(run_dir: Path, document: dict[str, Any] | None = None) -> Path:
    """The whole directory, as a FairNet run leaves it before its report."""
    run_dir.mkdir(parents=True, exist_ok=True)
    found = sample_document()
    results = {"schema": "equiray.results/1", "spec_sha256": "5e" * 32, "task": ["adult", "avatars"]}
    results |= {"n_rows": {"adult": sum(ROWS), "avatars": sum(ROWS)}, "verdicts": []}
    results |= {"estimates": sample_estimates(found)}
    details = {"name": "sample", "title": found["name"], "smoke": True, "command": "equiray run jobs/fairnet.yaml"}
    details |= {"durations_s": {"cache_lower_layers": 61.0, "train": 402.0, "measure": 21.0}}
    details |= {"tasks": {"adult": {"title": "Adult", "source": "UCI", "licence": "CC BY 4.0"}}}
    for name, content in {
        "fairnet.json": found if document is None else document,
        "results.json": results,
        "frontiers.json": sample_frontiers(found),
        "details.json": details,
    }.items():
        (run_dir / name).write_text(printed(content) + "\n", encoding="utf-8")
    (run_dir / "spec.yaml").write_text("schema: equiray.fairnet/1\nname: sample\ntasks: [{name: adult}]\n")
    return run_dir


if __name__ == "__main__":
    print(printed(contract_document()))
