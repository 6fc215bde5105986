"""A linear axis with round ticks, in percent of its track, so that plots stretch without stretching their text."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Tick(NamedTuple):
    """`at` in percent of the track."""

    at: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An interval of values laid over a track of width 100 %."""

    low: float
    high: float
    step: float

    def at(self, value: float) -> float:
        """Where a value stands, in percent."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """The multiples of the step on the track."""
        # Decimals of the step, so that 0.25 does not read as 0.2.
        decimals = max(0, -math.floor(math.log10(self.step) + 1e-9))
        if round(self.step, decimals) != round(self.step, decimals + 1):
            decimals += 1
        first, last = math.ceil(self.low / self.step - 1e-9), math.floor(self.high / self.step + 1e-9)
        multiples = [i * self.step for i in range(first, last + 1)]
        return tuple(Tick(self.at(v), f"{v:.{decimals}f}".replace("-", "−")) for v in multiples)


def axis_over(values: Iterable[float], *, n_steps: int = 4, symmetric: bool = False) -> Axis:
    """An axis a little wider than `values`, with about `n_steps` round steps on it.

    `symmetric` centres it on 0. Without any value, or with all values equal, the axis still has a width.
    """
    finite = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if symmetric:
        high = max(abs(low), abs(high))
        low = -high
    if high - low < 1e-9:
        margin = abs(high) / 10 or 0.05
        low, high = low - margin, high + margin
    margin = 0.05 * (high - low)  # room for half a tick label at either end
    return Axis(low=low - margin, high=high + margin, step=_round_step((high - low) / n_steps))


def _round_step(raw: float) -> float:
    magnitude = 10 ** math.floor(math.log10(raw))
    return next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw - 1e-12)
