"""Counting that can be interrupted: what was counted of the files is kept, and the same command takes it up."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
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
        counts = counts_of(self._all(left, kept, address), self.layout, self._origins, model=self.model)
        counts.save(self.directory.path / COUNTS_NAME)
        (self.directory.path / PARTIAL_NAME).unlink(missing_ok=True)
        return counts

    @property
    def _origins(self) -> dict[str, list[str]]:
        return {file.sha256: [file.path] for file in self.files}

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

    def _all(self, left: Sequence[Span], kept: Sequence[Block], address: str | None) -> list[Block]:
        """The blocks that were kept and those of what is left; these are kept now and then, and when all else fails."""
        held = _Held(self._save, list(kept))
        with self._progress(kept) as progress:
            try:
                if left and address is not None:
                    self._on_ray(left, held, progress, address)
                elif left:
                    self._here(left, held, progress)
            except BaseException:
                with suppress(EquirayError):  # what went wrong first is what is said
                    held.save()
                raise
        return held.blocks

    def _on_ray(self, left: Sequence[Span], held: "_Held", progress: "_Rows", address: str) -> None:
        from equiray.streaming.counting import blocks_on_ray

        for blocks in blocks_on_ray(left, self.layout, self.columns, workers=len(left), address=address):
            held.add(blocks)
            progress.add(sum(block.id.stop - block.id.start for block in blocks))

    def _here(self, left: Sequence[Span], held: "_Held", progress: "_Rows") -> None:
        stop = threading.Event()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            waiting = [pool.submit(self._span, span, progress, stop) for span in left]
            taken: set[Future[list[Block]]] = set()
            try:
                for done in as_completed(waiting):
                    held.add(done.result())
                    taken.add(done)
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                rest = [f for f in waiting if f not in taken and not f.cancelled() and f.exception() is None]
                held.blocks += [block for future in rest for block in future.result()]
                raise

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
            Counts.of(self.layout, self.model, blocks, self._origins).save(self.directory.path / PARTIAL_NAME)

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
class _Held:
    """Blocks that are counted, kept on disk by `write` every so often."""

    write: Callable[[Sequence[Block]], None]
    blocks: list[Block]
    saved: float = field(default_factory=time.monotonic)

    def add(self, blocks: Sequence[Block]) -> None:
        self.blocks += blocks
        if time.monotonic() - self.saved > _SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        self.write(self.blocks)
        self.saved = time.monotonic()


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
