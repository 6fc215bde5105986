"""Samples of decisions: every metric of counts by label and decision, weighted or not, with unanswered rows or none.

Systems: ``blind`` selects a share of every group whatever the label, ``accurate`` errs on that share, ``silent`` does
not answer it, ``unanswered`` decides blindly and does not answer a tenth of the rows, among them twice as many of those
that it would select. ``weighted`` is blind to rows of unequal weights, which are larger where rows are selected.
"""

from functools import cache, cached_property, partial
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
    enough,
    expected,
    group_figures,
)
from numpy.typing import NDArray

from equiray.metrics.catalogue import METRICS
from equiray.metrics.estimation.unknown import known
from equiray.metrics.intervals.differences import difference_interval
from equiray.metrics.intervals.limits import Completed, Counted, Interval
from equiray.metrics.intervals.simultaneous import projected, ratio_to_largest
from equiray.metrics.metric import Metric
from equiray.metrics.rates import Rate, amounts
from equiray.metrics.tables import GroupTable, Mass

OF_SILENCE = ("refusal_rate", "parse_failure_rate")
WEIGHTS = np.array([0.5, 1.0, 4.0])
_WEIGHT_CHANCES = np.array([[0.4, 0.45, 0.15], [0.2, 0.5, 0.3]])  # of rows not selected, and of those selected


class Sample:
    """Samples of `mass` [simulations, G, ...] of a law [G, 2, 4], and every metric of them."""

    def __init__(self, mass: Mass, law: Array, name: str = "{}") -> None:
        self.mass, self.law, self.name = mass, law, name
        self.simulations, self.groups = mass.count.shape[:2]
        self.limits = cache(self._limits)

    def figures(self, *, of_silence: bool = False, plain: bool = False) -> Figures:
        """All metrics; of a `plain` sample, unweighted and answered, two-group differences and what is regular too."""
        for metric in METRICS.values():
            if metric.reads != "mass" or (metric.id in OF_SILENCE) != of_silence:
                continue
            name = self.name.format(metric.id)
            for place in sorted({0, self.groups - 1}) if metric.scope != "attribute" else [0]:
                yield name, partial(self.figure, metric, place, plain)
            if plain and metric.scope == "group" and self.groups == 2:
                yield f"{name}, one group less the other", partial(self.difference, metric.rates[0])

    def figure(self, metric: Metric, place: int, plain: bool) -> Found:
        truth = float(np.atleast_1d(metric.function(self.law))[place])
        if metric.scope == "group":
            interval, values = self._of_groups(metric)
            regular = plain and bool(enough(metric.rates[0], self.law)[place])
            return Found(at(interval, place), values[:, place], truth, regular)
        values = np.asarray(metric.function(amounts(self.mass))).reshape(self.simulations, -1)
        low, high = (limit.reshape(self.simulations, -1) for limit in self.limits(metric))
        return Found(at(Interval(low, high), place), values[:, place], truth, False)

    def _limits(self, metric: Metric) -> Interval:
        """Of a metric that compares groups, [simulations, ...]."""
        rates = [self.rate(of) for of in metric.rates]
        if metric.scope == "relative":
            return ratio_to_largest(rates[0], CONFIDENCE)
        assert metric.interval not in ("rate", "smooth", "bins", "none")
        return projected(metric.interval, rates, CONFIDENCE)

    def rate(self, of: Rate) -> Counted | Completed:
        """Events and trials as the exported estimator counts them, [simulations, G]; of C cells of each group G * C."""
        found = known(of, self._flat).of
        if isinstance(found, Completed):
            return Completed(self._apart(found.lowest), self._apart(found.highest))
        return self._apart(found)

    def difference(self, of: Rate) -> Found:
        counted = self.rate(of)
        assert isinstance(counted, Counted)
        one, other = (Counted(*(np.asarray(part)[:, place] for part in counted)) for place in (0, 1))
        values, truth = of.of(amounts(self.mass)), of.of(self.law)
        interval = difference_interval(one, other, CONFIDENCE)
        return Found(interval, values[:, 0] - values[:, 1], truth[0] - truth[1], bool(enough(of, self.law).all()))

    @cached_property
    def _flat(self) -> Mass:
        parts: list[Any] = [None if part is None else part.reshape(-1, *part.shape[2:]) for part in self.mass]
        return Mass(*parts)

    @cached_property
    def _of_groups(self) -> GroupFigures:
        names = tuple(map(str, range(len(self._flat.count))))
        return group_figures(GroupTable(attribute="g", groups=names, classes=("0", "1"), mass=self._flat), self.groups)

    def _apart(self, of: Counted) -> Counted:
        return Counted(*(np.asarray(part).reshape(self.simulations, -1) for part in of))


def chances(cell: Cell) -> Array:
    """Of each group's label and decision, [G, 2, 4]."""
    chance = np.zeros((len(cell.sizes), 2, 4))
    p = cell.rates
    if cell.kind == "silent":
        chance[..., 0] = (1 - p[:, None]) / 2
        chance[..., 2:] = p[:, None, None] / 4  # half of it refused, half not understood
        return chance
    chance[:, 0, 1], chance[:, 0, 0] = p / 2, (1 - p) / 2
    hit = 0 if cell.kind == "accurate" else 1
    chance[:, 1, hit], chance[:, 1, 1 - hit] = p / 2, (1 - p) / 2
    return chance


def decided(cell: Cell, generator: np.random.Generator, simulations: int) -> Figures:
    """``blind``, ``accurate``, ``silent``."""
    chance = chances(cell)
    mass = Mass(drawn(cell.sizes, chance, generator, simulations))
    return Sample(mass, expected(cell.sizes, chance)).figures(of_silence=cell.kind == "silent", plain=True)


def unanswered(cell: Cell, generator: np.random.Generator, simulations: int) -> Figures:
    """The truth is what would be, had every row been answered."""
    chance = chances(cell)
    lost = np.array([0.1, 0.2, 0, 0]) * chance
    observed = chance - lost
    observed[..., 2] = lost.sum(-1)
    mass = Mass(drawn(cell.sizes, observed, generator, simulations))
    return Sample(mass, expected(cell.sizes, chance), "{}, some rows unanswered").figures()


def weighted(cell: Cell, generator: np.random.Generator, simulations: int) -> Figures:
    """The truth is that of the weighted population."""
    chance = chances(cell)
    by_weight = np.zeros((*chance.shape, len(WEIGHTS)))
    by_weight[..., :2, :] = chance[..., :2, None] * _WEIGHT_CHANCES
    counts = drawn(cell.sizes, by_weight, generator, simulations)
    law = expected(cell.sizes, by_weight) @ WEIGHTS
    return Sample(weighed(counts, WEIGHTS), law, "weighted {}").figures()


def weighed(counts: NDArray[np.int64], weights: Array) -> Mass:
    """From counts by weight, [..., W]."""
    return Mass(counts.sum(-1), counts @ weights, counts @ weights**2)
