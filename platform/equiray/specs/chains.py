"""The YAML of decisions by many chains (arXiv 2507.11344): sampled, scored by a reward model, and weighed."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from equiray.specs.documents import Distinct, Document, as_bad_input, read_mapping
from equiray.specs.generation import CasesSpec, EngineSpec, SamplingSpec
from equiray.specs.run import apply_overrides

Temperature = Annotated[float, Field(ge=0)]
Aggregate = Literal["mean", "log_mean", "low"]
StepWeights = Literal["uniform", "causal"]
BiasScore = Literal["ambiguous", "disambiguated", "larger"]
Baseline = Literal["single", "majority", "fairness_prompt", "outcome"]


class DecisionSpec(Document):
    """How chains become one answer (methods: section 3.2)."""

    aggregate: Aggregate = Field(default="mean", description="a chain's score; ``low`` is what serving uses")
    step_weights: StepWeights = "uniform"
    temperatures: Distinct[Temperature] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
    min_impact_ratio: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="of people: the most accurate on validation that reaches it; .8: the 80 % rule",
    )
    max_accuracy_loss: float = Field(
        default=0.01, ge=0, description="without a limit: the fairest that costs no more against the majority"
    )
    bias: BiasScore = Field(
        default="ambiguous", description="of questions: the official score that counts; larger: whichever is"
    )
    max_bias: float | None = Field(
        default=None, ge=0, le=1, description="of questions: the most right answers on validation that keep it"
    )


class ChainsSpec(Document):
    """One YAML = one run."""

    schema_: Literal["equiray.chains/1"] = Field(alias="schema")
    name: str
    seed: int = 0
    cases: Distinct[CasesSpec] = (CasesSpec(),)
    engine: EngineSpec = EngineSpec()
    sampling: SamplingSpec = SamplingSpec()
    separator: str = Field(default="\n\n", min_length=1, description="between the steps of a chain")
    reward_model: str = Field(description="directory of a finished reward run")
    decision: DecisionSpec = DecisionSpec()
    baselines: Distinct[Baseline] = ("single", "majority", "fairness_prompt", "outcome")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    replicates: int = Field(default=2000, ge=100, description="of the bootstrap over families of questions")


def load_chains_spec(path: Path, overrides: tuple[str, ...] = ()) -> ChainsSpec:
    """Read and check the YAML of decisions; raises BadInput as `equiray.specs.run.load_run_spec` does."""
    document = read_mapping(path, "spec")
    apply_overrides(document, overrides)
    try:
        return ChainsSpec.model_validate(document)
    except ValidationError as error:
        place = " ".join([str(path), *(f"--set {override}" for override in overrides)])
        raise as_bad_input(error, place, "spec") from error
