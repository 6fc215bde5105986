"""What the kinds of sweeps have in common, as the run sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from equiray.metrics.fronts import Replicated
from equiray.metrics.intervals.limits import Interval
from equiray.runs.search.points import Arrays, Point
from equiray.search.study import Study

_OF_NO_GROUPS = ("accuracy", "perplexity_ratio", "ece")


@dataclass(frozen=True, kw_only=True)
class About:
    """What a sweep is about, for its report.

    `rows` are those of each split: people, or prompts. `unit` is what is resampled. `others` names the attributes that
    some metrics compare in place of `attribute`.
    """

    title: str
    attribute: str | None
    rows: Mapping[str, int]
    unit: str
    source: str
    source_sha256: str
    licence: str | None
    warnings: tuple[str, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)

    def attribute_of(self, metric: str) -> str | None:
        """The attribute whose groups a metric compares; None of one that compares none."""
        return None if metric in _OF_NO_GROUPS else self.others.get(metric, self.attribute)


class Planned(Protocol):
    """A sweep whose inputs are read and whose base is measured; `arrays` are what models said, by trial or `BASE`."""

    @property
    def study(self) -> Study: ...

    @property
    def about(self) -> About: ...

    @property
    def base(self) -> Mapping[str, float]:
        """Figures of the unmitigated model on validation rows."""
        ...

    @property
    def gates(self) -> tuple[str, ...]:
        """Names of the settings that cost no trial."""
        ...

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is reported of every point with limits: the objectives first."""
        ...

    def usual(self, arrays: Arrays) -> tuple[float, ...]:
        """The free settings that a trial gets without a sweep, from what its model said of validation rows."""
        ...

    def figures(self, split: str, points: Sequence[Point], arrays: Mapping[int, Arrays]) -> list[dict[str, float]]:
        """Figures of points on a split's rows."""
        ...

    def replicated(self, points: Sequence[Point], arrays: Mapping[int, Arrays]) -> Replicated:
        """`metrics` of points on test rows, and on joint resamples of these."""
        ...

    def limits(
        self,
        points: Sequence[Point],
        arrays: Mapping[int, Arrays],
        replicated: Replicated,
        confidence: float,
        pairs: Sequence[tuple[int, int]] | None = None,
    ) -> Interval:
        """Limits [P, M] of what is `replicated` of points, all of which hold at once.

        With `pairs`, of differences: one point less another.
        """
        ...

    def frontier(self, arrays: Mapping[str, Mapping[int, Arrays]]) -> Mapping[str, Any] | None:
        """What the base reaches with thresholds for each group, chosen on validation rows, by split of `arrays`."""
        ...
