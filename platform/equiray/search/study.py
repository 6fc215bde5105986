"""What the search knows of a trial, and what it asks of whoever runs one."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

Origin = Literal["known", "start", "suggested", "grid"]
"""Named in the spec; drawn before anything was learned; suggested from what was; a place of a grid."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Settings that are tried: `settings` holds what differs from the spec that is searched around."""

    number: int
    origin: Origin
    settings: Mapping[str, Any]
    name: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The record."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a whole trial left, on validation rows.

    Attributes
    ----------
    values : sequence of sequences of float, [K, M]
        Its own front: the objectives at the settings that cost no trial, thresholds for one, with every constraint
        kept; empty where no point keeps them.
    free : sequence of sequences of float, [K, A]
        Those settings, of each point; [K, 0] where there are none.
    best : mapping of metric to float
        Figures of one point, constraints' metrics among them: the one that covers most hypervolume by itself, or,
        where none is feasible, the one nearest to it.
    broken : mapping of constraint to float
        By how much that point breaks each constraint that it breaks.
    """

    values: Sequence[Sequence[float]]
    free: Sequence[Sequence[float]]
    best: Mapping[str, float]
    broken: Mapping[str, float]

    @property
    def feasible(self) -> bool:
        """Whether some point keeps every constraint."""
        return not self.broken

    def to_json(self) -> dict[str, Any]:
        """The record; JSON has neither infinity nor NaN."""
        return {
            "values": [list(map(float, point)) for point in self.values],
            "free": [[_written(setting) for setting in point] for point in self.free],
            "best": written(self.best),
            "broken": written(self.broken),
        }

    @classmethod
    def of_json(cls, record: Mapping[str, Any]) -> "Outcome":
        """Read `to_json`'s record."""
        return cls(
            values=record["values"],
            free=[[float(setting) for setting in point] for point in record["free"]],
            best=read(record["best"]),
            broken=read(record["broken"]),
        )


def written(figures: Mapping[str, float]) -> dict[str, float | str]:
    """Figures as JSON has them."""
    return {name: _written(value) for name, value in figures.items()}


def read(figures: Mapping[str, float | str]) -> dict[str, float]:
    """Figures that `written` wrote."""
    return {name: float(value) for name, value in figures.items()}


def _written(value: float) -> float | str:
    return float(value) if math.isfinite(value) else str(value)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where an unfinished trial stands after `step` of `steps`: figures that may still change."""

    step: int
    steps: int
    figures: Mapping[str, float]


class Worker(Protocol):
    """What one process keeps between trials: weights, states, tokenised data."""

    def run(self, trial: Trial) -> Iterator[Progress | Outcome]:
        """Say how it goes; the outcome comes last. A trial that was finished before gives its outcome at once.

        Closing the iterator ends the trial.
        """
        ...


class Study(Protocol):
    """What is sent to every process that runs trials; arrays in it are shared through Ray's object store."""

    @property
    def shared_bytes(self) -> int:
        """What its arrays take of the object store."""
        ...

    def worker(self) -> Worker:
        """Called once in each process."""
        ...
