"""The YAML of preferences by likelihood: CrowS-Pairs, StereoSet, WinoBias and BBQ, by any causal model."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator

from equiray.specs.documents import Document, as_bad_input, read_mapping
from equiray.specs.run import apply_overrides

DatasetName = Literal["crows_pairs", "stereoset", "winobias", "bbq"]


class DatasetSpec(Document):
    """One data set, whole or a sample of it."""

    name: DatasetName
    items: int | None = Field(default=None, ge=2, description="sampled by category, by `seed`; none: all")


class ScoredModelSpec(Document):
    """The model whose likelihoods are read: ``embedded``, a hub id, a directory, or a ``.gguf`` file."""

    source: str = "embedded"
    adapter: str | None = Field(default=None, description="directory of an unlearned adapter of that model")
    dtype: Literal["bfloat16", "float32"] = Field(
        default="float32", description="rounding to bf16 turns preferences whose likelihoods are close"
    )

    @field_validator("source")
    @classmethod
    def _is_no_endpoint(cls, source: str) -> str:
        if source.startswith(("http://", "https://")):
            raise ValueError(
                "an endpoint gives no likelihoods of given texts: name a hub id, a directory, a .gguf file, "
                "or `embedded`"
            )
        return source


class LikelihoodSpec(Document):
    """One YAML = one run."""

    schema_: Literal["equiray.likelihood/1"] = Field(alias="schema")
    name: str
    seed: int = 0
    datasets: tuple[DatasetSpec, ...] = Field(
        default=(
            DatasetSpec(name="crows_pairs"),
            DatasetSpec(name="stereoset"),
            DatasetSpec(name="winobias"),
            DatasetSpec(name="bbq", items=600),
        ),
        min_length=1,
    )
    language_model: ScoredModelSpec = ScoredModelSpec()
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    replicates: int = Field(default=2000, ge=100, description="of the bootstrap over families of sentences")

    @field_validator("datasets")
    @classmethod
    def _each_once(cls, datasets: tuple[DatasetSpec, ...]) -> tuple[DatasetSpec, ...]:
        names = [dataset.name for dataset in datasets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} stands twice")
        return datasets


def load_likelihood_spec(path: Path, overrides: tuple[str, ...] = ()) -> LikelihoodSpec:
    """Read and check the YAML of preferences by likelihood; raises BadInput as `equiray.specs.run.load_run_spec`."""
    document = read_mapping(path, "spec")
    apply_overrides(document, overrides)
    try:
        return LikelihoodSpec.model_validate(document)
    except ValidationError as error:
        place = " ".join([str(path), *(f"--set {override}" for override in overrides)])
        raise as_bad_input(error, place, "spec") from error
