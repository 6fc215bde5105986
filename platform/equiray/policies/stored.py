"""`StoredEvidence`: what a results.json supports by itself, without the counts it was computed from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from equiray.metrics.estimates import Estimate
from equiray.metrics.intervals.limits import Limits
from equiray.metrics.tables import MISSING
from equiray.metrics.verdicts import NOT_ESTIMABLE, Unknown

# The rates whose denominators a comparison of groups rests on, as they are stored for each group; a denominator of
# positives is that of `tpr`, one of negatives that of `fpr`.
_RATES = {
    "demographic_parity_difference": ("selection_rate",),
    "disparate_impact_ratio": ("selection_rate",),
    "impact_ratio": ("selection_rate",),
    "scoring_impact_ratio": ("scoring_rate",),
    "mean_score_difference": ("selection_rate",),
    "equalized_odds_difference_max": ("tpr", "fpr"),
    "equalized_odds_difference_mean": ("tpr", "fpr"),
    "equalized_odds_difference_sum": ("tpr", "fpr"),
    "equal_opportunity_difference": ("tpr",),
    "fnr_difference": ("tpr",),
    "fpr_difference": ("fpr",),
    "predictive_parity_difference": ("ppv",),
    "accuracy_parity_difference": ("accuracy",),
    "worst_group_accuracy_groups": ("accuracy",),
    "worst_group_accuracy_cells": ("tpr", "fpr"),
}
_OVER_ALL_ROWS = ("selection_rate", "accuracy")
_COUNTS_TELL = "`equiray audit` of the predictions keeps the counts that tell"


@dataclass(frozen=True, kw_only=True)
class StoredEvidence:
    """The estimates of one subject, with the limits that were stored and no others.

    Limits stored at the usual 95 % are not simultaneous: they carry a family of one claim at alpha .05, and no larger
    one. Nothing is rescaled, for the limits of a largest difference or a ratio scale with no known law; what the
    stored confidence cannot support stays unknown, with the confidence that would.
    """

    estimates: Sequence[Estimate]

    def limits(self, estimate: Estimate, confidence: float) -> Limits | Unknown:
        """The stored limits if they hold at `confidence`."""
        if estimate.status == "partial":
            return Unknown(
                f"partial: some rows have no answer or no group, and what they may be cannot be bounded without the "
                f"counts; {_COUNTS_TELL}"
            )
        if estimate.low is None or estimate.high is None:
            return Unknown(f"no limits are stored; {_COUNTS_TELL}")
        if estimate.confidence < confidence - 1e-12:
            wanted = math.ceil(confidence * 1e6) / 1e6
            return Unknown(
                f"the limits {estimate.low:.4g} to {estimate.high:.4g} are stored at {estimate.confidence:.4%} "
                f"confidence, and all claims of the policy together need {wanted:.4%}; {_COUNTS_TELL}, and so "
                f"does a run with statistics.confidence={wanted:.6g}"
            )
        return Limits(estimate.low, estimate.high)

    def find(self, metric: str, attribute: str | None, group: str | None) -> Estimate | None:
        """As `Evidence.find`."""
        return self._index.get((metric, attribute, group))

    def denominators(self, estimate: Estimate) -> Mapping[str, int] | Unknown:
        """As `Evidence.denominators`, from the n of the stored rates of each group."""
        if estimate.metric not in _RATES or estimate.attribute is None:
            return {} if estimate.group is None else {estimate.group: estimate.n}
        found = self._smallest(_RATES[estimate.metric], estimate.attribute)
        return found or Unknown(f"how many rows its groups have is not stored; {_COUNTS_TELL}")

    def why_missing(self, estimate: Estimate) -> str:
        """As `Evidence.why_missing`."""
        return NOT_ESTIMABLE

    def rows(self, attribute: str) -> Mapping[str, int]:
        """As `Evidence.rows`."""
        for rate in _OVER_ALL_ROWS:
            if found := self._groups.get((rate, attribute)):
                return found
        return {}

    def without(self, attribute: str, groups: frozenset[str]) -> Unknown:
        """Never possible: stored figures compare all groups."""
        return Unknown(
            f"the stored figure compares all groups, {', '.join(sorted(groups)[:5])} among them; {_COUNTS_TELL}"
        )

    def _smallest(self, rates: tuple[str, ...], attribute: str) -> Mapping[str, int]:
        if (rates, attribute) not in self._denominators:
            stored = [self._groups.get((rate, attribute), {}) for rate in rates]
            known = set().union(*stored) - {MISSING} if all(stored) else set()
            smallest = {group: min(of.get(group, 0) for of in stored) for group in sorted(known)}
            self._denominators[rates, attribute] = smallest
        return self._denominators[rates, attribute]

    @cached_property
    def _denominators(self) -> dict[tuple[tuple[str, ...], str], Mapping[str, int]]:
        return {}

    @cached_property
    def _index(self) -> Mapping[tuple[str, str | None, str | None], Estimate]:
        return {(e.metric, e.attribute, e.group): e for e in self.estimates}

    @cached_property
    def _groups(self) -> Mapping[tuple[str, str], Mapping[str, int]]:
        """Rows in the denominator, by metric and attribute, then group."""
        found: dict[tuple[str, str], dict[str, int]] = {}
        for e in self.estimates:
            if e.attribute is not None and e.group is not None:
                found.setdefault((e.metric, e.attribute), {})[e.group] = e.n
        return found
