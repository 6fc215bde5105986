"""`CountedEvidence`: what counts support, at any confidence and for any choice of groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from equiray.metrics.clusters import Resampling
from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation.figures import Figure
from equiray.metrics.estimation.records import Placed, Setting, figures_of, records
from equiray.metrics.estimation.shapes import without
from equiray.metrics.intervals.limits import Interval, Limits
from equiray.metrics.tables import GroupTable
from equiray.metrics.verdicts import NOT_ESTIMABLE, Unknown


@dataclass(frozen=True, kw_only=True)
class CountedEvidence:
    """The evidence (`verdicts.Evidence`) of one subject, from its counts: the tables of all its attributes."""

    tables: Sequence[GroupTable]
    setting: Setting

    @property
    def estimates(self) -> Sequence[Estimate]:
        """As `Evidence.estimates`."""
        return self._estimates

    def find(self, metric: str, attribute: str | None, group: str | None) -> Estimate | None:
        """As `Evidence.find`."""
        return self._index.get((metric, attribute, group))

    def limits(self, estimate: Estimate, confidence: float) -> Limits | Unknown:
        """As `Evidence.limits`: computed anew at that confidence."""
        key = (estimate.metric, estimate.attribute)
        figure = self._figures[key]
        if (*key, confidence) not in self._limits:
            self._limits[*key, confidence] = figure.limits(confidence)
        place = 0 if estimate.attribute is None else figure.places[estimate.group]
        low, high = (float(limit[place]) for limit in self._limits[*key, confidence])
        if np.isnan(low):
            open_end = (
                "rows that are left out could change it without bound" if figure.partial[place] else "none are known"
            )
            return Unknown(f"it has no limits: {open_end}")
        return Limits(low, high)

    def denominators(self, estimate: Estimate) -> Mapping[str, int]:
        """As `Evidence.denominators`."""
        if estimate.attribute is None:
            return {}
        figure = self._figures[estimate.metric, estimate.attribute]
        if figure.metric.scope == "group" and estimate.group is not None:
            return {estimate.group: figure.rests_on[estimate.group]}
        return figure.rests_on

    def why_missing(self, estimate: Estimate) -> str:
        """As `Evidence.why_missing`."""
        named = self.weightless(estimate)
        if not named:
            return NOT_ESTIMABLE
        return f"not estimable: all rows in a denominator have weight 0, of {', '.join(map(str, named[:5]))}"

    def weightless(self, estimate: Estimate) -> Sequence[str | None]:
        """The groups that leave an estimate without a value as all rows in a denominator have weight 0."""
        if estimate.value is not None or estimate.attribute is None:
            return ()
        figure = self._figures[estimate.metric, estimate.attribute]
        if figure.metric.scope != "group":
            return figure.weightless
        return [group for group in (estimate.group,) if group in figure.weightless]

    def rows(self, attribute: str) -> Mapping[str, int]:
        """As `Evidence.rows`."""
        table = self._tables[attribute]
        if table.targets is not None:
            found = table.targets.counted
        else:
            assert table.mass is not None
            found = table.mass.count.sum((-1, -2))
        return dict(zip(table.groups, found.tolist(), strict=True))

    def without(self, attribute: str, groups: frozenset[str]) -> "CountedEvidence":
        """As `Evidence.without`; of the attribute alone, for counts of others do not tell who was taken out."""
        if (attribute, groups) not in self._rest:
            self._rest.clear()
            table = without(self._tables[attribute], groups)
            self._rest[attribute, groups] = CountedEvidence(tables=(table,), setting=self.setting)
        return self._rest[attribute, groups]

    def at_equality(self, resampling: Resampling) -> dict[str, dict[str, float]]:
        """What each disparity of each attribute would be expected to be if its groups were alike (`equality`)."""
        found: dict[str, dict[str, float]] = {table.attribute: {} for table in self.tables}
        for (metric, attribute), figure in self._figures.items():
            expected = figure.at_equality(resampling)
            if attribute is not None and not np.isnan(expected):
                found[attribute][metric] = expected
        return found

    @cached_property
    def _tables(self) -> Mapping[str, GroupTable]:
        return {table.attribute: table for table in self.tables}

    @cached_property
    def _estimates(self) -> Sequence[Estimate]:
        placed = (Placed(attribute, figure) for (_, attribute), figure in self._figures.items())
        return [estimate for each in placed for estimate in records(each, self.setting)]

    @cached_property
    def _index(self) -> Mapping[tuple[str, str | None, str | None], Estimate]:
        return {(e.metric, e.attribute, e.group): e for e in self.estimates}

    @cached_property
    def _figures(self) -> Mapping[tuple[str, str | None], Figure]:
        placed = figures_of(self.tables, self.setting.positive)
        return {(figure.metric.id, attribute): figure for attribute, figure in placed}

    @cached_property
    def _limits(self) -> dict[tuple[str, str | None, float], Interval]:
        return {}

    @cached_property
    def _rest(self) -> dict[tuple[str, frozenset[str]], "CountedEvidence"]:
        return {}
