"""How long a training lasts and how fast it moves: linear warm-up, then a cosine to 0, over steps or seconds."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch

GRADIENT_NORM = 1.0
"""Gradients are scaled down to this norm."""


@dataclass(kw_only=True)
class Stopwatch:
    """Seconds of a training over all its resumed parts."""

    spent: float = 0.0
    resumed_at: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Seconds so far."""
        return self.spent + time.monotonic() - self.resumed_at

    def resume(self, spent: float) -> None:
        """Go on where an earlier part stopped."""
        self.spent, self.resumed_at = spent, time.monotonic()


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Steps, an optional time budget in seconds, and the learning rate over them."""

    learning_rate: float
    warmup_steps: int
    steps: int
    time_budget_s: float | None

    def progress(self, step: int, seconds: float) -> float:
        """Share of the steps, or of the time budget where that is further."""
        return max(step / self.steps, seconds / self.time_budget_s if self.time_budget_s else 0.0)

    def rate(self, step: int, seconds: float) -> float:
        """Learning rate of a step, counted from 0."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return self.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress(step, seconds))))

    def stopped_by(self, step: int) -> str:
        """What ended a training that made so many steps: ``steps`` or ``time budget`` (a short run)."""
        return "steps" if step >= self.steps else "time budget"


def update(optimizer: torch.optim.Optimizer, parameters: Iterable[torch.nn.Parameter], rate: float) -> None:
    """One step down the gradients that were computed, their norm bounded; they are gone afterwards."""
    optimizer.param_groups[0]["lr"] = rate
    torch.nn.utils.clip_grad_norm_(parameters, GRADIENT_NORM)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
