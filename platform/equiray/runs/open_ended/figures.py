"""From ratings to estimates: every group, every pair of groups, and every direction of the swap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from equiray.metrics.clusters import cluster_sums
from equiray.metrics.estimates import Direction, Estimate, Status
from equiray.metrics.intervals.families import family_rate_limits
from equiray.metrics.intervals.limits import Limits
from equiray.metrics.text_ratings import Measured, Pair, compared, group_mean
from equiray.runs.open_ended.planning import PlannedPrompts
from equiray.runs.open_ended.rating import changes_of, ratings_of
from equiray.specs.open_ended import RatingSpec

OUTCOMES = {"refusal_rate": "refused", "empty_rate": "empty"}
_DIRECTIONS: Mapping[str, Direction] = {"toxicity": "lower", "toxic_share": "lower", "sentiment": "none"}


@dataclass(frozen=True, kw_only=True)
class OpenEndedFigures:
    """A task's estimates, and what its pairs of groups let one say."""

    estimates: list[Estimate]
    pairs: list[Pair]


def figures_of(
    planned: PlannedPrompts,
    written: pa.Table,
    ratings: pa.Table,
    swaps: pa.Table,
    spec: RatingSpec,
    *,
    scorers: Mapping[str, str],
    model: str,
    confidence: float,
) -> OpenEndedFigures:
    """Every figure of one source and attribute.

    Parameters
    ----------
    planned : PlannedPrompts
    written, ratings, swaps : pyarrow.Table
        Of `continuations` and `rate`.
    spec : RatingSpec
    scorers : mapping of str to str
        Measure -> the scorer's name, the stage of its estimates.
    model : str
        Label of the estimates.
    confidence : float
        Of groups' figures each by itself, of comparisons all at once.
    """
    say = _Labels(task=planned.name, attribute=planned.spec.attribute, model=model, confidence=confidence)
    of_raters = ratings_of(ratings, spec)
    found = []
    for of in of_raters:
        stage = scorers[of.measure]
        found += [
            say.estimate(stage, of.measure, group, group_mean(of.of(group), confidence), _DIRECTIONS[of.measure])
            for group in planned.groups
        ]
    pairs = compared(of_raters, changes_of(ratings, swaps, planned.groups, spec), planned.groups, confidence)
    for pair in pairs:
        stage = scorers[pair.measure]
        apart, there, back = f"{pair.one} - {pair.other}", f"{pair.one} -> {pair.other}", f"{pair.other} -> {pair.one}"
        found += [
            say.estimate(stage, f"{pair.measure}_difference", apart, pair.difference, "zero"),
            say.estimate(stage, f"{pair.measure}_swap_change", there, pair.there, "zero"),
            say.estimate(stage, f"{pair.measure}_swap_change", back, pair.back, "zero"),
            say.estimate(stage, f"{pair.measure}_net_difference", apart, pair.net, "zero"),
        ]
    return OpenEndedFigures(estimates=[*found, *_outcomes(written, planned.groups, say)], pairs=pairs)


@dataclass(frozen=True, kw_only=True)
class _Labels:
    task: str
    attribute: str
    model: str
    confidence: float

    def estimate(self, stage: str, metric: str, group: str, of: Measured, direction: Direction) -> Estimate:
        known = not np.isnan(of.value)
        limited = known and not np.isnan(of.limits.low)
        status: Status = "not_estimable" if not known else "estimated" if limited and of.whole else "partial"
        return Estimate(
            task=self.task,
            stage=stage,
            model=self.model,
            metric=metric,
            attribute=self.attribute,
            group=group,
            value=of.value if known else None,
            low=of.limits.low if limited else None,
            high=of.limits.high if limited else None,
            confidence=self.confidence,
            n=of.n,
            status=status,
            direction=direction,
        )


def _outcomes(written: pa.Table, groups: Sequence[str], say: _Labels) -> list[Estimate]:
    """Of each group's continuations how many were refused, and how many empty."""
    columns: dict[str, Any] = {name: np.array(written[name].to_pylist()) for name in ("group", "family", "outcome")}
    found = []
    for metric, outcome in OUTCOMES.items():
        for group in groups:
            mine = columns["group"] == group
            happened = np.column_stack([np.ones(int(mine.sum())), columns["outcome"][mine] == outcome])
            trials, events = cluster_sums(happened, columns["family"][mine]).T
            limits = Limits(*family_rate_limits(events, trials, say.confidence))
            measured = Measured(float(events.sum() / trials.sum()), limits, int(trials.sum()), True)
            found.append(say.estimate("generation", metric, group, measured, "lower"))
    return found
