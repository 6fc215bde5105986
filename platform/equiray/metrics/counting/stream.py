"""Rows to counts in this process: a table in memory, or files of any size in bounded memory."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from equiray.data.prediction_files import PredictionFile, Span, read_span, spans
from equiray.data.row_blocks import ROWS_PER_BLOCK, BlockId
from equiray.errors import BadInput
from equiray.metrics.counting.blocks import Block
from equiray.metrics.counting.counts import Counts
from equiray.metrics.counting.encoding import Place
from equiray.metrics.counting.kernel import count_block, read_rows, tally
from equiray.metrics.counting.layout import Columns, Layout


def count_table(
    table: pa.Table,
    layout: Layout,
    columns: Columns,
    *,
    model: str,
    origin: str = "the table",
    rows_per_block: int = ROWS_PER_BLOCK,
) -> Counts:
    """Count a table in memory.

    Its source hash is that of the rows as they are counted, so the same rows count once, however Arrow encodes or
    chunks them.

    Parameters
    ----------
    table : pyarrow.Table
    layout : Layout
    columns : Columns
    model : str
        Hash (or another name) of what made the predictions; counts of other models do not merge.
    origin : str
        How errors name the table.
    rows_per_block : int

    Raises
    ------
    BadInput
        No rows, a column that is missing, or a value that cannot be counted; names it, its column and its rows.
    """
    read = []
    digest = hashlib.sha256()
    for start in range(0, table.num_rows, rows_per_block):
        rows = table.slice(start, rows_per_block)
        read.append((start, start + rows.num_rows, read_rows(rows, layout, columns, Place(origin, start))))
        digest.update(read[-1][-1].sha256().encode())
    source = digest.hexdigest()
    blocks = [tally(BlockId(source, start, stop), rows) for start, stop, rows in read]
    return counts_of(blocks, layout, {source: [origin]}, model=model)


def count_files(
    files: Sequence[PredictionFile],
    layout: Layout,
    columns: Columns,
    *,
    model: str,
    rows_per_block: int = ROWS_PER_BLOCK,
    threads: int | None = None,
) -> Counts:
    """Count files that `equiray.data.prediction_files.open_files` has opened with `columns.wanted(layout)`.

    Parameters and errors as `count_table`. Each of the `threads` (one a core by default) reads and counts one block
    at a time, so memory does not grow with the rows; neither they nor the order of the files change the result.
    """
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        waiting = [pool.submit(count_span, span, layout, columns) for span in spans(files, rows_per_block)]
        try:
            blocks = [block for each in waiting for block in each.result()]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return counts_of(blocks, layout, {file.sha256: [file.path] for file in files}, model=model)


def count_span(span: Span, layout: Layout, columns: Columns) -> list[Block]:
    """Count the blocks of a span; errors as `count_files`."""
    return [count_block(block, rows, layout, columns, place=origin) for block, rows, origin in read_span(span)]


def counts_of(blocks: Iterable[Block], layout: Layout, origins: "dict[str, list[str]]", *, model: str) -> Counts:
    """Counts of blocks that were counted side by side; raises BadInput where there are none."""
    counts = Counts.of(layout, model, blocks, origins)
    if not counts.blocks:
        names = ", ".join(name for each in origins.values() for name in each)
        raise BadInput("there are no rows to count", place=names, fix="give at least one row")
    return counts
