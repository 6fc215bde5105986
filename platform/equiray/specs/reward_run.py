"""The YAML of a reward model's training (arXiv 2507.11344): chains are sampled, their steps judged, a model learns."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from equiray.specs.documents import Document, as_bad_input, read_mapping
from equiray.specs.generation import CasesSpec, EngineSpec, SamplingSpec
from equiray.specs.reward_model import RewardModelSpec
from equiray.specs.run import apply_overrides

JudgeKind = Literal["gold", "likelihood", "endpoint"]


class JudgeSpec(Document):
    """Who says whether a step is biased; methods: section 3.1. A judge is never taken for truth."""

    kind: JudgeKind = "gold"
    compared: tuple[JudgeKind, ...] = Field(default=(), description="others, whose agreement with gold is reported")
    delta: float = Field(default=0.5, gt=0, description="gold: nats by which an answer's likelihood has to rise")
    engine: EngineSpec | None = Field(default=None, description="that judges or scores; none: the one that writes")
    check_steps: int = Field(default=100, ge=0, description="steps of the sheet that people check")


class RewardSpec(Document):
    """One YAML = one run."""

    schema_: Literal["equiray.reward/1"] = Field(alias="schema")
    name: str
    seed: int = 0
    cases: CasesSpec = CasesSpec()
    held_out: tuple[str, ...] = Field(min_length=1, description="categories that training never sees")
    engine: EngineSpec = EngineSpec()
    sampling: SamplingSpec = SamplingSpec()
    separator: str = Field(default="\n\n", min_length=1, description="between the steps of a chain")
    judge: JudgeSpec = JudgeSpec()
    reward: RewardModelSpec = RewardModelSpec()
    masked_training: bool = Field(default=True, description="each chain is learnt from with its names masked, too")
    outcome: bool = Field(default=True, description="train a model of whole chains beside it, which `chains` compares")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    replicates: int = Field(default=2000, ge=100, description="of the bootstrap over cases")

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> "RewardSpec":
        chosen = self.cases.categories
        if chosen and not set(chosen) - set(self.held_out):
            raise ValueError("`held_out` leaves none of `cases.categories` to train on")
        return self

    @model_validator(mode="after")
    def _judges_that_can_be_asked(self) -> "RewardSpec":
        """What judges read a likelihood of, and the scorer of the gold rule, has to be a model in this process."""
        used, judged = {self.judge.kind, *self.judge.compared}, self.judge.engine or self.engine
        if len(used) < 1 + len(self.judge.compared):
            raise ValueError("`judge.compared` names a judge twice, or the one that labels")
        if "endpoint" in used and judged.backend != "endpoint":
            raise ValueError("judge `endpoint` needs `judge.engine` with backend endpoint, source and name")
        if judged.backend == "endpoint" and used != {"endpoint"}:
            raise ValueError(
                "an endpoint gives no likelihoods of whole answers: name `judge.engine` with a model in this process"
            )
        return self


def load_reward_spec(path: Path, overrides: tuple[str, ...] = ()) -> RewardSpec:
    """Read and check a reward model's YAML; raises BadInput as `equiray.specs.run.load_run_spec` does."""
    document = read_mapping(path, "spec")
    apply_overrides(document, overrides)
    try:
        return RewardSpec.model_validate(document)
    except ValidationError as error:
        place = " ".join([str(path), *(f"--set {override}" for override in overrides)])
        raise as_bad_input(error, place, "spec") from error
