"""Counting that can be interrupted: what was counted of the files is kept, and the same command takes it up."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from equiray.data.prediction_files import PredictionFile, Span, read_span, spans
from equiray.data.row_blocks import ROWS_PER_BLOCK
from equiray.errors import BadInput, EquirayError
from equiray.metrics.counting import Block, Columns, Counts, Layout
from equiray.metrics.counting.kernel import count_block
from equiray.metrics.counting.stream import counts_of
from equiray.runs.directory import RunDirectory

COUNTS_NAME = "counts.parquet"
PARTIAL_NAME = "counts.partial.parquet"
_SAVE_EVERY_S = 30.0
_LINE_EVERY_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Counting:
    """What is counted, of which files, and where it is kept.

    Counts are a set of blocks, so those that an earlier attempt left are as good as new ones; what they were counted
    from is known by its content.
    """

    files: Sequence[PredictionFile]
    layout: Layout
    columns: Columns
    model: str
    directory: RunDirectory
    rows_per_block: int = ROWS_PER_BLOCK

    def run(self, address: str | None = None) -> Counts:
        """Count all rows, with threads here or on the Ray cluster at `address`, and leave `COUNTS_NAME`.

        Raises
        ------
        BadInput
            A value cannot be counted (the error names it, its file and its rows), or there are no rows.
        Incomplete
            The counts cannot be written, or Ray lost the run.
        """
        kept = self._kept()
        # kept a whole span at a time, so its first block tells
        done = {(block.id.source, block.id.start) for block in kept}
        parts = spans(self.files, self.rows_per_block)
        left = [span for span in parts if (span.file.sha256, span.start) not in done]
        if left and address is not None:
            counts = self._on_ray(address)
        else:
            counts = self._counts(self._here(left, kept) if left else kept)
        counts.save(self.directory.path / COUNTS_NAME)
        (self.directory.path / PARTIAL_NAME).unlink(missing_ok=True)
        return counts

    def _counts(self, blocks: Sequence[Block]) -> Counts:
        return counts_of(blocks, self.layout, {file.sha256: [file.path] for file in self.files}, model=self.model)

    def _kept(self) -> list[Block]:
        """Blocks of these files that an earlier attempt counted in the same way."""
        sources = {file.sha256 for file in self.files}
        for name in (COUNTS_NAME, PARTIAL_NAME):
            path = self.directory.path / name
            if not path.is_file():
                continue
            try:
                found = Counts.load(path)
            except BadInput as error:
                self.directory.say(f"{name} cannot be used, counting again: {error.problem}")
                continue
            if (found.layout.sha256, found.model) == (self.layout.sha256, self.model):
                blocks = [block for id_, block in found.blocks.items() if id_.source in sources]
                self.directory.say(f"{sum(b.id.stop - b.id.start for b in blocks):,} rows were counted before")
                return blocks
        return []

    def _on_ray(self, address: str) -> Counts:
        from equiray.streaming.counting import count_on_ray

        tasks = len(spans(self.files, self.rows_per_block))
        return count_on_ray(
            self.files,
            self.layout,
            self.columns,
            model=self.model,
            workers=tasks,
            rows_per_block=self.rows_per_block,
            address=address,
        )

    def _here(self, left: Sequence[Span], kept: Sequence[Block]) -> list[Block]:
        blocks, saved = list(kept), time.monotonic()
        stop = threading.Event()
        with self._progress(kept) as progress, ThreadPoolExecutor(os.cpu_count()) as pool:
            waiting = [pool.submit(self._span, span, progress, stop) for span in left]
            taken: set[Future[list[Block]]] = set()
            try:
                for done in as_completed(waiting):
                    blocks += done.result()
                    taken.add(done)
                    if time.monotonic() - saved > _SAVE_EVERY_S:
                        self._save(blocks)
                        saved = time.monotonic()
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                rest = [f for f in waiting if f not in taken and not f.cancelled() and f.exception() is None]
                with suppress(EquirayError):  # what went wrong first is what is said
                    self._save([*blocks, *(block for future in rest for block in future.result())])
                raise
        return blocks

    def _span(self, span: Span, progress: "_Rows", stop: threading.Event) -> list[Block]:
        """All blocks of a span, or none if it is not to be finished."""
        blocks = []
        for block, rows, origin in read_span(span):
            if stop.is_set():
                return []
            blocks.append(count_block(block, rows, self.layout, self.columns, place=origin))
            progress.add(rows.num_rows)
        return blocks

    def _save(self, blocks: Sequence[Block]) -> None:
        if blocks:
            counts = Counts.of(self.layout, self.model, blocks, {file.sha256: [file.path] for file in self.files})
            counts.save(self.directory.path / PARTIAL_NAME)

    @contextmanager
    def _progress(self, kept: Sequence[Block]) -> Iterator["_Rows"]:
        """A bar in a terminal, a line now and then in a log; how many rows there are only Parquet tells."""
        known = all(file.row_groups is not None for file in self.files)
        total = sum(sum(file.row_groups or ()) for file in self.files) if known else None
        console = self.directory.console
        columns = (TextColumn("{task.completed:,.0f} rows"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
            task = bar.add_task("", total=total, completed=sum(block.id.stop - block.id.start for block in kept))
            yield _Rows(self.directory, total, bar, task)


@dataclass
class _Rows:
    """How many rows are counted, said by any thread."""

    directory: RunDirectory
    total: int | None
    bar: Progress
    task: TaskID
    said: float = field(default_factory=time.monotonic)

    def add(self, rows: int) -> None:
        self.bar.advance(self.task, rows)
        if not self.directory.console.is_terminal and time.monotonic() - self.said > _LINE_EVERY_S:
            self.said = time.monotonic()
            of = f" of {self.total:,}" if self.total is not None else ""
            self.directory.say(f"{self.bar.tasks[0].completed:,.0f}{of} rows counted")
