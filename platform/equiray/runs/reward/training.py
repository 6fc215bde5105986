"""The models of a reward run: one of steps, one of whole chains, each on the base that its spec names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equiray.mitigation.reward.labelled import LabelledChains
from equiray.mitigation.reward.labels import UNLABELLED
from equiray.mitigation.reward.model import Base
from equiray.mitigation.reward.training import MODEL, RewardTraining, train_reward_model
from equiray.runs.directory import RunDirectory
from equiray.runs.reward.sides import Side, with_masked
from equiray.specs.reward_run import RewardSpec

PROCESS, OUTCOME = "process", "outcome"
"""Folders of the model of steps and of that of whole chains."""


def model_folder(run: Path, name: str) -> Path:
    """Where a finished run keeps a model."""
    return run / name / MODEL


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What training left: the model of steps, and that of whole chains or None with the reason."""

    process: RewardTraining
    outcome: RewardTraining | None
    no_outcome: str | None


def train_models(base: Base, sides: Mapping[str, Side], spec: RewardSpec, directory: RunDirectory) -> Trained:
    """Train both; what is finished is read."""
    kind, reward = spec.judge.kind, spec.reward
    train, validation = sides["train"].of_steps(kind), sides["validation"].of_steps(kind)
    with directory.step("train the model of steps"):
        learn = with_masked(train) if spec.masked_training else train
        process = train_reward_model(
            base, learn, validation, reward, directory.path / PROCESS, seed=spec.seed, say=directory.say
        )
    if not spec.outcome:
        return Trained(process=process, outcome=None, no_outcome="not asked for (outcome: false)")
    chains = {name: sides[name].of_chains for name in ("train", "validation")}
    lacking = [name for name, one in chains.items() if not _both_kinds(one)]
    if lacking:
        reason = f"the answers of {lacking[0]} chains are all biased or all unbiased"
        return Trained(process=process, outcome=None, no_outcome=reason)
    with directory.step("train the model of whole chains"):
        whole = reward.model_copy(update={"reading": "outcome"})
        outcome = train_reward_model(
            base,
            chains["train"],
            chains["validation"],
            whole,
            directory.path / OUTCOME,
            seed=spec.seed,
            say=directory.say,
        )
    return Trained(process=process, outcome=outcome, no_outcome=None)


def _both_kinds(chains: LabelledChains) -> bool:
    return len(np.unique(chains.labels[chains.labels != UNLABELLED])) == 2
