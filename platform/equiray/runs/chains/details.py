"""``chains.json``: all that a page about decisions by chains shows (docs/contracts/chains_results.json)."""

from collections.abc import Sequence
from typing import Any

from equiray.runs.chains.methods import REFERENCE, REWARD
from equiray.runs.chains.people import plain
from equiray.runs.chains.planning import PlannedCases
from equiray.runs.chains.reward_run import RewardRun
from equiray.runs.chains.task import TaskFigures
from equiray.specs.chains import ChainsSpec

SCHEMA = "equiray.chains-results/1"
FULL_CASES = 200
"""Below it a result is labelled ``smoke`` (docs/architecture.md)."""


def chains_document(
    planned: Sequence[PlannedCases], found: Sequence[TaskFigures], reward: RewardRun, spec: ChainsSpec
) -> dict[str, Any]:
    """The document without what is said of its making."""
    temperatures = [plain(tau) for tau in spec.decision.temperatures]
    return {
        "schema": SCHEMA,
        "name": spec.name,
        "smoke": any(sum(map(len, task.parts.values())) < FULL_CASES for task in planned),
        "reference": REFERENCE,
        "methods": [*dict.fromkeys((REFERENCE, *spec.baselines)), REWARD],
        "sampling": spec.sampling.model_dump(mode="json"),
        "decision": {**spec.decision.model_dump(mode="json"), "temperatures": temperatures},
        "reward_model": {
            "name": reward.spec.name,
            "smoke": reward.document["smoke"],
            "held_out": list(reward.held_out),
            "learnt": reward.document["cases"]["learnt"],
            "judge": reward.document["labels"]["judge"],
            "process": _of_model(reward.document["models"]["process"]),
            "outcome": _of_model(reward.document["models"]["outcome"]),
            "step_auc": [one for one in reward.document["estimates"] if one["metric"] == "step_auc"],
        },
        "tasks": [task.document for task in found],
    }


def _of_model(of: dict[str, Any] | None) -> dict[str, Any] | None:
    kept = ("base", "reading", "weights_sha256", "best_step", "stopped_by", "calibration")
    return None if of is None else {name: of[name] for name in kept}
