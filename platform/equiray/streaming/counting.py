"""Count prediction files on Ray: the files' spans -> counted blocks, as they arrive.

A worker runs the kernel that `metrics.counting` runs locally on the same blocks, and counts are a set of blocks: so
the result has the same bits whatever the number of workers, their order, or a retried task.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pyarrow as pa

from equiray.data.prediction_files import Span
from equiray.errors import EquirayError, Incomplete
from equiray.metrics.counting.blocks import Block
from equiray.metrics.counting.layout import Columns, Layout
from equiray.metrics.counting.store import blocks_to_table, table_to_blocks
from equiray.metrics.counting.stream import count_span
from equiray.streaming.cluster import ray_cluster


def blocks_on_ray(
    parts: Sequence[Span], layout: Layout, columns: Columns, *, workers: int, address: str | None = None
) -> Iterator[list[Block]]:
    """Count spans of files on Ray and give their blocks as they arrive, in any order.

    They are bit for bit the blocks that `metrics.counting.count_files` counts.

    Parameters
    ----------
    parts : sequence of Span
        Of files at paths that every node sees, opened with `columns.wanted(layout)`.
    layout, columns
        As `count_files`.
    workers : int
        Tasks at a time, each on one CPU.
    address : str, optional
        Ray cluster; else the one this process is in, or one started here for as long as it takes.

    Raises
    ------
    BadInput
        As `count_files`; or no cluster answers.
    Incomplete
        Ray lost the run. Blocks that have arrived are good.
    """
    count = partial(_count, parts=parts, layout=layout, columns=columns)
    with ray_cluster(address, cpus=workers):
        for table in _run(count, len(parts), workers):
            yield table_to_blocks(table)


def _count(batch: pa.Table, *, parts: Sequence[Span], layout: Layout, columns: Columns) -> pa.Table:
    """From the numbers of spans to their counted blocks, a row each."""
    found = [count_span(parts[number], layout, columns) for number in batch["span"].to_pylist()]
    return blocks_to_table([block for blocks in found for block in blocks])


def _run(count: Callable[[pa.Table], pa.Table], spans: int, workers: int) -> Iterator[pa.Table]:
    import ray
    from ray.data import DataContext, TaskPoolStrategy
    from ray.exceptions import RayError, RayTaskError

    context = DataContext.get_current().copy()  # the settings of others in this process stay theirs
    context.max_errored_blocks = 0
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # what Ray wraps it in loses the cause on its way between processes
    try:
        with DataContext.current(context):
            counted = ray.data.from_items([{"span": n} for n in range(spans)], override_num_blocks=spans).map_batches(
                count, batch_size=1, batch_format="pyarrow", compute=TaskPoolStrategy(size=workers), num_cpus=1
            )
            yield from counted.iter_batches(batch_size=None, batch_format="pyarrow")
    except RayTaskError as error:
        if isinstance(error.cause, EquirayError):
            raise error.cause from error
        raise
    except RayError as error:
        raise Incomplete(
            f"Ray lost the run: {str(error).strip()[:200]}\n  fix:   run the same command again"
        ) from error
