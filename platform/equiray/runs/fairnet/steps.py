"""Steps of a training: announced, timed, with a bar that counts rows."""

from typing import Any

from equiray.runs.directory import RunDirectory
from equiray.streaming.progress import RowProgress


class Step:
    """A step of the run with a progress bar."""

    def __init__(self, directory: RunDirectory, name: str, stage: str, rows: int) -> None:
        self.progress = RowProgress(f"{name} {stage}", total=rows)
        self._announced = directory.step(f"{name}: {stage}")

    def __enter__(self) -> RowProgress:
        self._announced.__enter__()
        return self.progress.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.progress.__exit__(*error)
        self._announced.__exit__(*error)
