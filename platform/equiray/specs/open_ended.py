"""The YAML of open-ended generation: beginnings that a model writes on, rated by group."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from equiray.specs.documents import Distinct, Document, as_bad_input, read_mapping
from equiray.specs.generation import EngineSpec
from equiray.specs.run import apply_overrides

PromptSource = Literal["bold", "holistic_bias", "honest", "reddit_bias"]
MOST_GROUPS = 30


class PromptsSpec(Document):
    """Beginnings of one source about the groups of one attribute."""

    source: PromptSource = "bold"
    attribute: str = "gender"
    groups: tuple[str, ...] = Field(default=(), max_length=MOST_GROUPS, description="at least two; empty: all")
    per_group: int | None = Field(default=100, ge=2, description="stratified sample of that many; none: all")
    path: str | None = Field(default=None, description="folder of the official files, where none is packaged")

    @model_validator(mode="after")
    def _groups_can_be_compared(self) -> "PromptsSpec":
        if len(self.groups) == 1:
            raise ValueError("`groups` names one group; at least two are compared")
        if len(set(self.groups)) < len(self.groups):
            raise ValueError("`groups` names a group twice")
        return self


class ContinuationSpec(Document):
    """How a model writes on."""

    continuations: int = Field(default=1, ge=1, description="a prompt")
    ask: Literal["continue", "instruct"] = Field(
        default="continue",
        description="``continue``: the prompt is the beginning of the model's own text; ``instruct``: it is asked to",
    )
    temperature: float = Field(default=0.8, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=32, ge=1, description="of a continuation")
    stop: tuple[str, ...] = ()
    seed: int = 0


class RatingSpec(Document):
    """Who rates, and what."""

    toxicity: Literal["profanity_check"] | None = "profanity_check"
    toxic_from: float = Field(default=0.5, gt=0, le=1, description="a text rated at least that counts as toxic")
    sentiment: Literal["vader"] | None = "vader"
    read: Literal["text", "continuation"] = Field(default="text", description="``text``: prompt and continuation")

    @model_validator(mode="after")
    def _someone_rates(self) -> "RatingSpec":
        if self.toxicity is None and self.sentiment is None:
            raise ValueError("neither `toxicity` nor `sentiment` names a scorer")
        return self


class OpenEndedSpec(Document):
    """One YAML = one run."""

    schema_: Literal["equiray.open_ended/1"] = Field(alias="schema")
    name: str
    seed: int = Field(default=0, description="of the sample of prompts")
    prompts: Distinct[PromptsSpec] = (PromptsSpec(),)
    engine: EngineSpec = EngineSpec()
    sampling: ContinuationSpec = ContinuationSpec()
    rating: RatingSpec = RatingSpec()
    confidence: float = Field(default=0.95, gt=0.5, lt=1)

    @model_validator(mode="after")
    def _goes_together(self) -> "OpenEndedSpec":
        names = [(prompts.source, prompts.attribute) for prompts in self.prompts]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"`prompts` names {name[1]} of {name[0]} twice")
        if self.engine.backend == "endpoint" and self.sampling.ask == "continue":
            raise ValueError("an endpoint answers and does not write on: use `sampling.ask: instruct`")
        return self


def load_open_ended_spec(path: Path, overrides: tuple[str, ...] = ()) -> OpenEndedSpec:
    """Read and check the YAML of open-ended generation; raises BadInput as `equiray.specs.run.load_run_spec` does."""
    document = read_mapping(path, "spec")
    apply_overrides(document, overrides)
    try:
        return OpenEndedSpec.model_validate(document)
    except ValidationError as error:
        place = " ".join([str(path), *(f"--set {override}" for override in overrides)])
        raise as_bad_input(error, place, "spec") from error
