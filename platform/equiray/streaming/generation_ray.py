"""Completions on Ray: pieces of the requests on a pool of actors, or rows through vLLM's processor.

The actors keep completions themselves; what travels back says only that a piece is done. This process reads the cache
to see how far it is, and gives a run up in which nothing comes any more. As with embeddings
(`equiray.streaming.ray_pipeline`), a Ray task drives the dataset, so it can be cancelled in whatever state it is.
"""

import time
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.exceptions import RayError, RayTaskError

from equiray.errors import Incomplete
from equiray.models.engines.cache import CompletionCache, write_missing
from equiray.models.engines.protocol import Generator
from equiray.models.engines.records import Request
from equiray.streaming.generation_job import Driven, EngineRecipe, GenerationJob
from equiray.streaming.progress import RowProgress
from equiray.streaming.ray_pipeline import cause_of, first_line

_POLL_S = 1.0
_PIECES_AN_ACTOR = 4
_FULL_BATCHES = 4  # a piece of fewer would spend its time with its last chains
_RESUME = "run the same command again: completions are kept as they are written"


def run_on_ray(
    job: GenerationJob,
    recipe: EngineRecipe | Driven,
    cache: CompletionCache,
    progress: RowProgress,
    *,
    stall_s: float,
) -> None:
    """Write a job's completions on the cluster that this process is connected to.

    Raises
    ------
    Incomplete
        No completion was written for `stall_s` seconds, or Ray lost the run; what was written stays.
    BadInput
        What an engine raises.
    """
    driver = ray.remote(num_cpus=0, max_retries=0, max_calls=1)(_drive)
    running = driver.remote([ray.put(job)], recipe)
    try:
        _follow(running, job, cache, progress, stall_s)
    except RayTaskError as error:
        raise cause_of(error) from error
    except RayError as error:
        raise Incomplete(f"Ray lost the run: {first_line(error)}\n  fix:   {_RESUME}") from error
    except BaseException:
        ray.cancel(running, force=True)  # never a task that ended: see ray_pipeline
        raise


def pieces(requests: Sequence[Request], *, actors: int, live_chains: int) -> list[list[Request]]:
    """Requests in parts of about as many completions, prompts that begin alike together.

    One actor gets one part; several get four each, so that none waits long for the last.
    """
    wanted = sum(len(request.wanted) for request in requests)
    most = 1 if actors == 1 else max(actors, min(actors * _PIECES_AN_ACTOR, wanted // (_FULL_BATCHES * live_chains)))
    ordered = sorted(requests, key=lambda request: [message.content for message in request.messages])
    parts: list[list[Request]] = [[] for _ in range(most)]
    done = 0
    for request in ordered:
        parts[done * most // wanted].append(request)
        done += len(request.wanted)
    return [part for part in parts if part]


def quiet_context() -> None:
    """Ray Data settings of the process that drives a dataset: errors as they are, no bars."""
    context = DataContext.get_current()
    context.max_errored_blocks = 0
    context.enable_progress_bars = False
    context.raise_original_map_exception = True


def _follow(running: Any, job: GenerationJob, cache: CompletionCache, progress: RowProgress, stall_s: float) -> None:
    before, seen = cache.kept(job.requests, job.sampling), time.monotonic()
    while True:
        ready, _ = ray.wait([running], timeout=_POLL_S)
        now = cache.kept(job.requests, job.sampling)
        if now != before:
            progress.advance(now.completions - before.completions, now.tokens - before.tokens)
            before, seen = now, time.monotonic()
        if ready:
            ray.get(running)
            return
        if time.monotonic() - seen > stall_s:
            raise Incomplete(
                f"no completion was written for {stall_s:g} s: an actor hangs, keeps dying, or never started\n"
                f"  where: Ray, which has {ray.cluster_resources()}\n"
                f"  fix:   ask for what the cluster has (engine.cpus_per_actor, engine.gpus_per_actor); {_RESUME}"
            )
        progress.show()


def _drive(shared: Sequence[ray.ObjectRef], recipe: EngineRecipe | Driven) -> None:
    """Run the dataset. A Ray task, so a process of its own: its settings touch nobody else's."""
    quiet_context()
    job: GenerationJob = ray.get(shared[0])
    if not isinstance(recipe, EngineRecipe):
        recipe.drive(job)
        return
    spec = recipe.spec
    parts = pieces(job.requests, actors=spec.actors, live_chains=spec.batch_chains)
    dataset = ray.data.from_items([{"piece": i} for i in range(len(parts))], override_num_blocks=len(parts))
    written = dataset.map_batches(
        _WritePieces,
        batch_size=1,
        batch_format="pyarrow",
        fn_constructor_args=([ray.put(parts)], shared, recipe, max(1, int(spec.cpus_per_actor))),
        compute=ActorPoolStrategy(size=spec.actors),
        num_cpus=spec.cpus_per_actor,
        num_gpus=spec.gpus_per_actor,
    )
    for _ in written.iter_rows():
        pass


class _WritePieces:
    """An actor of the pool. It loads its model with the first piece: what is raised then reaches the user as it is."""

    def __init__(
        self, parts: Sequence[ray.ObjectRef], shared: Sequence[ray.ObjectRef], recipe: EngineRecipe, threads: int
    ) -> None:
        self.parts: list[list[Request]] = ray.get(parts[0])
        self.job: GenerationJob = ray.get(shared[0])
        self.recipe, self.threads = recipe, threads
        self.engine: Generator | None = None

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Write a piece; what an earlier try has written is not written again."""
        if self.engine is None:
            self.engine = self.recipe.load(self.threads)
        cache = CompletionCache(self.job.directory, self.job.identity)
        done = [
            sum(1 for _ in write_missing(self.engine, cache, self.parts[index], self.job.sampling))
            for index in batch["piece"].to_pylist()
        ]
        return pa.table({"completions": done})
