"""What YAML documents about generated text share: the engine, how it samples, and the cases that it is asked about."""

from typing import Literal

from pydantic import Field, model_validator

from equiray.specs.documents import Document

Backend = Literal["transformers", "vllm", "endpoint"]
CaseSet = Literal["bbq", "adult", "acs", "compas", "german", "bias_in_bios", "civil_comments"]


class EngineSpec(Document):
    """What writes and scores text. A spec means the same with every backend.

    `source` is ``embedded``, a hub id, a directory or a ``.gguf`` file; with `endpoint` the base URL of an
    OpenAI-compatible API, where `name` is the model's name.
    """

    backend: Backend = "transformers"
    source: str = "embedded"
    name: str | None = None
    adapter: str | None = Field(default=None, description="directory of a LoRA adapter, such as an unlearned one")
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    batch_chains: int = Field(default=64, ge=1, description="chains that are written at once")
    actors: int = Field(default=1, ge=1, description="on Ray; each loads the model once")
    cpus_per_actor: float = Field(default=1, ge=0)
    gpus_per_actor: float = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _endpoint_is_a_named_url(self) -> "EngineSpec":
        is_url = self.source.startswith(("http://", "https://"))
        if is_url != (self.backend == "endpoint"):
            raise ValueError(f"`source` {self.source!r} and `backend` {self.backend!r} do not go together")
        if is_url and not self.name:
            raise ValueError("`name` is missing: an endpoint needs the model's name there")
        return self


class SamplingSpec(Document):
    """How chains are drawn (arXiv 2507.11344: T .8, 32 chains)."""

    chains: int = Field(default=16, ge=1, description="a case")
    temperature: float = Field(default=0.8, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=128, ge=1, description="of a chain")
    stop: tuple[str, ...] = ()
    seed: int = 0
    examples: bool = Field(default=True, description="solved questions stand before each case; small models need them")


class CasesSpec(Document):
    """Questions with answer options, and which of them are used."""

    dataset: CaseSet = "bbq"
    path: str | None = Field(default=None, description="official file or directory, where none is packaged")
    items: int | None = Field(default=None, ge=2, description="stratified sample of that many; none: all")
    categories: tuple[str, ...] = Field(default=(), description="of BBQ; empty: all")
    attributes: tuple[str, ...] = Field(default=(), description="sensitive attributes to report; empty: all declared")
    seed: int = Field(default=0, description="of the sample and of the order of options")
