"""`Figure`: a metric of a table, its value for each group or for the attribute, and its limits at any confidence."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.clusters import Resampling
from equiray.metrics.disparities import Disparity
from equiray.metrics.estimation.read import Read
from equiray.metrics.estimation.scored import rate_limits, score_limits, score_partial
from equiray.metrics.estimation.targeted import target_limits
from equiray.metrics.estimation.unknown import Known, counted, known
from equiray.metrics.intervals.equality import expected_at_equality
from equiray.metrics.intervals.limits import Interval
from equiray.metrics.intervals.simultaneous import projected, ratio_to_largest
from equiray.metrics.metric import Metric

_Array = NDArray[np.float64]
_COMPARE = ("max_difference", "sum", "mean", "ratio")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What one metric says about a table.

    `groups` are those it has a value for: all of them, or of a metric of the attribute one, None.
    """

    metric: Metric
    read: Read

    @property
    def groups(self) -> tuple[str | None, ...]:
        return (None,) if self.metric.scope == "attribute" else self.read.table.groups

    @cached_property
    def places(self) -> dict[str | None, int]:
        """Where each of `groups` stands."""
        return {group: place for place, group in enumerate(self.groups)}

    @cached_property
    def values(self) -> _Array:
        """One for each of `groups`, NaN where it is not estimable."""
        return np.atleast_1d(self.metric.of(self.read.table))

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Rows in the denominators of each of `groups`, all of an attribute's together."""
        rows = self.read.rows.sum(0)
        return rows.sum(keepdims=True) if self.metric.scope == "attribute" else rows

    @cached_property
    def rests_on(self) -> dict[str, int]:
        """Every group compared, and the rows in the smallest of its denominators."""
        return dict(zip(self.read.table.groups, self.read.rows.min(0).tolist(), strict=True))

    @cached_property
    def weightless(self) -> tuple[str, ...]:
        """Groups of which a denominator has rows, and all of them have weight 0."""
        none = self.read.weightless
        return tuple(
            group for group, weighs_nothing in zip(self.read.table.groups, none, strict=True) if weighs_nothing
        )

    @cached_property
    def partial(self) -> NDArray[np.bool_]:
        """Where rows that are left out could change the value, for each of `groups`."""
        groups = len(self.read.table.groups)
        if not groups:
            found = np.zeros(0, bool)
        elif self.metric.reads == "mass":
            found = np.any([each.partial.reshape(groups, -1).any(-1) for each in self._known], axis=0)
        elif self.metric.reads == "targets":
            found = np.full(groups, self.read.joining is not None)
        else:
            found = score_partial(self.read)
        return found if self.metric.scope == "group" else np.full(len(self.groups), found.any())

    def limits(self, confidence: float) -> Interval:
        """Two-sided limits for each of `groups`, each by itself; NaN where none are known.

        Where the figure is `partial` they hold whatever the rows are that it leaves out.
        """
        found = self._limits(confidence)
        there = ~np.isnan(self.values)
        return Interval(*(np.where(there, np.atleast_1d(limit), np.nan) for limit in found))

    def at_equality(self, resampling: Resampling) -> float:
        """What a difference or ratio over groups would be expected to be if all had one rate; NaN of anything else."""
        combined = self.metric.interval
        if self.metric.reads != "mass" or self.metric.scope != "attribute" or combined not in _COMPARE:
            return float("nan")
        mass = self.read.table.mass
        if mass is None or len(self.read.table.groups) < 2:
            return float("nan")
        disparity = Disparity(self.metric.rates, combined)
        return expected_at_equality(disparity.of_rates, [counted(rate, mass) for rate in disparity.rates], resampling)

    def _limits(self, confidence: float) -> Interval:
        compared = len(self.read.table.groups)
        alone = compared < 2 and self.metric.scope != "group" and self.metric.interval != "minimum"
        if not compared or alone:
            return Interval(*np.full((2, len(self.groups)), np.nan))
        if self.metric.reads == "targets":
            return target_limits(self.read, confidence)
        if self.metric.reads != "mass":
            return score_limits(self.read, confidence)
        if self.metric.interval == "rate":
            return rate_limits(self._known[0].of, confidence)
        if self.metric.scope == "relative":
            return ratio_to_largest(self._known[0].of, confidence)
        combined = self.metric.interval
        assert combined not in ("smooth", "bins", "none"), f"{self.metric.id} reads more than counts of decisions"
        return projected(combined, [each.of for each in self._known], confidence)

    @cached_property
    def _known(self) -> list[Known]:
        mass, joining = self.read.table.mass, self.read.joining
        assert mass is not None
        return [known(rate, mass, joining and joining.mass) for rate in self.metric.rates]
