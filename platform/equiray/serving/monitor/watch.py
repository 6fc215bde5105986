"""`Watch`: all that is counted and bet on for one model version."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from equiray.serving.monitor.counts import Batch, Counts
from equiray.serving.monitor.folding import Decided, Seen, group_of
from equiray.serving.monitor.gates import GateCounts
from equiray.serving.monitor.kinds import KINDS, UNANSWERED, WATCHED
from equiray.serving.monitor.memory import Remembered
from equiray.serving.monitor.series import Series
from equiray.serving.monitor.settings import EVERYBODY, Settings
from equiray.serving.monitor.windows import Windows


class _Row(NamedTuple):
    group: int
    label: int
    decision: int
    seq: int
    group_then: int


class Watch:
    """Counts by attribute, series and gates of one model version, the `number`-th to be seen."""

    def __init__(self, settings: Settings, version: str, number: int) -> None:
        self.settings, self.version, self.number = settings, version, number
        self.attributes = watched_attributes(settings)
        self.counts = {
            name: Counts(most=settings.groups_at_most, known=settings.groups.get(name, ())) for name in self.attributes
        }
        self.series = [Series(bound=bound, alpha=settings.share(number)) for bound in settings.bounds]
        self.gates = {name: GateCounts(gate) for name, gate in settings.gates.items()}
        self.windows = Windows()
        self.decisions = self.outcomes = 0
        self.first_at = self.last_at = ""
        self._new: dict[bool, dict[str, list[_Row]]] = {}
        self._times: dict[int, str] = {}

    def decide(self, seq: int, at: str, one: Decided) -> Remembered:
        """Count a decision; it is bet on by `flush`."""
        self._heard(seq, at)
        self.decisions += 1
        codes = []
        for name in self.attributes:
            code = self.counts[name].code(group_of(name, one.attributes))
            codes.append(code)
            self._keep(labelled=False, name=name, row=_Row(code, 0, one.decision, seq, code))
        for name, gate in self.gates.items():
            group = group_of(name, one.attributes)
            if name in one.gates and group is not None:
                gate.add_decision(group, one.gates[name])
        self.windows.add(at, decided=1, selected=int(one.decision == 1))
        return Remembered(self.version, one.decision, codes, {k: v for k, v in one.gates.items() if k in self.gates})

    def settle(self, seq: int, at: str, of: Remembered, outcome: Seen) -> None:
        """Count the label of a decision; groups that came with it stand in for those that were missing."""
        assert outcome.label is not None
        self._heard(seq, at)
        self.outcomes += 1
        of.settled = True
        for name, then in zip(self.attributes, of.groups, strict=True):
            code = self.counts[name].code(group_of(name, outcome.attributes)) if then == 0 else then
            self._keep(labelled=True, name=name, row=_Row(code, outcome.label, of.decision, seq, then))
        for name, opened in of.gates.items():
            self._settle_gate(name, opened, of, outcome)
        self.windows.add(at, outcomes=1)

    def flush(self) -> Iterator[Series]:
        """Count and bet on what has come since the last call; the series whose alarm went off."""
        before = {id(series) for series in self.series if series.alarm is not None}
        for labelled, by_attribute in self._new.items():
            for name, rows in by_attribute.items():
                *columns, then = np.array(rows, np.int64).T
                batch, counts = Batch(*columns), self.counts[name]
                if labelled:
                    counts.add_outcomes(batch, then)
                else:
                    counts.add_decisions(batch)
                for series in self._bets_on(name, labelled):
                    series.take(counts, batch, self._times)
        self._new, self._times = {}, {}
        yield from (one for one in self.series if one.alarm is not None and id(one) not in before)

    def attribute_of(self, series: Series) -> str:
        return EVERYBODY if series.bound.attribute is None else series.bound.attribute

    def _bets_on(self, name: str, labelled: bool) -> Iterator[Series]:
        for series in self.series:
            kinds = [KINDS[kind] for kind in WATCHED[series.bound.metric].kinds]
            hidden = any(kind.selective for kind in kinds) and self.settings.outcomes_for == "accepted"
            if self.attribute_of(series) == name and kinds[0].labelled == labelled and not hidden:
                yield series

    def _settle_gate(self, name: str, opened: bool, of: Remembered, outcome: Seen) -> None:
        """A group that only came with the outcome counts where outcomes come whatever was decided."""
        then = self._group_then(name, of)
        group = then or group_of(name, outcome.attributes)
        if group is None or (then is None and self.settings.outcomes_for != "every"):
            return
        if then is None:
            self.gates[name].add_decision(group, opened)
        if of.decision != UNANSWERED:
            self.gates[name].add_outcome(group, opened, of.decision == outcome.label)

    def _group_then(self, name: str, of: Remembered) -> str | None:
        if name not in self.attributes or of.groups[self.attributes.index(name)] == 0:
            return None
        return self.counts[name].names[of.groups[self.attributes.index(name)]]

    def _keep(self, *, labelled: bool, name: str, row: _Row) -> None:
        self._new.setdefault(labelled, {}).setdefault(name, []).append(row)

    def _heard(self, seq: int, at: str) -> None:
        self.first_at, self.last_at = self.first_at or at, at
        self._times[seq] = at

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "number": self.number,
            "decisions": self.decisions,
            "outcomes": self.outcomes,
            "first_at": self.first_at,
            "last_at": self.last_at,
            "counts": {name: counts.to_json() for name, counts in self.counts.items()},
            "series": [series.to_json() for series in self.series],
            "gates": {name: gate.to_json() for name, gate in self.gates.items()},
            "windows": self.windows.to_json(),
        }

    @classmethod
    def from_json(cls, settings: Settings, document: Mapping[str, Any]) -> "Watch":
        watch = cls(settings, document["version"], document["number"])
        for name in ("decisions", "outcomes", "first_at", "last_at"):
            setattr(watch, name, document[name])
        most = settings.groups_at_most
        watch.counts = {
            name: Counts.from_json(most, settings.groups.get(name, ()), document["counts"][name])
            for name in watch.attributes
        }
        stored = zip(settings.bounds, document["series"], strict=True)
        watch.series = [Series.from_json(bound, settings.share(watch.number), one) for bound, one in stored]
        for name, gate in watch.gates.items():
            gate.restore(document["gates"][name])
        watch.windows = Windows.from_json(document["windows"])
        return watch


def watched_attributes(settings: Settings) -> tuple[str, ...]:
    """Those of the settings, those of gates, and `EVERYBODY` where a bound is over all rows."""
    over_all = (EVERYBODY,) if any(bound.attribute is None for bound in settings.bounds) else ()
    return tuple(dict.fromkeys((*settings.attributes, *settings.gates, *over_all)))
