"""Populations whose disparities are known, and how often intervals of samples from them cover.

A cell is one population: groups of given sizes, rates that are equal, tied at two values, or spread between these.
Systems: ``blind`` selects a share of every group whatever the label, ``accurate`` errs on that share, ``silent``
does not answer it. Group sizes are fixed, labels and decisions drawn.
"""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.catalogue import METRICS
from equiray.metrics.disparities import Disparity
from equiray.metrics.intervals.binomial import rate_interval
from equiray.metrics.intervals.differences import difference_interval
from equiray.metrics.intervals.limits import Counted, Interval, Moments, mean, rate
from equiray.metrics.intervals.means import mean_interval
from equiray.metrics.intervals.scores import auc_interval, ece_interval, score_moments, squared_error_moments
from equiray.metrics.intervals.simultaneous import projected, ratio_to_largest
from equiray.metrics.metric import Metric
from equiray.metrics.paired import paired_rate
from equiray.metrics.paired_disparities import disparity_change
from equiray.metrics.ranking import auc
from equiray.metrics.rates import Rate
from equiray.metrics.tables import CALIBRATION_BINS, Mass, ScoreCounts, ScoreSums

Array = NDArray[np.float64]
CONFIDENCE = 0.95
SIZES = (20, 50, 100, 1000, 10_000, 100_000)
RATES = (0.01, 0.05, 0.2, 0.5)
_GRID = np.arange(101) / 100


class Cell(NamedTuple):
    """A population: the `kind` of study, the `sizes` of its groups, their smallest rate and how the others lie."""

    kind: str
    sizes: tuple[int, ...]
    rate: float
    layout: str

    @property
    def rates(self) -> Array:
        groups, highest = len(self.sizes), min(2 * self.rate, 0.5 + self.rate / 2)
        if self.layout == "equal":
            return np.full(groups, self.rate)
        if self.layout == "tied":
            return np.where(np.arange(groups) % 2 == 0, self.rate, highest)
        return np.linspace(self.rate, highest, groups)

    def __str__(self) -> str:
        sizes = f"{len(self.sizes)} x {self.sizes[0]:,}" if len(set(self.sizes)) == 1 else "mixed sizes"
        return f"{self.kind}, {sizes}, {self.layout} at {self.rate:g}"


class Found(NamedTuple):
    """Samples of one metric in one cell: limits and estimate [simulations], and the true value.

    `regular` where coverage of 97 % at most is promised too: a rate, a difference or a smooth metric whose denominators
    hold 50 rows, 10 events and 10 others in expectation.
    """

    interval: Interval
    estimate: Array
    truth: float
    regular: bool


def cells() -> Iterator[Cell]:
    """All of them: sizes, rates, layouts, systems."""
    sizes = [(n,) * groups for n in SIZES for groups in (2, 5)] + [SIZES, (20, 100_000)]
    for kind, many, low, layout in product(("blind", "accurate"), sizes, RATES, ("equal", "tied", "spread")):
        yield Cell(kind, many, low, layout)
    for kind, n, low in product(("blind", "accurate"), (20, 1000), RATES):
        yield Cell(kind, (n,) * 20, low, "equal")
    for n, low in product(SIZES, RATES):
        yield Cell("silent", (n, n), low, "tied")
    for n, low in product(SIZES, RATES):
        yield Cell("scores", (n, n), low, "tied")
        for layout in ("equal", "spread"):
            yield Cell("paired", (n,) * 3, low, layout)


def study(cell: Cell, generator: np.random.Generator, simulations: int) -> Iterator[tuple[str, Found]]:
    """Every metric of a cell, by name."""
    if cell.kind == "scores":
        yield from _scored(cell, generator, simulations)
    elif cell.kind == "paired":
        yield from _paired(cell, generator, simulations)
    else:
        yield from _decided(cell, generator, simulations)


def _chances(cell: Cell) -> Array:
    """Of each group's label and decision, [G, 2, 4]."""
    chance = np.zeros((len(cell.sizes), 2, 4))
    p = cell.rates
    if cell.kind == "silent":
        chance[..., 0] = (1 - p[:, None]) / 2
        chance[..., 2:] = p[:, None, None] / 4  # half of it refused, half not understood
        return chance
    chance[:, 0, 1], chance[:, 0, 0] = p / 2, (1 - p) / 2
    hit = 1 if cell.kind == "blind" else 0
    chance[:, 1, hit], chance[:, 1, 1 - hit] = p / 2, (1 - p) / 2
    return chance


def _drawn(
    sizes: tuple[int, ...], chance: Array, generator: np.random.Generator, simulations: int
) -> NDArray[np.int64]:
    """Counts [simulations, G, ...] of groups of fixed sizes, with chances [G, ...]."""
    groups = [generator.multinomial(n, p.ravel() / p.sum(), simulations) for n, p in zip(sizes, chance, strict=True)]
    return np.stack(groups, axis=1).reshape(simulations, *chance.shape)


def _decided(cell: Cell, generator: np.random.Generator, simulations: int) -> Iterator[tuple[str, Found]]:
    chance = _chances(cell)
    mass = _drawn(cell.sizes, chance, generator, simulations)
    expected = chance * np.array(cell.sizes)[:, None, None]
    for metric in METRICS.values():
        if metric.reads != "mass" or (metric.id in ("refusal_rate", "parse_failure_rate")) != (cell.kind == "silent"):
            continue
        truth = np.atleast_1d(metric.function(expected))
        estimate = np.asarray(metric.function(mass)).reshape(simulations, -1)
        low, high = (limit.reshape(simulations, -1) for limit in _limits(metric, mass))
        enough = [_enough(of, expected) for of in metric.rates]
        for place in sorted({0, len(truth) - 1}):
            regular = metric.scope == "group" and bool(enough[0][place])
            yield metric.id, Found(Interval(low[:, place], high[:, place]), estimate[:, place], truth[place], regular)
        if metric.scope == "group" and len(cell.sizes) == 2:
            yield f"{metric.id}, one group less the other", _difference(metric.rates[0], mass, expected)


def _limits(metric: Metric, mass: NDArray[np.int64]) -> Interval:
    counted = [Counted(of.events(mass), of.trials(mass)) for of in metric.rates]
    if metric.scope == "group":
        return rate_interval(*counted[0], CONFIDENCE)
    if metric.scope == "relative":
        return ratio_to_largest(counted[0], CONFIDENCE)
    assert metric.interval not in ("rate", "smooth", "bins", "none")
    return projected(metric.interval, counted, CONFIDENCE)


def _difference(of: Rate, mass: NDArray[np.int64], expected: Array) -> Found:
    events, trials = of.events(mass), of.trials(mass)
    one, other = (Counted(events[:, place], trials[:, place]) for place in (0, 1))
    truth = of.of(expected)
    regular = bool(_enough(of, expected).all())
    return Found(
        difference_interval(one, other, CONFIDENCE), rate(one) - rate(other), float(truth[0] - truth[1]), regular
    )


def _enough(of: Rate, expected: Array) -> NDArray[np.bool_]:
    events, others = of.events(expected), of.others(expected)
    return (events + others >= 50) & (np.minimum(events, others) >= 10)


def _paired(cell: Cell, generator: np.random.Generator, simulations: int) -> Iterator[tuple[str, Found]]:
    """Two models that err on like shares of rows, often on the same rows; in the first group the second errs less."""
    chance = np.zeros((len(cell.sizes), 2, 4, 4))
    for group, first in enumerate(cell.rates):
        second = first / 2 if group == 0 else first
        both = (first * second + min(first, second)) / 2  # half way between independent and nested
        wrong = np.array([[1 - first - second + both, second - both], [first - both, both]]) / 2
        chance[group, 0, :2, :2], chance[group, 1, :2, :2] = wrong, wrong[::-1, ::-1]
    joint = _drawn(cell.sizes, chance, generator, simulations)
    expected = chance * np.array(cell.sizes)[:, None, None, None]
    for metric in METRICS.values():
        if metric.reads != "mass" or metric.scope == "relative" or metric.id in ("refusal_rate", "parse_failure_rate"):
            continue
        pairs = [paired_rate(of, Mass(joint)) for of in metric.rates]
        before, after = (metric.function(expected.sum(axis)) for axis in (-1, -2))
        if metric.scope == "attribute":
            assert metric.interval not in ("rate", "smooth", "bins", "none")
            of = Disparity(metric.rates, metric.interval)
            values = [of.of_rates([rate(getattr(pair, model)) for pair in pairs]) for model in ("second", "first")]
            interval = disparity_change(metric.interval, pairs, CONFIDENCE)
            yield f"change of {metric.id}", Found(interval, values[0] - values[1], float(after - before), False)
            continue
        low, high = pairs[0].interval(CONFIDENCE)
        for place in (0, 1):
            found = Interval(low[:, place], high[:, place])
            change = float(after[place] - before[place])
            yield f"change of {metric.id}", Found(found, pairs[0].change[:, place], change, False)


def _scored(cell: Cell, generator: np.random.Generator, simulations: int) -> Iterator[tuple[str, Found]]:
    """Scores that are calibrated in the first group and too low in the second; `rate` of the rows are positive."""
    chance = np.zeros((2, 2, len(_GRID)))
    for group, spread in enumerate((2.0, 6.0)):
        law = _GRID[1:-1] ** (spread * cell.rate - 1) * (1 - _GRID[1:-1]) ** (spread * (1 - cell.rate) - 1)
        positive = _GRID if group == 0 else _GRID**0.8
        chance[group, 1, 1:-1] = law / law.sum() * positive[1:-1]
        chance[group, 0, 1:-1] = law / law.sum() * (1 - positive[1:-1])
    counts = _drawn(cell.sizes, chance, generator, simulations)
    expected = chance * cell.sizes[0]
    scores, sums = ScoreCounts(_GRID, True, counts), _sums(counts)
    truth = ScoreCounts(_GRID, True, expected)  # pyright: ignore[reportArgumentType]  # a law's counts are not whole
    true_sums = _sums(expected)
    squared, plain = squared_error_moments(scores), score_moments(sums)
    ece, brier, level = (METRICS[name].function for name in ("ece", "brier", "mean_score"))
    rows = cell.sizes[0]
    true_brier, true_level = brier(true_sums), level(true_sums)
    sharp, scored = ((rows >= 50) & (rows * np.minimum(m, 1 - m) >= 10) for m in (true_brier, true_level))
    # The denominators of an area are the positives and the negatives, and rows ranked wrongly are the events.
    fewest = expected.sum(-1).min(-1)
    ranked = (fewest >= 50) & (fewest * (1 - auc(truth)) >= 10)
    for name, interval, estimate, true, smooth in (
        ("auc", auc_interval(scores, CONFIDENCE), auc(scores), auc(truth), ranked),
        ("brier", mean_interval(squared, CONFIDENCE), mean(squared), true_brier, sharp),
        ("mean_score", mean_interval(plain, CONFIDENCE), mean(plain), true_level, scored),
        ("ece", ece_interval(sums, CONFIDENCE), ece(sums), ece(true_sums), (False, False)),
    ):
        for place in (0, 1):
            found = Interval(interval.low[:, place], interval.high[:, place])
            yield name, Found(found, estimate[:, place], float(true[place]), bool(smooth[place]))
    means = mean(plain)
    gap = projected("max_difference", [plain], CONFIDENCE)
    yield "mean_score_difference", Found(gap, np.ptp(means, axis=-1), float(np.ptp(true_level)), False)
    shift = Moments(plain.rows, 2 * np.asarray(plain.total) - plain.rows, _squares(plain), -1, 1)
    found = Interval(*(limit[:, 0] for limit in mean_interval(shift, CONFIDENCE)))
    true = float(2 * true_level[0] - 1)
    yield "counterfactual_score_shift", Found(found, mean(shift)[:, 0], true, bool(scored[0]))


def _squares(of: Moments) -> Array:
    """Sums of (2 s - 1)^2, for scores stretched to the range of a shift."""
    return 4 * np.asarray(of.squares) - 4 * np.asarray(of.total) + np.asarray(of.rows)


def _sums(counts: NDArray) -> ScoreSums:
    place = np.minimum((_GRID * 10 + 1e-9).astype(int), CALIBRATION_BINS - 1)
    bins = (place[:, None] == np.arange(CALIBRATION_BINS)).astype(np.float64)
    return ScoreSums(*(counts @ (bins * _GRID[:, None] ** power) for power in (0, 1, 2)))
