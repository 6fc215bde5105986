"""Samples of scores, and of rows and their twins."""

from functools import cached_property, partial
from typing import Any

import numpy as np
from coverage_cells import (
    CONFIDENCE,
    Array,
    Cell,
    Figures,
    Found,
    GroupFigures,
    at,
    drawn,
    expected,
    group_figures,
    of_group,
)
from coverage_decided import WEIGHTS
from numpy.typing import NDArray

from equiray.metrics.catalogue import METRICS
from equiray.metrics.estimation.scored import rate_limits
from equiray.metrics.intervals.binomial import rate_interval
from equiray.metrics.intervals.limits import Counted, Moments, mean, rate
from equiray.metrics.intervals.means import mean_interval
from equiray.metrics.intervals.scores import score_moments
from equiray.metrics.intervals.shifts import Shifts, shift_interval
from equiray.metrics.intervals.simultaneous import largest_difference, ratio_to_largest
from equiray.metrics.intervals.weighted import Weights, effective, effective_share
from equiray.metrics.metric import Metric
from equiray.metrics.ranking import auc
from equiray.metrics.tables import CALIBRATION_BINS, GroupTable, Mass, ScoreCounts, ScoreSums
from equiray.metrics.thresholds import above_median

GRID = np.arange(101) / 100
_PLACE = np.minimum((GRID * 10 + 1e-9).astype(int), CALIBRATION_BINS - 1)
_BINS = (_PLACE[:, None] == np.arange(CALIBRATION_BINS)).astype(np.float64)
_WEIGHT_CHANCES = np.outer(1 - GRID, [0.4, 0.45, 0.15]) + np.outer(GRID, [0.1, 0.5, 0.4])
SHIFT = 0.3


def scored(cell: Cell, generator: np.random.Generator, simulations: int) -> Figures:
    """Scores that are calibrated in the first group and too low in the second; `rate` of the rows are positive."""
    law = score_law(cell)
    sample = Scores(drawn(cell.sizes, law, generator, simulations)[..., None], np.ones(1), expected(cell.sizes, law))
    yield from sample.figures("{}")
    twins = _Twins(sample.counts[:, 0].sum((1, 3)), sample.law[0].sum(0), cell.rate, generator)
    yield "counterfactual_flip_rate", twins.flips
    yield "counterfactual_score_shift", partial(twins.shift, absolute=False)
    yield "counterfactual_score_shift_absolute", partial(twins.shift, absolute=True)


def weighted_scores(cell: Cell, generator: np.random.Generator, simulations: int) -> Figures:
    """The same of rows whose weights are larger where scores are high; the truth is the weighted population's."""
    law = score_law(cell)[..., None] * _WEIGHT_CHANCES
    counts = drawn(cell.sizes, law, generator, simulations)
    yield from Scores(counts, WEIGHTS, expected(cell.sizes, law) @ WEIGHTS).figures("weighted {}")


class Scores:
    """Samples of scores: `counts` [simulations, G, 2, S, W] by weight, of a law [G, 2, S]."""

    def __init__(self, counts: NDArray[np.int64], weights: Array, law: Array) -> None:
        self.counts, self.weights, self.law = counts, weights, law
        self.groups = counts.shape[1]

    def figures(self, name: str) -> Figures:
        for metric in ("auc", "brier", "mean_score", "ece"):
            for place in range(self.groups):
                yield name.format(metric), partial(self.of_group, METRICS[metric], place)
        yield name.format("mean_score_difference"), self.mean_difference
        for metric in ("scoring_rate", "scoring_impact_ratio"):
            for place in range(self.groups):
                yield name.format(metric), partial(self.above_the_median, METRICS[metric], place)

    def of_group(self, metric: Metric, place: int) -> Found:
        truth = np.asarray(metric.function(self.true_scores if metric.reads == "scores" else sums_of(self.law)))
        return of_group(
            self._of_groups, metric, place, float(truth[place]), bool(self._smooth(metric.id, truth)[place])
        )

    def mean_difference(self) -> Found:
        weight = self.counts @ self.weights
        centre = mean(score_moments(sums_of(weight)))[..., None, None]
        share = 1 if self.plain else effective_share(self.squares(weight), GRID - centre, (-1, -2))[..., None, None]
        of = score_moments(sums_of(weight * share))
        truth = float(np.ptp(mean(score_moments(sums_of(self.law)))))
        return Found(largest_difference([of], CONFIDENCE), np.ptp(mean(of), axis=-1), truth, False)

    def above_the_median(self, metric: Metric, place: int) -> Found:
        """The median is that of the sample, as the law has it: what is estimated is each group's share above it."""
        above = above_median(self.scores).above
        of = self.selected(above[:, None, :])
        ratio = metric.id == "scoring_impact_ratio"
        found = ratio_to_largest(of, CONFIDENCE) if ratio else rate_limits(of, CONFIDENCE)
        by_group = self.law.sum(1)
        rows = by_group.sum(-1)
        truth = above @ by_group.T / rows
        events = float(truth[:, place].mean() * rows[place])
        truth = truth / truth.max(-1, keepdims=True) if ratio else truth
        regular = self.plain and not ratio and rows[place] >= 50 and min(events, rows[place] - events) >= 10
        values = np.asarray(metric.function(self.scores))
        return Found(at(found, place), values[:, place], truth[:, place], regular)

    def selected(self, chosen: NDArray[np.bool_]) -> Counted:
        """Events and trials of having one of the chosen scores, of weighted rows effective numbers."""
        counts = self.counts.sum(2)  # over labels
        if self.plain:
            rows = counts[..., 0]
            return Counted((rows * chosen).sum(-1), rows.sum(-1))
        powers = [counts @ self.weights**power for power in (1, 2)]
        sides = (Weights(*((part * which).sum(-1) for part in powers)) for which in (chosen, ~chosen))
        return effective(*sides)

    @property
    def plain(self) -> bool:
        return len(self.weights) == 1

    @cached_property
    def scores(self) -> ScoreCounts:
        """[simulations, G, 2, S]."""
        weight = self.counts @ self.weights
        return ScoreCounts(GRID, True, self.counts.sum(-1), *([] if self.plain else self.squares(weight)))

    def squares(self, weight: Array) -> Weights:
        return Weights(weight, self.counts @ self.weights**2)

    @cached_property
    def true_scores(self) -> ScoreCounts:
        return ScoreCounts(GRID, True, self.law)  # pyright: ignore[reportArgumentType]  # a law's counts are not whole

    @cached_property
    def _of_groups(self) -> GroupFigures:
        return group_figures(self._side_by_side(), self.groups)

    def _side_by_side(self) -> GroupTable:
        """One table in which the groups of every sample are groups of their own."""
        flat = self.counts.reshape(-1, *self.counts.shape[2:])
        count, weight, squared = flat.sum(-1), flat @ self.weights, flat @ self.weights**2
        names = tuple(map(str, range(len(flat))))
        return score_table(names, count, *((None, None) if self.plain else (weight, squared)))

    def _smooth(self, name: str, truth: Array) -> NDArray[np.bool_]:
        """Where coverage of 97 % at most is promised too."""
        if not self.plain or name == "ece":
            return np.zeros(self.groups, bool)
        if name == "auc":  # its denominators are the positives and the negatives, its events the rows ranked wrongly
            fewest = self.law.sum(-1).min(-1)
            return (fewest >= 50) & (fewest * (1 - auc(self.true_scores)) >= 10)
        rows = self.law.sum((-1, -2))
        return (rows >= 50) & (rows * np.minimum(truth, 1 - truth) >= 10)


class _Twins:
    """Rows counted by score, [simulations, S], of a law [S]; the scores of a share `rate` of their twins move.

    Three out of four of these fall by `SHIFT` of the score, the others rise by as much; .5 and more is selected.
    """

    def __init__(self, counts: NDArray[np.int64], law: Array, rate: float, generator: np.random.Generator) -> None:
        self.rows = counts.sum(-1)
        chances = np.array([0.75, 0.25, 1 / rate - 1]) * rate
        self.down, self.up, _ = np.moveaxis(generator.multinomial(counts, chances), -1, 0)
        self.law_rows, (self.law_down, self.law_up) = law.sum(), (law * chance for chance in chances[:2])
        up, down = (np.rint(GRID * (100 + 100 * by)) / 100 for by in (SHIFT, -SHIFT))
        self.flipped = [(GRID >= 0.5) & (down < 0.5), (GRID < 0.5) & (up >= 0.5)]

    def flips(self) -> Found:
        flips = self.down @ self.flipped[0] + self.up @ self.flipped[1]
        events = float(self.law_down @ self.flipped[0] + self.law_up @ self.flipped[1])
        regular = self.law_rows >= 50 and min(events, self.law_rows - events) >= 10
        of = Counted(flips, self.rows)
        return Found(rate_interval(*of, CONFIDENCE), rate(of), events / self.law_rows, regular)

    def shift(self, *, absolute: bool) -> Found:
        size = SHIFT * GRID * (1 - GRID)
        moved, law_moved = self.up + self.down, self.law_up + self.law_down
        signed, law_signed = (moved, law_moved) if absolute else (self.up - self.down, self.law_up - self.law_down)
        of = Shifts(self.rows, signed @ size, moved @ size, moved @ size**2)
        absolutes = Moments(self.rows, of.absolute, of.squares, 0, 1)
        found = mean_interval(absolutes, CONFIDENCE) if absolute else shift_interval(of, CONFIDENCE)
        return Found(found, of.mean, float(law_signed @ size / self.law_rows), False)


def score_table(
    names: tuple[str, ...], count: NDArray[np.int64], weight: Array | None = None, squared: Array | None = None
) -> GroupTable:
    """Of groups of rows counted on `GRID`, [G, 2, S]; decided at .5."""

    def decided(part: NDArray[Any]) -> NDArray[Any]:
        selected, others = part[..., 50:].sum(-1), part[..., :50].sum(-1)
        return np.stack([others, selected, 0 * selected, 0 * selected], axis=-1)

    weights = (None if part is None else decided(part) for part in (weight, squared))
    return GroupTable(
        attribute="g",
        groups=names,
        classes=("0", "1"),
        mass=Mass(decided(count).astype(np.int64), *weights),
        scores=ScoreCounts(GRID, True, count, weight, squared),
        score_sums=sums_of(count if weight is None else weight),
    )


def sums_of(counts: NDArray[Any]) -> ScoreSums:
    """Sums by label and bin of rows counted on `GRID`, [..., S] -> [..., B]."""
    return ScoreSums(*(counts @ (_BINS * GRID[:, None] ** power) for power in (0, 1, 2)))


def score_law(cell: Cell) -> Array:
    """Of each group's label and score, [2, 2, S]."""
    chance = np.zeros((2, 2, len(GRID)))
    for group, spread in enumerate((2.0, 6.0)):
        law = GRID[1:-1] ** (spread * cell.rate - 1) * (1 - GRID[1:-1]) ** (spread * (1 - cell.rate) - 1)
        positive = GRID if group == 0 else GRID**0.8
        chance[group, 1, 1:-1] = law / law.sum() * positive[1:-1]
        chance[group, 0, 1:-1] = law / law.sum() * (1 - positive[1:-1])
    return chance
