"""Evidence that tests can see through: groups with counts of selected, other and unanswered rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from equiray.metrics.estimates import Estimate
from equiray.metrics.intervals import binomial
from equiray.metrics.intervals.limits import Counted, Limits
from equiray.metrics.intervals.simultaneous import largest_difference
from equiray.metrics.verdicts import NOT_ESTIMABLE, Claim, Unknown


class Proportion(NamedTuple):
    """`events` out of `trials`."""

    events: int
    trials: int

    @property
    def rate(self) -> float:
        return self.events / self.trials if self.trials else float("nan")


def wilson(of: Proportion, confidence: float) -> Limits:
    return Limits(*map(float, binomial.wilson(*of, confidence)))


def estimate(metric: str, value: float | None, n: int, **more) -> Estimate:
    record = {
        "task": "loans",
        "stage": "audit",
        "model": "m",
        "attribute": "sex",
        "group": None,
        "low": None,
        "high": None,
        "confidence": 0.95,
        "status": "not_estimable" if value is None else "estimated",
        "direction": "lower",
    }
    return Estimate(**{**record, "metric": metric, "value": value, "n": n, **more})


@dataclass(frozen=True)
class Selections:
    """Selection rates and their largest difference, from counts; `unanswered` rows may have been decided either way."""

    groups: Mapping[str, Proportion]
    unanswered: Mapping[str, int]

    @property
    def estimates(self) -> Sequence[Estimate]:
        rates = [
            estimate(
                "selection_rate",
                p.rate if p.trials else None,
                p.trials,
                group=name,
                direction="none",
                status=self._status(p.trials > 0, name),
            )
            for name, p in self.groups.items()
        ]
        known = [p.rate for p in self.groups.values() if p.trials]
        whole = max(known) - min(known) if len(known) == len(self.groups) > 1 else None
        rows = sum(p.trials for p in self.groups.values())
        status = self._status(whole is not None, *self.groups)
        return [*rates, estimate("demographic_parity_difference", whole, rows, status=status)]

    def _status(self, estimable: bool, *groups: str) -> str:
        if not estimable:
            return "not_estimable"
        return "partial" if any(self.unanswered.get(group) for group in groups) else "estimated"

    def find(self, metric: str, attribute: str | None, group: str | None) -> Estimate | None:
        found = [e for e in self.estimates if (e.metric, e.attribute, e.group) == (metric, attribute, group)]
        return found[0] if found else None

    def limits(self, estimate: Estimate, confidence: float) -> Limits | Unknown:
        if estimate.group is not None:
            lowest, highest = self._completed(estimate.group)
            return Limits(wilson(lowest, confidence).low, wilson(highest, confidence).high)
        assert not any(self.unanswered.values())
        counted = Counted(*np.array(list(self.groups.values())).T)
        return Limits(*map(float, largest_difference([counted], confidence)))

    def _completed(self, group: str) -> tuple[Proportion, Proportion]:
        (events, trials), missing = self.groups[group], self.unanswered.get(group, 0)
        return Proportion(events, trials + missing), Proportion(events + missing, trials + missing)

    def why_missing(self, estimate: Estimate) -> str:
        return NOT_ESTIMABLE

    def denominators(self, estimate: Estimate) -> Mapping[str, int]:
        named = self.groups if estimate.group is None else [estimate.group]
        return {name: self.groups[name].trials for name in named}

    def rows(self, attribute: str) -> Mapping[str, int]:
        return {name: p.trials for name, p in self.groups.items()}

    def without(self, attribute: str, groups: frozenset[str]) -> "Selections":
        kept = {name: p for name, p in self.groups.items() if name not in groups}
        return Selections(kept, self.unanswered)


def selections(unanswered: Mapping[str, int] | None = None, **groups: tuple[int, int]) -> Selections:
    return Selections({name: Proportion(*counts) for name, counts in groups.items()}, unanswered or {})


def claim(evidence: Selections, metric: str, group: str | None = None, **bound) -> Claim:
    side, value = next((key, bound.pop(key)) for key in ("max", "min") if key in bound)
    found = evidence.find(metric, "sex", group) or Unknown("not there")
    more = {"min_n": 30, **bound}
    return Claim(
        metric=metric, attribute="sex", group=group, side=side, bound=value, found=found, evidence=evidence, **more
    )
