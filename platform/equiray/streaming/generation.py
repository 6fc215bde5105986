"""Completions of many requests into a cache: in this process, on Ray actors, through vLLM, or from an endpoint.

The same requests and settings go to every backend. Completions are kept one by one as they are written
(`equiray.models.engines.cache`), so a run that is broken off goes on where it was, with another number of actors too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from equiray.models.chat_api import ChatServer
from equiray.models.engines.cache import CompletionCache, write_missing
from equiray.models.engines.endpoint_engine import EndpointEngine
from equiray.models.engines.protocol import Generator, Identity
from equiray.models.engines.records import Completion, Request, Sampling
from equiray.models.loading import CausalLM, load_causal_lm
from equiray.specs.generation import EngineSpec
from equiray.streaming.cluster import ray_cluster
from equiray.streaming.generation_job import Driven, EngineRecipe, GenerationJob
from equiray.streaming.generation_vllm import VllmRecipe
from equiray.streaming.progress import RowProgress

STALL_S = 1800.0


def generate(
    requests: Sequence[Request],
    spec: EngineSpec,
    sampling: Sampling,
    directory: Path,
    *,
    address: str | None = None,
    lm: CausalLM | None = None,
    label: str,
    stall_s: float = STALL_S,
) -> list[tuple[Completion, ...]]:
    """Complete requests; run again after an interruption, it samples what is missing.

    Parameters
    ----------
    requests : sequence of Request
    spec : EngineSpec
        An endpoint is asked from this process. vLLM runs on Ray, in processes of its own. Transformers runs on Ray
        where `address` is given or several actors are asked for, else in this process.
    sampling : Sampling
    directory : Path
        Of the completions of all engines. On a cluster, one that all nodes see.
    address : str, optional
        Ray cluster; else Ray is started here if it is needed.
    lm : CausalLM, optional
        The base model of `spec`, if it is loaded already; without the adapter's change.
    label : str
        Names the work in the progress bar.
    stall_s : float
        On Ray: seconds without a finished completion after which the run is given up.

    Returns
    -------
    list of tuple of Completion
        Of each request, 0 to n - 1.

    Raises
    ------
    BadInput
        A request, the model or the adapter cannot be used; vLLM is asked for and not installed.
    Incomplete
        Workers were lost or the disk is full; the same call goes on from what is kept.
    """
    where = _Where(spec=spec, directory=directory, address=address, label=label, stall_s=stall_s)
    if spec.backend == "endpoint":
        server = ChatServer(base_url=spec.source, model=spec.name or "")
        return where.here(EndpointEngine(server=server), requests, sampling)
    if spec.backend == "vllm":
        vllm = VllmRecipe.of(spec)
        return where.on_ray(vllm, vllm.identity, requests, sampling)
    lm = lm or load_causal_lm(spec.source, dtype=spec.dtype)
    recipe = EngineRecipe(spec=spec, model=lm.identity)
    engine = recipe.with_model(lm)
    if address is not None or spec.actors > 1:
        return where.on_ray(recipe, engine.identity, requests, sampling)
    return where.here(engine, requests, sampling)


@dataclass(frozen=True, kw_only=True)
class _Where:
    """Where work is done, and how it is watched."""

    spec: EngineSpec
    directory: Path
    address: str | None
    label: str
    stall_s: float

    def here(self, engine: Generator, requests: Sequence[Request], sampling: Sampling) -> list[tuple[Completion, ...]]:
        """With an engine in this process."""
        cache = CompletionCache(self.directory, engine.identity)
        if cache.missing(requests, sampling):
            with self._progress(cache, requests, sampling) as progress:
                for completion in write_missing(engine, cache, requests, sampling):
                    progress.advance(1, completion.tokens)
        return cache.completions(requests, sampling)

    def on_ray(
        self, recipe: EngineRecipe | Driven, identity: Identity, requests: Sequence[Request], sampling: Sampling
    ) -> list[tuple[Completion, ...]]:
        """With engines that a recipe loads."""
        cache = CompletionCache(self.directory, identity)
        missing = cache.missing(requests, sampling)
        if missing:
            job = GenerationJob(requests=missing, sampling=sampling, directory=self.directory, identity=identity)
            cpus = self.spec.actors * max(self.spec.cpus_per_actor, 1)
            with (
                ray_cluster(self.address, cpus=cpus),
                self._progress(cache, missing, sampling) as progress,
            ):
                from equiray.streaming.generation_ray import run_on_ray  # imports ray: settings come first

                run_on_ray(job, recipe, cache, progress, stall_s=self.stall_s)
        return cache.completions(requests, sampling)

    def _progress(self, cache: CompletionCache, requests: Sequence[Request], sampling: Sampling) -> RowProgress:
        total, done = sum(request.n for request in requests), cache.kept(requests, sampling).completions
        return RowProgress(self.label, total=total, done=done, unit="completions")
