"""``reward.json``: all that a page about a reward model shows (docs/contracts/reward_results.json)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiray.data.cases.case_set import family_of
from equiray.metrics.estimates import Estimate
from equiray.mitigation.reward.agreement import step_groups
from equiray.mitigation.reward.evaluation import MODEL
from equiray.mitigation.reward.labels import UNLABELLED
from equiray.mitigation.reward.store import read_about
from equiray.mitigation.reward.training import RewardTraining
from equiray.runs.reward.planning import RewardPlan, wording_sha256
from equiray.runs.reward.sides import SHEET, Side
from equiray.runs.reward.training import Trained
from equiray.runs.sampling.counted import chain_counts
from equiray.runs.sampling.shown import shown_chains
from equiray.specs.reward_run import RewardSpec

SCHEMA = "equiray.reward-results/1"
FULL_CASES = 200
"""Below it a result is labelled ``smoke`` (docs/architecture.md)."""

_BINS = 10

Scores = Mapping[str, NDArray[np.float64]]


def reward_document(
    plan: RewardPlan,
    sides: Mapping[str, Side],
    trained: Trained,
    scores: Mapping[str, Scores],
    estimates: Sequence[Estimate],
    spec: RewardSpec,
) -> dict[str, Any]:
    """The document without what is said of its making.

    `learnt_families` are questions on which no decision may be made: training, or the choice of a checkpoint, has seen
    them.
    """
    test, kind = sides["test"], spec.judge.kind
    sampled = {case.case_id for case in plan.cases.cases}
    used = {one.case.case_id for side in sides.values() for one in side.cases}
    return {
        "schema": SCHEMA,
        "name": spec.name,
        "smoke": len(used) < FULL_CASES,
        "warnings": list(plan.cases.warnings),
        "cases": {
            "dataset": plan.cases.name,
            "title": plan.cases.title,
            "licence": plan.cases.licence,
            "source_sha256": plan.cases.source_sha256,
            "held_out": list(spec.held_out),
            "learnt": sorted({one.case.category for name in ("train", "validation") for one in sides[name].cases}),
            "left_out": len(sampled - used),
        },
        "wording_sha256": wording_sha256(spec.sampling),
        "learnt_families": list(plan.learnt_families),
        "sides": {name: _side(side, kind) for name, side in sides.items()},
        "labels": {"judge": kind, "delta": spec.judge.delta, "sheet": SHEET if spec.judge.check_steps else None},
        "models": {
            "process": _model(trained.process, spec),
            "outcome": None if trained.outcome is None else _model(trained.outcome, spec),
            "no_outcome": trained.no_outcome,
        },
        "estimates": [estimate.to_json() for estimate in estimates],
        "reliability": {view: _reliability(test.labels[kind], of[MODEL]) for view, of in scores.items()},
        "scores": {view: _quantiles(test.labels[kind], of[MODEL]) for view, of in scores.items()},
        "chains": shown_chains(test.cases, scores["unmasked"][MODEL], test.labels[kind]),
    }


def _side(side: Side, kind: Any) -> dict[str, Any]:
    return {
        **chain_counts(side.cases, side.table),
        "families": len({family_of(one.case) for one in side.cases}),
        "labels": {name: _labels(labels) for name, labels in side.labels.items()},
        "labels_by_category": _labels_by(step_groups(side.cases, "category"), side.labels[kind]),
    }


def _labels(labels: NDArray[np.int64]) -> dict[str, Any]:
    counts = {name: int((labels == said).sum()) for name, said in (("biased", 0), ("unbiased", 1))}
    known = sum(counts.values())
    return {"steps": len(labels), **counts, "rate": known / len(labels) if len(labels) else None}


def _labels_by(groups: Sequence[str], labels: NDArray[np.int64]) -> dict[str, dict[str, Any]]:
    names = np.array(groups, dtype=np.str_)
    return {name: _labels(labels[names == name]) for name in sorted(set(groups))}


def _model(training: RewardTraining, spec: RewardSpec) -> dict[str, Any]:
    about = read_about(training.model)
    return {
        "base": about["base_name"],
        "base_identity": about["base_identity"],
        "reading": about["spec"]["reading"],
        "weights_sha256": about["weights_sha256"],
        "spec": about["spec"],
        "curve": [asdict(point) for point in training.curve],
        "best_step": training.best_step,
        "stopped_by": training.stopped_by,
        "calibration": {"method": spec.reward.calibration, **asdict(training.calibration)},
        "labels": about["about"]["labels"],
    }


def _reliability(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Of ten bins of the score: labelled steps, their mean score, and the share of them that is unbiased."""
    known = labels != UNLABELLED
    place = np.minimum((scores[known] * _BINS).astype(int), _BINS - 1)
    return [
        {
            "low": n / _BINS,
            "steps": int((place == n).sum()),
            "mean_score": float(scores[known][place == n].mean()) if (place == n).any() else None,
            "unbiased": float(labels[known][place == n].mean()) if (place == n).any() else None,
        }
        for n in range(_BINS)
    ]


def _quantiles(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> dict[str, list[float]]:
    """Deciles of the scores of biased and of unbiased steps."""
    shares = np.linspace(0, 1, 11)
    kinds = (("biased", 0), ("unbiased", 1))
    return {name: [float(q) for q in np.quantile(scores[labels == said], shares)] for name, said in kinds}
