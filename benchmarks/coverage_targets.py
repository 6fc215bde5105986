"""Samples of real-valued predictions."""

from functools import partial
from itertools import product
from typing import Any

import numpy as np
from coverage_cells import CONFIDENCE, Array, Cell, Figures, Found, drawn, expected, group_figures, of_group
from scipy import stats

from equiray.metrics.catalogue import METRICS
from equiray.metrics.intervals.limits import Moments
from equiray.metrics.intervals.simultaneous import largest_difference
from equiray.metrics.tables import GroupTable, TargetSums


def targets(cell: Cell, generator: np.random.Generator, simulations: int) -> Figures:
    """Normal predictions of real values, whose errors are normal, or Laplace's with their heavier tails."""
    ends = np.arange(0.5, 400) / 400
    error = (stats.norm if cell.layout == "normal" else stats.laplace).ppf(ends, 0.5)
    prediction = stats.norm.ppf(ends, 3, 2) + np.array([[0], [0.5]])  # of the two groups
    even = np.full((2, len(ends)), 1 / len(ends))
    levels, errors = (drawn(cell.sizes, even, generator, simulations).astype(np.float64) for _ in range(2))
    sums = _target_sums(levels, errors, prediction, error)
    law = _target_sums(expected(cell.sizes, even), expected(cell.sizes, even), prediction, error)
    of_groups = group_figures(target_table(sums), groups=2)
    for metric, place in product(("mae", "rmse", "mean_prediction"), (0, 1)):
        truth = float(METRICS[metric].function(law)[place])
        yield metric, partial(of_group, of_groups, METRICS[metric], place, truth, cell.sizes[0] >= 50)
    yield "mean_prediction_difference", partial(_prediction_difference, sums, law)


def _prediction_difference(sums: TargetSums, law: TargetSums) -> Found:
    metric = METRICS["mean_prediction_difference"]
    of = Moments(sums.rows, sums.prediction, sums.prediction_squared)
    return Found(largest_difference([of], CONFIDENCE), metric.function(sums), float(metric.function(law)), False)


def target_table(sums: TargetSums) -> GroupTable:
    """One table in which the groups of every sample, sums [simulations, G], are groups of their own."""
    names = tuple(map(str, range(sums.rows.size)))
    parts: list[Any] = [part.reshape(-1) for part in sums]
    return GroupTable(attribute="g", groups=names, classes=(), targets=TargetSums(*parts))


def _target_sums(of_prediction: Array, of_error: Array, prediction: Array, error: Array) -> TargetSums:
    """From counts of values, [..., G, V] each."""
    powers = {power: of_error @ np.abs(error) ** power for power in (1, 2, 4)}
    level, square = ((of_prediction * prediction**power).sum(-1) for power in (1, 2))
    return unweighted(of_error.sum(-1), level, powers[1], powers[2], square, powers[4])


def unweighted(
    rows: Array, prediction: Array, absolute: Array, squared: Array, prediction_squared: Array, fourth: Array
) -> TargetSums:
    """Sums over rows without weights, of f, |e|, e^2, f^2 and e^4."""
    parts = (prediction, absolute, squared, prediction_squared, fourth)
    return TargetSums(rows, 0 * rows, *parts, rows, *parts, rows.astype(np.int64))
