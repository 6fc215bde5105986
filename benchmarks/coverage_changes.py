"""Samples of two models' scores, or real-valued predictions, of the same rows: how figures that are not rates change.

Of a mean over rows the rows' own differences are known; of what is none, each model by itself at half the error
(`estimation.comparison`).
"""

from functools import partial

import numpy as np
from coverage_cells import CONFIDENCE, Array, Cell, Figures, Found, at, drawn, expected, group_figures
from coverage_scored import GRID, score_law, score_table, sums_of
from coverage_targets import target_table, unweighted
from numpy.typing import NDArray
from scipy import stats

from equiray.metrics.catalogue import METRICS
from equiray.metrics.estimation.comparison import mean_change
from equiray.metrics.intervals.limits import Interval, Moments, mean
from equiray.metrics.intervals.scores import placements, score_moments
from equiray.metrics.intervals.shifts import Shifts, area_interval
from equiray.metrics.intervals.simultaneous import largest_difference
from equiray.metrics.tables import ScoreCounts, TargetSums

HALF = (1 + CONFIDENCE) / 2
_STEPS = np.arange(len(GRID))
MOVES = np.stack([_STEPS, _STEPS - _STEPS // 5, _STEPS + (100 - _STEPS) // 5])
"""Where each score goes under the second model, [3, S]: nowhere, a fifth of the way down, or up."""


def paired_scores(cell: Cell, generator: np.random.Generator, simulations: int) -> Figures:
    """The second model moves a share `rate` of the scores, three out of four of these down."""
    chances = np.array([1 - cell.rate, 0.75 * cell.rate, 0.25 * cell.rate])
    law = score_law(cell)[..., None] * chances
    counts, true = drawn(cell.sizes, law, generator, simulations), expected(cell.sizes, law)
    moved = GRID[MOVES].T  # [S, 3]
    label = np.array([0, 1])[:, None, None]
    changes = {"mean_score": (moved - GRID[:, None]) + 0 * label}
    changes["brier"] = (moved - label) ** 2 - (GRID[:, None] - label) ** 2
    for metric, values in changes.items():
        sums = shift_sums(*(_added(counts, each) for each in (values**0, values, np.abs(values), values**2)))
        truth = _added(true, values) / np.array(cell.sizes)
        for place in (0, 1):
            yield f"change of {metric}", partial(_mean_change, metric, sums, truth, place)
    models, laws = ([first(of), second(of)] for of in (counts, true))
    names = tuple(map(str, range(simulations * 2)))
    tables = [score_table(names, of.reshape(-1, *of.shape[2:])) for of in models]
    figures = [group_figures(table, 2, HALF) for table in tables]
    for metric in ("auc", "ece"):
        reads, function = METRICS[metric].reads, METRICS[metric].function
        values = [function(ScoreCounts(GRID, True, of) if reads == "scores" else sums_of(of)) for of in laws]
        for place in (0, 1):
            yield f"change of {metric}", partial(_apart, metric, figures, values[1] - values[0], place)
    yield "change of mean_score_difference", partial(_gap, models, laws)
    (both, own), truth = area_shifts(counts), area_shifts(true)[0][0].mean
    for place in (0, 1):
        yield "change of auc, of rows at hand", partial(_area, both, own, truth, place)


def paired_targets(cell: Cell, generator: np.random.Generator, simulations: int) -> Figures:
    """The second model's prediction is the first's and normal noise half as large as the first's errors."""
    ends = np.arange(0.5, 20) / 20
    law = stats.norm if cell.layout == "normal" else stats.laplace
    error, noise = (each.ravel() for each in np.meshgrid(law.ppf(ends, 0.5), stats.norm.ppf(ends, 0.1, 0.5)))
    even = np.full((2, len(error)), 1 / len(error))
    counts, true = drawn(cell.sizes, even, generator, simulations), expected(cell.sizes, even)
    for metric, values in (("mae", np.abs(error + noise) - np.abs(error)), ("mean_prediction", noise)):
        sums = shift_sums(*(counts @ each for each in (values**0, values, np.abs(values), values**2)))
        truth = true @ values / np.array(cell.sizes)
        for place in (0, 1):
            yield f"change of {metric}", partial(_mean_change, metric, sums, truth, place)
    models, laws = ([_as_predictions(of, values) for values in (error, error + noise)] for of in (counts, true))
    figures = [group_figures(target_table(each), 2, HALF) for each in models]
    rmse = [METRICS["rmse"].function(law) for law in laws]
    for place in (0, 1):
        yield "change of rmse", partial(_apart, "rmse", figures, rmse[1] - rmse[0], place)
    yield "change of mean_prediction_difference", partial(_prediction_gap, models, laws)


def _as_predictions(counts: NDArray, values: Array) -> TargetSums:
    """Sums of values [V], taken as predictions of the target 0, from counts [..., G, V]."""
    squares = counts @ values**2
    return unweighted(counts.sum(-1), counts @ values, counts @ np.abs(values), squares, squares, counts @ values**4)


def _prediction_gap(models: list[TargetSums], laws: list[TargetSums]) -> Found:
    one, other = (largest_difference([Moments(of.rows, of.prediction, of.prediction_squared)], HALF) for of in models)
    metric = METRICS["mean_prediction_difference"]
    gaps, true = ([np.asarray(metric.function(of)) for of in each] for each in (models, laws))
    limits = Interval(other.low - one.high, other.high - one.low)
    return Found(limits, gaps[1] - gaps[0], float(true[1] - true[0]), False)


def first(counts: NDArray) -> NDArray:
    """Counts of the first model's scores, [..., S, 3] -> [..., S]."""
    return counts.sum(-1)


def second(counts: NDArray) -> NDArray:
    """Counts of the second model's scores, [..., S, 3] -> [..., S]."""
    to = (MOVES[:, :, None] == _STEPS).astype(counts.dtype)
    return np.sum([counts[..., move] @ to[move] for move in range(len(MOVES))], axis=0)


def area_shifts(counts: NDArray) -> tuple[list[Shifts], list[Shifts]]:
    """How the placements of positives and of negatives change, and what of that is their own move.

    From counts [..., 2, S, 3]; positives first, and of negatives what makes the area larger is positive.
    """
    before, after = (placements(ScoreCounts(GRID, True, of)) for of in (first(counts), second(counts)))
    change = np.stack([after[..., MOVES[move]] - before for move in range(len(MOVES))], axis=-1)
    moves = [np.stack([fixed[..., move] - fixed for move in MOVES], axis=-1) for fixed in (before, after)]
    both, own = (
        [_sums(counts[..., label, :, :], of[..., label, :, :]) for label in (1, 0)]
        for of in (change, (moves[0] + moves[1]) / 2)
    )
    return both, own


def _sums(counts: NDArray, values: NDArray) -> Shifts:
    return Shifts(*((counts * part).sum((-1, -2)) for part in (values**0, values, np.abs(values), values**2)))


def shift_sums(rows: NDArray, total: NDArray, absolute: NDArray, squares: NDArray) -> TargetSums:
    """Sums over rows of what each changes, as predictions of the target 0."""
    return unweighted(rows, total, absolute, squares, squares, 0 * rows)


def _added(counts: NDArray, values: Array) -> Array:
    """Sums of values [2, S, 3] over rows counted [..., 2, S, 3]."""
    return np.einsum("...ksm,ksm->...", counts, values)


def _mean_change(metric: str, sums: TargetSums, truth: Array, place: int) -> Found:
    low, high = (limit.reshape(-1, 2) for limit in mean_change(target_table(sums), metric, CONFIDENCE))
    return Found(at(Interval(low, high), place), (sums.prediction / sums.rows)[:, place], truth[place], False)


def _apart(metric: str, figures: list, truth: Array, place: int) -> Found:
    (before, one), (after, other) = (figure(METRICS[metric]) for figure in figures)
    found = Interval(after.low - before.high, after.high - before.low)
    return Found(at(found, place), (other - one)[:, place], truth[place], False)


def _area(both: list[Shifts], own: list[Shifts], truth: Array, place: int) -> Found:
    mine, moved = ([Shifts(*(np.asarray(part)[:, place] for part in each)) for each in of] for of in (both, own))
    return Found(area_interval(mine, moved, CONFIDENCE), mine[0].mean, truth[place], False)


def _gap(models: list[NDArray], laws: list[NDArray]) -> Found:
    before, after = (score_moments(sums_of(of)) for of in models)
    one, other = (largest_difference([of], HALF) for of in (before, after))
    gaps = [np.ptp(mean(of), axis=-1) for of in (before, after)]
    true = [np.ptp(mean(score_moments(sums_of(of)))) for of in laws]
    return Found(Interval(other.low - one.high, other.high - one.low), gaps[1] - gaps[0], true[1] - true[0], False)
