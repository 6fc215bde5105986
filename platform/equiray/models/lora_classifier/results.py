"""What a fine-tuning leaves on disk, and how it is read back: `FineTuneResult`, result.json, curve.jsonl."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from equiray.errors import reading_back
from equiray.models.training.checkpoints import ADAPTER, CURVE, finished_result

_NO_BETTER = "no checkpoint is right more often on validation rows than the model before fine-tuning"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One measurement.

    Attributes
    ----------
    step : int
        Updates made; 0 is the model as it was, asked zero-shot.
    loss : float or None
        Mean training loss since the last measurement, nats; None at step 0.
    accuracy, log_loss : float
        On the validation rows; log loss in nats, of the probability normalised over the two answers.
    seconds : float
        Training time, over all resumed parts.
    """

    step: int
    loss: float | None
    accuracy: float
    log_loss: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class FineTuneResult:
    """What a fine-tuning left.

    Attributes
    ----------
    adapter : Path
        The checkpoint with the best validation accuracy; of equals, the one with the lower log loss.
    curve : tuple of Point
        Also in curve.jsonl beside it.
    best_step : int
        At least 1: the model as it was is measured, but it is no checkpoint.
    stopped_by : "steps" or "time budget"
        The latter is to be labelled a short run.
    """

    adapter: Path
    curve: tuple[Point, ...]
    best_step: int
    stopped_by: str

    @property
    def before(self) -> Point:
        """The model before fine-tuning."""
        return self.curve[0]

    @property
    def best(self) -> Point:
        """The checkpoint that was kept."""
        return next(point for point in self.curve if point.step == self.best_step)

    @property
    def warnings(self) -> tuple[str, ...]:
        """That fine-tuning helped nothing."""
        return () if self.best.accuracy > self.before.accuracy else (_NO_BETTER,)

    def to_json(self) -> dict[str, Any]:
        """What result.json says of it."""
        return {
            "steps": self.curve[-1].step,
            "seconds": self.curve[-1].seconds,
            "best_step": self.best_step,
            "stopped_by": self.stopped_by,
            "warnings": list(self.warnings),
            "before": asdict(self.before),
            "best": asdict(self.best),
        }


def finished(out_dir: Path, run: str) -> FineTuneResult | None:
    """The result of a fine-tuning that was completed in `out_dir`, None if there is none.

    Raises
    ------
    BadInput
        Another training was completed there, or what it left is broken.
    """
    result = finished_result(out_dir, run)
    if result is None:
        return None
    with reading_back(out_dir / CURVE, fix=f"remove {out_dir}: the training is made again"):
        lines = (out_dir / CURVE).read_text(encoding="utf-8").splitlines()
        return FineTuneResult(
            adapter=out_dir / ADAPTER,
            curve=tuple(Point(**json.loads(line)) for line in lines),
            best_step=result["best_step"],
            stopped_by=result["stopped_by"],
        )


def progress_line(curve: Sequence[Point], steps: int) -> str:
    """One line for a person who waits, about the last measurement."""
    point, before = curve[-1], curve[0]
    loss = "" if point.loss is None else f"training loss {point.loss:.3f}, "
    zero_shot = "zero-shot" if point.step == 0 else f"zero-shot {before.accuracy:.3f}, {before.log_loss:.3f}"
    return (
        f"step {point.step} of {steps}, {point.seconds:.0f} s: {loss}"
        f"validation accuracy {point.accuracy:.3f}, log loss {point.log_loss:.3f} ({zero_shot})"
    )
