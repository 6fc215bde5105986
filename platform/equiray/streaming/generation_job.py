"""What is to be written, and how an actor comes by the engine that writes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from equiray.models.engines.protocol import Identity
from equiray.models.engines.records import Request, Sampling
from equiray.models.engines.transformers_engine import TransformersEngine
from equiray.models.loading import CausalLM
from equiray.specs.generation import EngineSpec
from equiray.streaming.language_model import load_on_node, unlearned


@dataclass(frozen=True, kw_only=True)
class EngineRecipe:
    """How an actor loads a transformers engine; `model` is `CausalLM.identity` of the base model."""

    spec: EngineSpec
    model: str

    def load(self, threads: int | None) -> TransformersEngine:
        """Load the weights, to compute on that many threads (None: as this process is set).

        Raises
        ------
        BadInput
            They cannot be loaded here, or are others than where the run started.
        """
        return self.with_model(load_on_node(self.spec.source, self.spec.dtype, self.model, threads))

    def with_model(self, lm: CausalLM) -> TransformersEngine:
        """The engine over a base model that is loaded already."""
        return TransformersEngine(lm=unlearned(lm, adapter_of(self.spec)), live_chains=self.spec.batch_chains)


def adapter_of(spec: EngineSpec) -> Path | None:
    """The directory of a spec's adapter."""
    return None if spec.adapter is None else Path(spec.adapter)


@dataclass(frozen=True, kw_only=True)
class GenerationJob:
    """What is still to be written, and where it is kept."""

    requests: Sequence[Request]
    sampling: Sampling
    directory: Path
    identity: Identity


class Driven(Protocol):
    """A recipe that drives a dataset of its own."""

    @property
    def spec(self) -> EngineSpec:
        """What it is asked for."""
        ...

    def drive(self, job: GenerationJob) -> None:
        """Write a job's completions; runs in a Ray task."""
        ...
