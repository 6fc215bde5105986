"""``reward.json`` as pydantic models: what a reward model's run leaves for its report (docs/contracts/chains.md)."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from equiray.metrics.estimates import Estimate
from equiray.reports.chains.parts import ChainCounts, Figure, ModelFacts, Part, Share, ShownChain
from equiray.reports.run_directory import read_json

REWARD_NAME = "reward.json"

View = Literal["masked", "unmasked"]


class Cases(Part):
    """What was asked; `left_out` counts cases whose question stands on both sides."""

    dataset: str
    title: str
    licence: str
    source_sha256: str
    held_out: list[str]
    learnt: list[str]
    left_out: int


class LabelCounts(Part):
    """Steps by what a judge said; `rate` is the share of them that it labelled."""

    steps: int = Field(ge=0)
    biased: int = Field(ge=0)
    unbiased: int = Field(ge=0)
    rate: Share


class LabelledSide(ChainCounts):
    families: int
    labels: dict[str, LabelCounts]
    labels_by_category: dict[str, LabelCounts]


class Sides(Part):
    train: LabelledSide
    validation: LabelledSide
    test: LabelledSide


class Judge(Part):
    judge: str
    delta: float
    sheet: str | None


class CurvePoint(Part):
    """A validation during training."""

    step: int
    loss: Figure
    log_loss: Figure
    auc: Figure
    seconds: float


class TrainedModel(ModelFacts):
    base_identity: str
    spec: dict[str, Any]
    curve: list[CurvePoint]
    labels: dict[str, int]


class Models(Part):
    process: TrainedModel
    outcome: TrainedModel | None
    no_outcome: str | None


class Bin(Part):
    """A bin of the score, from `low` up: its labelled steps, their mean score, and the share that is unbiased."""

    low: float
    steps: int
    mean_score: Share
    unbiased: Share


class Deciles(Part):
    biased: list[float]
    unbiased: list[float]


class RewardFile(Part):
    """``reward.json``."""

    schema_: Literal["equiray.reward-results/1"] = Field(alias="schema")
    name: str
    smoke: bool
    warnings: list[str]
    cases: Cases
    wording_sha256: str
    learnt_families: list[str]
    sides: Sides
    labels: Judge
    models: Models
    estimates: list[Estimate]
    reliability: dict[View, list[Bin]]
    scores: dict[View, Deciles]
    chains: list[ShownChain]
    durations_s: dict[str, float]
    command: str

    def found(self, metric: str, stage: str | None = None) -> list[Estimate]:
        """Estimates of a metric, in their order."""
        return [e for e in self.estimates if e.metric == metric and stage in (None, e.stage)]


def is_reward(run_dir: Path) -> bool:
    """Whether a directory was left by a reward model's run."""
    return (run_dir / REWARD_NAME).is_file()


def load_reward(run_dir: Path) -> RewardFile:
    """Read what a reward model's run left for its report.

    Raises
    ------
    BadInput
        The file cannot be read or does not follow its contract: names the place in it, what is wrong, and the fix.
    """
    return read_json(run_dir / REWARD_NAME, RewardFile)
