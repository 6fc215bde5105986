"""The Ray Data pipeline: read and serialize in tasks, embed and write on a pool of actors, one block at a time.

What is notable:

- One row of the dataset is one block, its rows packed as Arrow IPC bytes: Ray can neither split nor merge blocks, and
  a retried task writes the same file once more or finds it written.
- The dataset is driven by a Ray task, not by this process. It can be cancelled with all its actors whatever state they
  are in, so a pool that hangs, which Ray Data would wait for without end, is given up after a while.
"""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy
from ray.exceptions import RayError, RayTaskError

from equiray.errors import EquirayError, Incomplete
from equiray.specs.run import StreamingSpec
from equiray.streaming.blocks import Block, BlockStore
from equiray.streaming.kernel import BlockDone, Embedder, EmbedderRecipe, EmbedJob, embed_block, rows_to_texts
from equiray.streaming.progress import RowProgress

_READ_CPUS = 0.25  # reading waits for the actors most of the time
_POLL_S = 1.0
_RESUME = "run the same command again: finished blocks are kept"


def run_on_ray(
    job: EmbedJob, recipe: EmbedderRecipe, streaming: StreamingSpec, progress: RowProgress, *, stall_s: float
) -> None:
    """Embed a job's blocks on actors of the cluster that this process is connected to.

    Raises
    ------
    Incomplete
        No block was finished for `stall_s` seconds, or Ray lost the run; finished blocks stay.
    BadInput
        What the kernel raises.
    """
    # A process for this task alone: actors that it leaves behind end with it, and a cancellation that comes late kills
    # nothing else.
    driver = ray.remote(num_cpus=0, max_retries=0, max_calls=1)(_drive)
    stream = driver.options(num_returns="streaming").remote([ray.put(job)], recipe, streaming)
    try:
        _follow(stream, progress, streaming, stall_s)
    except RayTaskError as error:
        raise cause_of(error) from error
    except RayError as error:
        raise Incomplete(f"Ray lost the run: {first_line(error)}\n  fix:   {_RESUME}") from error
    except BaseException:
        # Only here, where the task still runs: Ray (2.60) ends this process, without a word to Python, when a task is
        # cancelled between its result's arrival and its removal from the list of pending tasks.
        ray.cancel(stream, force=True)
        raise


def _follow(stream: Any, progress: RowProgress, streaming: StreamingSpec, stall_s: float) -> None:
    seen = time.monotonic()
    while True:
        ready, _ = ray.wait([stream], timeout=_POLL_S)
        if ready:
            try:
                done = cast(BlockDone, ray.get(next(stream)))
            except StopIteration:
                return
            progress.advance(done.rows, done.tokens)
            seen = time.monotonic()
        elif time.monotonic() - seen > stall_s:
            raise Incomplete(_stalled(streaming, stall_s))
        else:
            progress.show()


def _drive(shared: Sequence[ray.ObjectRef], recipe: EmbedderRecipe, streaming: StreamingSpec) -> Iterator[BlockDone]:
    """Run the dataset. A Ray task, so a process of its own: its settings touch nobody else's."""
    context = DataContext.get_current()
    context.max_errored_blocks = 0
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # what Ray wraps it in loses the cause on its way between processes
    context.target_max_block_size = 1  # bytes: one row, which is one of our blocks, to a Ray block
    job: EmbedJob = ray.get(shared[0])
    spans = job.source.spans(job.blocks)
    read = partial(_read_texts, shared=shared, spans=spans)
    dataset = (
        ray.data.from_items([{"span": i} for i in range(len(spans))], override_num_blocks=len(spans))
        .map_batches(
            read,
            batch_size=1,
            batch_format="pyarrow",
            compute=TaskPoolStrategy(size=streaming.actors),  # a reader keeps an actor busy; more only take memory
            num_cpus=_READ_CPUS,
        )
        .map_batches(
            _EmbedBlocks,
            batch_size=1,
            batch_format="pyarrow",
            fn_constructor_args=(recipe, job.store, max(1, int(streaming.cpus_per_actor))),
            compute=ActorPoolStrategy(size=streaming.actors),
            num_cpus=streaming.cpus_per_actor,
            num_gpus=streaming.gpus_per_actor,
        )
    )
    for row in dataset.iter_rows():
        yield BlockDone(row["rows"], row["tokens"])


def _read_texts(
    batch: pa.Table, shared: Sequence[ray.ObjectRef], spans: Sequence[Sequence[Block]]
) -> Iterator[pa.Table]:
    """From the number of a span to its blocks, serialized and packed."""
    job: EmbedJob = ray.get(shared[0])
    for index in batch["span"].to_pylist():
        for block, rows in job.source.read(spans[index]):
            texts = rows_to_texts(rows, job.serializer)
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, texts.schema) as writer:
                writer.write_table(texts)
            packed = pa.array([sink.getvalue().to_pybytes()], pa.large_binary())
            yield pa.table({"first": [block.first], "last": [block.last], "packed": packed})


class _EmbedBlocks:
    """An actor of the pool. It loads its model with the first block: what is raised then reaches the user as it is."""

    def __init__(self, recipe: EmbedderRecipe, store: BlockStore, threads: int) -> None:
        self.recipe, self.store, self.threads = recipe, store, threads
        self.embedder: Embedder | None = None

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Embed one block; an earlier try of this task may have finished it."""
        (row,) = batch.to_pylist()
        block = Block(row["first"], row["last"])
        done = BlockDone(block.last - block.first + 1, 0)
        if not self.store.path(block).exists():
            if self.embedder is None:
                self.embedder = self.recipe.load(self.threads)
            done = embed_block(block, pa.ipc.open_stream(row["packed"]).read_all(), self.embedder, self.store)
        return pa.table({"rows": [done.rows], "tokens": [done.tokens]})


def cause_of(error: RayTaskError) -> Exception:
    """What went wrong in the kernel, however deep Ray has wrapped it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, EquirayError) and not isinstance(cause, RayTaskError):
            return cause
        cause = cause.cause if isinstance(cause, RayTaskError) else cause.__cause__
    return error


def _stalled(streaming: StreamingSpec, stall_s: float) -> str:
    amounts = ray.cluster_resources()
    there = ", ".join(f"{kind} {amounts.get(kind, 0):g}" for kind in ("CPU", "GPU"))
    return (
        f"no block was finished for {stall_s:g} s: an actor hangs, keeps dying, or never started\n"
        f"  where: {streaming.actors} actors of CPU {streaming.cpus_per_actor:g}, GPU {streaming.gpus_per_actor:g}; "
        f"the cluster has {there}, and reading takes CPU {_READ_CPUS:g}\n"
        f"  fix:   ask for what the cluster has, or lower streaming.rows_per_block if blocks take that long; {_RESUME}"
    )


def first_line(error: BaseException) -> str:
    """What an error says first; its type's name if it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
