"""Figures of models that decide about rows by thresholds: of gates, or of a score.

Notable: a decision is a gate, too: one that opens where the score exceeds its threshold, and whose outputs are yes and
no. So every threshold of a score is swept by what sweeps the gates of FairNet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.data.schema import MISSING_GROUP
from equiray.metrics.estimation.score_changes import GroupedScores
from equiray.metrics.fronts import Replicated, nondominated
from equiray.metrics.intervals.limits import Interval
from equiray.mitigation.gating.at_once import differences_at_once, limits_at_once
from equiray.mitigation.gating.grid import sweep_at, sweep_grid
from equiray.mitigation.gating.outcomes import CLOSED, GatedOutcomes
from equiray.mitigation.gating.replicates import replicated_outcomes
from equiray.mitigation.gating.thresholds import Sweep, sweep
from equiray.runs.search.judged import Figures
from equiray.specs.sweep import SweepSpec

ECE = "ece"
_MOST_GROUPS = 2


@dataclass(frozen=True, kw_only=True)
class People:
    """Rows of one split: labels [N], and the groups that are compared."""

    split: str
    label: NDArray[np.int8]
    groups: tuple[GroupedScores, ...]


def as_it_is(people: People, score: NDArray[np.floating]) -> GatedOutcomes:
    """A model without gates: one that never opens changes nothing."""
    score = np.asarray(score, np.float32)
    never = np.full((len(score), 1), np.nan, np.float32)
    return _outcomes(people, ("none",), never, np.stack([score, score], axis=1))


def by_score(people: People, score: NDArray[np.floating]) -> GatedOutcomes:
    """Decisions by one threshold of a score."""
    rows = len(people.label)
    outputs = np.tile(np.array([0, 1], np.float32), (rows, 1))
    return _outcomes(people, ("score",), np.asarray(score, np.float32)[:, None], outputs)


def by_group(people: People, score: NDArray[np.floating], attribute: str) -> GatedOutcomes:
    """Decisions by a threshold of each group: its gate opens for nobody else."""
    grouped = next(each for each in people.groups if each.attribute == attribute)
    names = [name for name in grouped.groups if name != MISSING_GROUP]
    inside = grouped.code[:, None] == np.array([grouped.groups.index(name) for name in names])
    risk = np.where(inside, np.asarray(score, np.float32)[:, None], np.float32(np.nan))
    outputs = np.tile((np.arange(1 << len(names)) > 0).astype(np.float32), (len(score), 1))
    return _outcomes(people, tuple(names), risk, outputs)


def _outcomes(people: People, gates: tuple[str, ...], risk: NDArray, outputs: NDArray) -> GatedOutcomes:
    return GatedOutcomes(
        split=people.split,
        attributes=gates,
        label=people.label,
        groups=people.groups,
        risk=risk,
        probability=outputs,
        detector_layers=(0,) * len(gates),
        adapter_first_layers=(0,) * len(gates),
    )


def swept(outcomes: GatedOutcomes, attribute: str, fewest_rows: int = 1) -> Sweep:
    """Every threshold of one gate, a grid of those of several."""
    return (sweep if len(outcomes.attributes) == 1 else sweep_grid)(outcomes, attribute, fewest_rows=fewest_rows)


def figures_of_sweep(spec: SweepSpec, outcomes: GatedOutcomes, attribute: str) -> tuple[Figures, NDArray[np.float64]]:
    """Figures at every threshold, and these [T, A]; at quantiles of the risk where calibration is asked for, too."""
    if ECE not in {each.metric for each in (*spec.objectives, *spec.constraints)}:
        of = swept(outcomes, attribute)
        return of.figures, of.thresholds.astype(np.float64)
    of = sweep_grid(outcomes, attribute)
    error = _calibration_error([(outcomes, taus) for taus in of.thresholds], attribute)
    return {**of.figures, ECE: error}, of.thresholds.astype(np.float64)


def figures_at(outcomes: GatedOutcomes, thresholds: Sequence[float], attribute: str) -> dict[str, float]:
    """Every figure under thresholds [A]."""
    error = _calibration_error([(outcomes, thresholds)], attribute)
    return {**sweep_at(outcomes, attribute, [thresholds]).at(0), ECE: float(error[0])}


def _calibration_error(points: Sequence[tuple[GatedOutcomes, ArrayLike]], attribute: str) -> NDArray[np.float64]:
    return replicated_outcomes(points, attribute, (ECE,), 2, seed=0).values[:, 0]


def replicated(
    spec: SweepSpec, points: Sequence[tuple[GatedOutcomes, Sequence[float]]], attribute: str, metrics: Sequence[str]
) -> Replicated:
    """Figures of points, and in joint resamples of their rows."""
    return replicated_outcomes(points, attribute, metrics, spec.statistics.replicates, spec.seed)


def limits_of_points(
    points: Sequence[tuple[GatedOutcomes, Sequence[float]]],
    attribute: str,
    metrics: Sequence[str],
    of: Replicated,
    confidence: float,
    pairs: Sequence[tuple[int, int]] | None,
) -> Interval:
    """Limits of points, or of the differences of pairs of them, that hold at once."""
    if pairs is None:
        return limits_at_once(points, attribute, metrics, of, confidence)
    return differences_at_once(pairs, points, attribute, metrics, of, confidence)


def shut(outcomes: GatedOutcomes) -> tuple[float, ...]:
    """Thresholds that keep every gate shut."""
    return (float(CLOSED),) * len(outcomes.attributes)


def group_frontier(
    spec: SweepSpec, people: Mapping[str, People], score: Mapping[str, NDArray[np.floating]], attribute: str
) -> Mapping[str, Any] | None:
    """What a threshold for each group on the base's scores reaches, both by split.

    Chosen on validation rows, read on test rows; None for more than two groups, or other objectives than of decisions.
    """
    metrics = [each.metric for each in spec.objectives]
    validation, test = (by_group(people[split], score[split], attribute) for split in ("validation", "test"))
    known = sweep_grid(validation, attribute).figures if len(validation.attributes) <= _MOST_GROUPS else {}
    if not all(metric in known for metric in metrics):
        return None
    values = np.column_stack([known[metric] for metric in metrics])
    kept = np.flatnonzero(nondominated(values, spec.directions))
    thresholds = sweep_grid(validation, attribute).thresholds[kept]
    read = sweep_at(test, attribute, thresholds).figures
    rows = zip(*(read[metric].tolist() for metric in metrics), strict=True)
    return {
        "title": "a threshold for each group on the base's scores",
        "points": [dict(zip(metrics, row, strict=True)) for row in rows],
    }
