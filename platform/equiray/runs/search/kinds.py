"""What the kinds of sweeps have in common, as the run sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from equiray.metrics.fronts import Replicated
from equiray.runs.search.points import Arrays, Point
from equiray.search.study import Study


@dataclass(frozen=True, kw_only=True)
class About:
    """What a sweep is about, for its report.

    `rows` are those of each split: people, or prompts. `unit` is what is resampled.
    """

    title: str
    attribute: str | None
    rows: Mapping[str, int]
    unit: str
    source: str
    source_sha256: str
    licence: str | None
    warnings: tuple[str, ...] = ()


class Planned(Protocol):
    """A sweep whose inputs are read and whose base is measured."""

    @property
    def study(self) -> Study: ...

    @property
    def about(self) -> About: ...

    @property
    def base(self) -> Mapping[str, float]:
        """Figures of the unmitigated model on validation rows."""
        ...

    def validation(self, point: Point) -> Mapping[str, float]:
        """A point's figures on validation rows, read anew."""
        ...

    def replicated(self, metrics: Sequence[str], points: Sequence[Point], arrays: Mapping[int, Arrays]) -> Replicated:
        """Figures of points [P] on test rows, and of joint resamples of these rows, by metric [M].

        `arrays` by trial; `BASE` is the unmitigated model.
        """
        ...

    def frontier(self) -> Mapping[str, Any] | None:
        """What thresholds for each group reach on the base's scores of the test rows, as ``search.json`` has it."""
        ...
