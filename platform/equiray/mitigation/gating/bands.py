"""Figures of one gate at 200 thresholds with their limits, and the calibration of each group.

Notable: values and limits come from the same counts by the engine that all estimates have (`intervals.simultaneous`).
The limits of one threshold hold for all its groups at once, but each threshold's by themselves: they are those of a
threshold that was chosen elsewhere. For all T thresholds at once ask for a confidence of 1 - (1 - c) / T (Bonferroni).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.calibration import ece
from equiray.metrics.counting.scores import bin_of, on_grid
from equiray.metrics.estimation.unknown import known
from equiray.metrics.intervals.curves import normal_quantile, single_limits
from equiray.metrics.intervals.limits import Completed, Counted, Interval
from equiray.metrics.intervals.scores import ece_interval
from equiray.metrics.intervals.simultaneous import projected
from equiray.metrics.rates import ACCURACY, Rate
from equiray.metrics.tables import CALIBRATION_BINS, UNANSWERED, Mass, ScoreSums
from equiray.mitigation.gating.grid import POINTS, counted_on_grid, opened_by, quantile_thresholds
from equiray.mitigation.gating.outcomes import GatedOutcomes
from equiray.mitigation.gating.thresholds import DISPARITIES, Cells, Masses, Sweep, check_one_gate, collect

_Array = NDArray[np.float64]
_MEAN, _SUM = "equalized_odds_difference_mean", "equalized_odds_difference_sum"  # one claim, whose limits take long


@dataclass(frozen=True, kw_only=True, eq=False)
class Band:
    """Figures at T thresholds with two-sided limits.

    Attributes
    ----------
    sweep : Sweep
        The values, [T].
    confidence : float
        Of each threshold's limits, over its groups.
    limits : mapping of metric id to Interval of [T]
        Of all `Sweep.figures`; they allow for whatever group the rows of no known group belong to.
    groups : tuple of str
        G groups, those without a known one last.
    ece, ece_limits : [T, G], Interval of [T, G]
        Expected calibration error of each group over ten bins; the limits hold for all groups at once.
    """

    sweep: Sweep
    confidence: float
    limits: Mapping[str, Interval]
    groups: tuple[str, ...]
    ece: _Array
    ece_limits: Interval


def band(outcomes: GatedOutcomes, attribute: str, confidence: float, *, points: int = POINTS[1]) -> Band:
    """Values and limits at quantiles of the risk (`grid.quantile_thresholds`).

    Raises
    ------
    BadInput
        There are several gates, or no groups of that attribute.
    """
    check_one_gate(outcomes)
    cells = Cells.of(outcomes, attribute)
    axis = quantile_thresholds(outcomes.risk[:, 0], points)
    opened = opened_by(outcomes.risk, [axis])
    masses = counted_on_grid(outcomes, cells, [axis], opened)
    found = collect(outcomes, attribute, cells, iter([masses]), 1)
    limited = [metric for metric in found.figures if metric != _MEAN]
    limits = {metric: limits_of(metric, masses, cells, confidence) for metric in limited}
    limits[_MEAN] = Interval(*(limit / len(DISPARITIES[_MEAN].rates) for limit in limits[_SUM]))
    sums, groups = _score_sums(outcomes, cells, opened[:, 0], len(axis)), len(cells.groups)
    return Band(
        sweep=found,
        confidence=confidence,
        limits=limits,
        groups=cells.groups,
        ece=ece(sums),
        ece_limits=ece_interval(sums, 1 - (1 - confidence) / groups),
    )


def limits_of(metric: str, masses: Masses, cells: Cells, confidence: float) -> Interval:
    """Limits [T] of accuracy, the activation rate or one of `DISPARITIES` at each of T thresholds by itself."""
    mass, z = masses.mass, normal_quantile(confidence)
    if metric == "accuracy":
        found, there = single_limits(_counted(ACCURACY, mass.sum(1, keepdims=True)), z), True
    elif metric == "activation_rate":
        found, there = single_limits(Counted(masses.opened[:, None], cells.rows.sum()), z), True
    else:
        disparity = DISPARITIES[metric]
        there = ~np.isnan(disparity.of(mass[:, : cells.compared]))
        if not there.any():
            return Interval(*np.full((2, len(mass)), np.nan))
        found = projected(disparity.combined, [_rate(rate, mass, cells) for rate in disparity.rates], confidence)
    return Interval(*(np.where(there, np.reshape(limit, -1), np.nan) for limit in found))


def _rate(rate: Rate, mass: NDArray[np.int64], cells: Cells) -> Counted | Completed:
    """Of the compared groups [T, G], as far as it can be known."""
    if cells.compared == len(cells.groups):
        return _counted(rate, mass)
    answered = np.pad(mass, [(0, 0), (0, 0), (0, 0), (0, len(UNANSWERED))])  # every row is decided
    people, joining = np.split(answered, [cells.compared], axis=1)
    ends = [known(rate, Mass(one), Mass(other)).of for one, other in zip(people, joining, strict=True)]
    return Completed(
        *(Counted(*(np.stack(part) for part in zip(*(_end(of, side) for of in ends), strict=True))) for side in (0, 1))
    )


def _end(of: Counted | Completed, side: int) -> Counted:
    return of[side] if isinstance(of, Completed) else of


def _counted(rate: Rate, mass: NDArray[np.int64]) -> Counted:
    return Counted(rate.events(mass), rate.trials(mass))


def _score_sums(outcomes: GatedOutcomes, cells: Cells, opened: NDArray[np.int64], thresholds: int) -> ScoreSums:
    """Sums of the scores at each threshold, [T, G, 2, B], from those at each place among the thresholds."""
    shape = (thresholds + 1, len(cells.groups), 2, CALIBRATION_BINS)
    totals = np.zeros((3, thresholds, *shape[1:]))
    for gate_open, probability in enumerate(outcomes.probability.T):
        score = probability.astype(np.float64)
        key = (opened * cells.rows.size + cells.code) * CALIBRATION_BINS + bin_of(on_grid(score))
        for total, weight in zip(totals, (None, score, score * score), strict=True):
            shut = np.bincount(key, weight, minlength=math.prod(shape)).reshape(shape)
            # a row at place b has its gate open at thresholds 0 to b - 1
            total += shut[::-1].cumsum(0)[-2::-1] if gate_open else shut.cumsum(0)[:-1]
    return ScoreSums(*totals)
