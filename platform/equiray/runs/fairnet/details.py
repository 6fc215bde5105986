"""What one training leaves in ``fairnet.json``: its points, its thresholds, its detectors, what it flagged."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from equiray.data.schema import MISSING_GROUP
from equiray.data.splits import keyed_hash
from equiray.metrics.estimates import Estimate
from equiray.metrics.intervals.scores import auc_interval
from equiray.metrics.tables import ScoreCounts
from equiray.mitigation.baselines.group_thresholds import fit_group_thresholds
from equiray.mitigation.gating.changes import number
from equiray.mitigation.gating.outcomes import GatedOutcomes
from equiray.runs.fairnet.choosing import groups_known
from equiray.runs.fairnet.curves import grid_of, numbers, sweeps_of
from equiray.runs.fairnet.harm import no_harms
from equiray.runs.fairnet.predictions import of_split
from equiray.runs.fairnet.seed import Seed

PRICES = (0.0, 0.001, 0.003, 0.01, 0.03, 1.0)
"""Losses in validation accuracy that group thresholds are given to spend."""

_POINT = ("accuracy", "worst_group_accuracy_cells", "equalized_odds_difference_max", "equalized_odds_difference_mean")
_SHOWN = {"corrected": 3, "harmed": 3, "unchanged": 2}
_CURVE = 200


def seed_document(seed: Seed, estimates: Mapping[str, Sequence[Estimate]], tables: Mapping[str, pa.Table]) -> Any:
    """One entry of ``seeds``.

    Parameters
    ----------
    seed : Seed
    estimates : by method, of the test rows of this seed
    tables : by method, the predictions of this seed
    """
    test = seed.outcomes("test")
    opened = float(test.opened(seed.choice.thresholds).any(1).mean())
    points = {
        method: _point(found, seed.planned.steering, opened if method in ("fairnet", "gate_and_thresholds") else None)
        for method, found in estimates.items()
    }
    both = {"gate": "fairnet", "thresholds": "thresholds", "both": "gate_and_thresholds"}
    return {
        "seed": seed.seed,
        "points": [{"method": method, **point} for method, point in points.items()],
        "choice": seed.choice.to_json()
        | {
            "rows": seed.choosing.rows,
            "groups_known": groups_known(seed.choosing, seed.planned.steering),
        },
        "sweeps": sweeps_of(seed, test),
        "grid": grid_of(seed, test),
        "group_thresholds": _prices(seed, tables["erm"]),
        "detectors": [_detector(seed, test, place) for place in range(len(test.attributes))],
        "no_harm": no_harms(seed),
        "training": _training(seed),
        **_flagged(seed, test),
        "double_count": {part: points[method] for part, method in both.items()}
        if all(method in points for method in both.values())
        else None,
    }


def _point(estimates: Sequence[Estimate], steering: str, opened: float | None) -> dict[str, float | None]:
    found = {(e.metric, e.attribute): e.value for e in estimates if e.group is None}
    accuracy, *compared = _POINT
    values = [found.get((accuracy, None)), *(found.get((metric, steering)) for metric in compared)]
    names = ("accuracy", "worst_cell", "equalized_odds_difference_max", "equalized_odds_difference_mean")
    return {**dict(zip(names, values, strict=True)), "ece": found.get(("ece", None)), "open": opened}


def _prices(seed: Seed, table: pa.Table) -> list[dict[str, float | None]]:
    """Group thresholds on the base's scores: chosen on validation at each price, read on test."""
    planned = seed.planned
    rows = {split: planned.rows(split) for split in ("validation", "test")}
    score = {split: of_split(table, split)["score"].to_numpy() for split in rows}
    groups = planned.steering_groups(rows["test"])
    label, cell = planned.labels(rows["test"]), planned.cells(rows["test"])
    known = np.array(groups.groups)[groups.code] != MISSING_GROUP
    found = []
    for price in PRICES:
        fitted = fit_group_thresholds(
            score["validation"],
            planned.labels(rows["validation"]),
            planned.steering_groups(rows["validation"]).code,
            len(groups.groups),
            price,
        )
        right = fitted.decide(score["test"], groups.code) == (label == 1)
        cells = [right[cell == place].mean() for place in np.unique(cell[known])]
        found.append({"accuracy": float(right.mean()), "worst_cell": float(min(cells))})
    return found


def _detector(seed: Seed, test: GatedOutcomes, place: int) -> dict[str, Any]:
    """How well a gate's risk tells the rows that it is to flag."""
    gate, risk = test.attributes[place], test.risk[:, place].astype(np.float64)
    target, known = _flaggable(seed, test, gate), ~np.isnan(risk)
    values, ranks = np.unique(risk[known], return_inverse=True)
    counts = np.stack([np.bincount(ranks[target[known] == flagged], minlength=len(values)) for flagged in (0, 1)])
    low, high = auc_interval(ScoreCounts(values, True, counts[None]), seed.spec.confidence)
    both = target[known].any() and not target[known].all()  # else there is nothing to tell apart, and no curve
    fpr, tpr, _ = roc_curve(target[known], risk[known]) if both else (np.empty(0),) * 3
    kept = np.unique(np.linspace(0, len(fpr) - 1, min(_CURVE, len(fpr))).astype(int))
    opened = test.opened(seed.choice.thresholds)[:, place]
    return {
        "attribute": gate,
        "auc": {
            "value": float(np.trapezoid(tpr, fpr)) if both else None,
            "low": number(low[0]),
            "high": number(high[0]),
        },
        "fpr": numbers(fpr[kept]),
        "tpr": numbers(tpr[kept]),
        "tpr_at": number(opened[target].mean()) if target.any() else None,
        "fpr_at": number(opened[~target].mean()) if (~target).any() else None,
    }


def _flaggable(seed: Seed, test: GatedOutcomes, gate: str) -> NDArray[np.bool_]:
    """Rows of the test split that a detector of the spec's kind is meant to flag."""
    rows = seed.planned.rows("test")
    wrong = (test.probability[:, 0] > 0.5) != (test.label == 1)
    if gate not in seed.planned.gates or seed.spec.detector.kind == "risk":
        return wrong
    member = seed.planned.examples.attributes[gate][rows] == seed.vulnerable[gate]
    return member if seed.spec.detector.kind == "group" else member & wrong


def _training(seed: Seed) -> dict[str, Any]:
    logs = {}
    for name in ("base", "fairnet"):
        file = seed.directory.path / "training" / f"{seed.name}.{name}.json"
        logs[name] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    durations = seed.directory.durations()
    return {
        "base_s": durations.get(f"{seed.name}: base"),
        "detector_s": logs["fairnet"].get("detector_s"),
        "adapter_s": logs["fairnet"].get("adapter_s"),
        "open_hinges": logs["fairnet"].get("open_hinges", {}),
        "curves": {"base loss": logs["base"].get("losses", [])},
    }


def _flagged(seed: Seed, test: GatedOutcomes) -> dict[str, Any]:
    """Rows with an open gate: how many of every outcome, and some of each, chosen by a keyed hash and nothing else."""
    rows, examples = seed.planned.rows("test"), seed.planned.examples
    opened = test.opened(seed.choice.thresholds).any(1)
    adapted = test.decided(seed.choice.thresholds)
    base, positive = test.probability[:, 0], test.label == 1
    outcome = np.where(
        (base > 0.5) == (adapted > 0.5), "unchanged", np.where((adapted > 0.5) == positive, "corrected", "harmed")
    )
    order = keyed_hash(examples.row_id[rows], seed.seed, "rows shown")
    groups = seed.planned.steering_groups(rows)
    found, totals = [], {}
    for name, most in _SHOWN.items():
        places = np.flatnonzero(opened & (outcome == name))
        totals[name] = len(places)
        for place in places[np.argsort(order[places])][:most].tolist():
            found.append(
                {
                    "text": examples.described(int(rows[place])),
                    "label": examples.classes[int(test.label[place])],
                    "group": groups.groups[int(groups.code[place])],
                    "risk": number(float(np.nanmax(test.risk[place]))),
                    "base": number(float(base[place])),
                    "adapted": number(float(adapted[place])),
                    "outcome": name,
                }
            )
    return {"flagged": found, "flagged_totals": totals}
