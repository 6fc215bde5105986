"""`Course`: a training's way from its first update to its last, on disk after every measurement.

What is trained, on what loss, and which checkpoint is best differ between trainings; the schedule, the clock, the
curve, what is kept, and how a killed run goes on do not.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch

from equiray.models.training.checkpoints import (
    CHECKPOINTS,
    CURVE,
    RESULT,
    Snapshot,
    load_checkpoint,
    moments_of,
    restore_moments,
    save_checkpoint,
    write_whole,
)
from equiray.models.training.schedule import Schedule, Stopwatch, update


class Measured(Protocol):
    """A point of a curve."""

    @property
    def step(self) -> int: ...


class Trained(Protocol):
    """What an optimizer moves, by name, and copies of it."""

    @property
    def parameters(self) -> Mapping[str, torch.nn.Parameter]: ...

    def weights(self) -> dict[str, torch.Tensor]: ...

    def set_weights(self, weights: Mapping[str, torch.Tensor]) -> None: ...


_P = TypeVar("_P", bound=Measured)


class Course(Generic[_P]):
    """Where a training stands.

    Parameters
    ----------
    model : Trained
    schedule : Schedule
    out_dir : Path
        Gets ``curve.jsonl`` and ``checkpoints/``, and at the end ``result.json``.
    run : str
        Digest of what the training is made of; a checkpoint of another is refused.
    write, read : callable
        A point as JSON, and back.
    betas : pair of float
        AdamW's.

    Attributes
    ----------
    curve : list of points
    best_step : int
        Step of the checkpoint that is kept; 0 before any.
    best : mapping from name to tensor
        Its weights.
    """

    def __init__(
        self,
        model: Trained,
        schedule: Schedule,
        out_dir: Path,
        run: str,
        *,
        write: Callable[[_P], dict[str, Any]],
        read: Callable[[dict[str, Any]], _P],
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        self.model, self.schedule, self.out_dir, self.run = model, schedule, out_dir, run
        self._write, self._read = write, read
        self.optimizer = torch.optim.AdamW(
            model.parameters.values(), lr=schedule.learning_rate, betas=betas, weight_decay=0.0
        )
        self.curve: list[_P] = []
        self.best_step: int = 0
        self.best: Mapping[str, torch.Tensor] = model.weights()
        self.clock = Stopwatch()

    def resume(self) -> int:
        """The step that a killed run had come to, with all that it had; 0 where there was none."""
        snapshot = load_checkpoint(self.out_dir / CHECKPOINTS, self.run)
        if snapshot is None:
            return 0
        self.model.set_weights(snapshot.weights)
        restore_moments(self.optimizer, self.model.parameters, snapshot.moments)
        self.curve = [self._read(line) for line in snapshot.state["curve"]]
        self.best_step, self.best = snapshot.state["best_step"], dict(snapshot.best)
        self.clock.resume(snapshot.state["seconds"])
        return snapshot.state["step"]

    def seconds(self) -> float:
        """Of training, over all resumed parts."""
        return self.clock.seconds()

    def is_over(self, step: int) -> bool:
        """Whether the schedule has no further update."""
        return self.schedule.progress(step, self.clock.seconds()) >= 1

    def is_due(self, step: int, every: int, *, last: bool) -> bool:
        """Whether to measure at a step; one that was measured before a kill is not measured again."""
        return (last or step % every == 0) and not (self.curve and self.curve[-1].step == step)

    def update(self, step: int) -> None:
        """Go down the gradients that were computed."""
        update(self.optimizer, self.model.parameters.values(), self.schedule.rate(step, self.clock.seconds()))

    @property
    def kept(self) -> _P | None:
        """The point of the best checkpoint so far; None before any."""
        return next((point for point in self.curve if self.best_step and point.step == self.best_step), None)

    def add(self, point: _P, *, best: bool) -> None:
        """Add a measurement, keep its weights if they are the best, and put all on disk."""
        if best:
            self.best_step, self.best = point.step, self.model.weights()
        self.curve.append(point)
        lines = [self._write(known) for known in self.curve]
        state = {
            "run": self.run,
            "step": point.step,
            "best_step": self.best_step,
            "seconds": self.clock.seconds(),
            "curve": lines,
        }
        moments = moments_of(self.optimizer, self.model.parameters)
        save_checkpoint(self.out_dir / CHECKPOINTS, Snapshot(state, self.model.weights(), moments, self.best))
        write_whole(self.out_dir / CURVE, "".join(json.dumps(line) + "\n" for line in lines))

    def close(self, document: Mapping[str, Any]) -> None:
        """Write ``result.json``: the training is finished, and its checkpoints are needed no more."""
        write_whole(self.out_dir / RESULT, json.dumps(document, indent=1))
        shutil.rmtree(self.out_dir / CHECKPOINTS, ignore_errors=True)


@contextmanager
def dropout_of_step(dropout: float, seed: int, step: int) -> Iterator[None]:
    """Dropout drawn from (seed, step), for the length of a block: a resumed run drops what the first would have."""
    with torch.random.fork_rng(enabled=dropout > 0):
        if dropout > 0:
            torch.manual_seed(int(np.random.SeedSequence([seed, step]).generate_state(1)[0]))
        yield
