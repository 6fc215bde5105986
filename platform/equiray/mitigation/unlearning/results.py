"""What a training leaves on disk, and how it is read back: `UnlearnResult`, result.json, curve.jsonl."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equiray.data.reference import ReferenceTexts
from equiray.data.templates import Prompt
from equiray.errors import reading_back
from equiray.mitigation.unlearning.diagnostics import CurvePoint
from equiray.models.loading import CausalLM
from equiray.models.training.checkpoints import ADAPTER, CURVE, finished_result
from equiray.specs.run import UnlearningSpec

_NOTHING_KEPT = (
    "nothing kept: no checkpoint had a smaller validation gap than the original model within 2 % of its perplexity, "
    "so the adapter changes nothing; train longer, or lower learning_rate"
)


@dataclass(frozen=True, kw_only=True)
class UnlearnResult:
    """What a training left.

    Attributes
    ----------
    adapter : Path
        The best checkpoint, for `load_adapter`.
    curve : tuple of CurvePoint
        Also in curve.jsonl beside it.
    best_step : int
        The step with the smallest absolute validation gap among those that keep perplexity within 2 % of the
        original's; 0, the original model, where none does.
    stopped_by : "steps" or "time budget"
        The latter is to be labelled a short run.
    """

    adapter: Path
    curve: tuple[CurvePoint, ...]
    best_step: int
    stopped_by: str

    @property
    def before(self) -> CurvePoint:
        """The original model."""
        return self.curve[0]

    @property
    def best(self) -> CurvePoint:
        """The checkpoint that was kept."""
        return next(point for point in self.curve if point.step == self.best_step)

    @property
    def steps(self) -> int:
        """Updates made."""
        return self.curve[-1].step

    @property
    def seconds(self) -> float:
        """Training time, over all resumed parts."""
        return self.curve[-1].seconds

    @property
    def warnings(self) -> tuple[str, ...]:
        """Failure signs of the kept checkpoint, or that none could be kept."""
        return self.best.warnings if self.best_step else (_NOTHING_KEPT,)

    def to_json(self) -> dict[str, Any]:
        """What result.json says of it."""
        return {
            "steps": self.steps,
            "seconds": self.seconds,
            "best_step": self.best_step,
            "stopped_by": self.stopped_by,
            "warnings": list(self.warnings),
            "before": self.before.to_json(),
            "best": self.best.to_json(),
        }


def training_digest(
    lm: CausalLM,
    train_prompts: Sequence[Prompt],
    validation_prompts: Sequence[Prompt],
    reference: ReferenceTexts,
    spec: UnlearningSpec,
    seed: int,
    fold: int | None,
) -> str:
    """Names a training by what it is made of: equal inputs, equal digests; kept as ``run`` beside all it leaves."""
    parts = {
        "lm": lm.identity,
        "train": [p.prefix for p in train_prompts],
        "validation": [p.prefix for p in validation_prompts],
        "reference": reference.sha256,
        "spec": spec.model_dump(mode="json"),
        "seed": seed,
        "fold": fold,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def finished(out_dir: Path, run: str) -> UnlearnResult | None:
    """The result of a training that was completed in `out_dir`, None if there is none.

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
        return UnlearnResult(
            adapter=out_dir / ADAPTER,
            curve=tuple(point_of(json.loads(line)) for line in lines),
            best_step=result["best_step"],
            stopped_by=result["stopped_by"],
        )


def progress_line(point: CurvePoint, steps: int) -> str:
    """One line for a person who waits."""
    warned = "".join(f"; {warning}" for warning in point.warnings)
    return (
        f"step {point.step} of {steps}, {point.seconds:.0f} s: validation gap {point.validation_gap:.4f} "
        f"(signed {point.validation_gap_signed:+.4f}), perplexity {point.perplexity:.2f}{warned}"
    )


def point_of(line: dict[str, Any]) -> CurvePoint:
    """The point that a line of curve.jsonl holds."""
    return CurvePoint(**{**line, "warnings": tuple(line["warnings"])})
