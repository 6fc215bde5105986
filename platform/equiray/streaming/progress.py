"""How far a run is: a bar in a terminal, a plain line now and then in a log."""

import time
from collections import deque
from types import TracebackType
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

_LINE_EVERY_S = 15.0
_WINDOW = 32


class _Mark(NamedTuple):
    seconds: float
    rows: int
    tokens: int


class RowProgress:
    """Rows/s, tokens/s and time left of one run, on standard error.

    Speeds are those of the last blocks. The first one pays for loading the model, so it leaves the estimate as soon as
    there is another.

    Parameters
    ----------
    label : str
        What is being done.
    total : int
        Rows to finish, with those that an earlier run finished.
    done : int
        Rows that an earlier run finished.
    console : rich.console.Console, optional
        Default: standard error.
    unit : str
        What is counted.
    """

    def __init__(
        self, label: str, *, total: int, done: int = 0, console: Console | None = None, unit: str = "rows"
    ) -> None:
        self.label, self.total, self.found, self.unit = label, total, done, unit
        self._console = console or Console(stderr=True)
        self._start = _Mark(time.monotonic(), done, 0)
        self._marks = deque([self._start], maxlen=_WINDOW)
        self._printed = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(label, total=total, completed=done, figures=self.figures())

    def advance(self, rows: int, tokens: int) -> None:
        """Note a finished block."""
        last = self._marks[-1]
        if self._marks[0] is self._start and last is not self._start:
            self._marks.popleft()
        self._marks.append(_Mark(time.monotonic(), last.rows + rows, last.tokens + tokens))
        self.show()

    def show(self) -> None:
        """Bring the bar up to date; without a terminal, print a line if the last one is old."""
        self._bar.update(self._task, completed=self._marks[-1].rows, figures=self.figures())
        if not self._console.is_terminal and time.monotonic() - self._printed >= _LINE_EVERY_S:
            self._line()

    def figures(self) -> str:
        """For example ``512 of 1,000 rows, 14.2 rows/s, 1,310 tokens/s, 34 s left``."""
        first, last = self._marks[0], self._marks[-1]
        counted = f"{last.rows:,} of {self.total:,} {self.unit}"
        seconds, rows = last.seconds - first.seconds, last.rows - first.rows
        if not rows or not seconds:
            return f"{counted}, {self.found:,} of them found finished" if self.found else counted
        left = (self.total - last.rows) * seconds / rows
        tokens = (last.tokens - first.tokens) / seconds
        speed = f"{rows / seconds:,.1f} {self.unit}/s" + (f", {tokens:,.0f} tokens/s" if tokens else "")
        return f"{counted}, {speed}, {_duration(left)} left"

    def __enter__(self) -> "RowProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if not self._console.is_terminal:
            self._line()

    def _line(self) -> None:
        self._printed = time.monotonic()
        self._console.print(f"{self.label}: {self.figures()}", markup=False, highlight=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
