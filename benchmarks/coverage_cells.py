"""Populations whose figures are known: what the coverage simulation draws from.

A cell is one population: groups of given sizes, rates that are equal, tied at two values, or spread between these. Its
`kind` says what is drawn and which metrics are asked (`coverage_measure.STUDIES`). Group sizes are fixed, all else is
drawn. Where metrics of one group are asked, the samples are put to the estimator side by side, as groups of one table.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.metrics.estimation.figures import Figure
from equiray.metrics.estimation.read import Read
from equiray.metrics.intervals import binomial
from equiray.metrics.intervals.limits import Interval
from equiray.metrics.metric import Metric
from equiray.metrics.rates import Rate
from equiray.metrics.tables import GroupTable

Array = NDArray[np.float64]
CONFIDENCE = 0.95
SIZES = (20, 50, 100, 1000, 10_000, 100_000)
RATES = (0.01, 0.05, 0.2, 0.5)
ERRORS = ("normal", "Laplace")


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
        sizes = f"{len(self.sizes)} x {self.sizes[0]:,}"
        if len(set(self.sizes)) > 1:
            sizes = " + ".join(f"{n:,}" for n in self.sizes)
        how = f"{self.layout} errors" if self.layout in ERRORS else f"{self.layout} at {self.rate:g}"
        return f"{self.kind}, {sizes}, {how}"


class Found(NamedTuple):
    """Samples of one metric in one cell: limits and estimate [simulations], and the true value, or one for each sample.

    `regular` where coverage of 97 % at most is promised too: a rate, a difference or a smooth metric whose denominators
    hold 50 rows, 10 events and 10 others in expectation.
    """

    interval: Interval
    estimate: Array
    truth: ArrayLike
    regular: bool


Figures = Iterator[tuple[str, Callable[[], Found]]]
"""Names of metrics and what finds out about each, from one sample of a cell."""


def cells() -> Iterator[Cell]:
    """All of them: sizes, rates, layouts, systems."""
    sizes = [(n,) * groups for n in SIZES for groups in (2, 5)] + [SIZES, (20, 100_000)]
    for kind, many, low, layout in product(("blind", "accurate"), sizes, RATES, ("equal", "tied", "spread")):
        yield Cell(kind, many, low, layout)
    for kind, n, low in product(("blind", "accurate"), (20, 1000), RATES):
        yield Cell(kind, (n,) * 20, low, "equal")
    for n, low in product(SIZES, RATES):
        for kind in ("silent", "unanswered", "scores", "weighted", "weighted scores"):
            yield Cell(kind, (n, n), low, "tied")
        for layout in ("equal", "spread"):
            yield Cell("paired", (n,) * 3, low, layout)
        yield Cell("paired scores", (n, n), low, "tied")
    for n, law, kind in product(SIZES, ERRORS, ("targets", "paired targets")):
        yield Cell(kind, (n, n), 0.5, law)


def drawn(sizes: tuple[int, ...], chance: Array, generator: np.random.Generator, simulations: int) -> NDArray[np.int64]:
    """Counts [simulations, G, ...] of groups of fixed sizes, with chances [G, ...]."""
    groups = [generator.multinomial(n, p.ravel() / p.sum(), simulations) for n, p in zip(sizes, chance, strict=True)]
    return np.stack(groups, axis=1).reshape(simulations, *chance.shape)


def expected(sizes: tuple[int, ...], chance: Array) -> Array:
    """Counts [G, ...] of the law itself."""
    each = (n * p / p.sum() for n, p in zip(sizes, chance, strict=True))
    return np.stack(list(each))


def enough(of: Rate, law: Array) -> NDArray[np.bool_]:
    """Of which groups a law's counts hold what `Found.regular` asks for, [G]."""
    events, others = of.events(law), of.others(law)
    return (events + others >= 50) & (np.minimum(events, others) >= 10)


GroupFigures = Callable[[Metric], tuple[Interval, Array]]


def group_figures(side_by_side: GroupTable, groups: int, confidence: float = CONFIDENCE) -> GroupFigures:
    """What the exported estimator says of each metric of groups, limits and values [simulations, G]."""

    @cache
    def figure(metric: Metric) -> tuple[Interval, Array]:
        read = Read.of(metric, side_by_side, None)
        assert read is not None and metric.scope == "group"
        found = Figure(metric=metric, read=read)
        low, high = (limit.reshape(-1, groups) for limit in found.limits(confidence))
        return Interval(low, high), found.values.reshape(-1, groups)

    return figure


def at(of: Interval, place: int) -> Interval:
    """The limits of one group."""
    return Interval(of.low[:, place], of.high[:, place])


def of_group(of: GroupFigures, metric: Metric, place: int, truth: float, regular: bool) -> Found:
    """What was found of one group."""
    interval, values = of(metric)
    return Found(at(interval, place), values[:, place], truth, regular)


@contextmanager
def remembered() -> Iterator[None]:
    """While it lasts, limits of the same counts are computed once: metrics of one sample share most of theirs."""
    compute, known = binomial.lower_limit, {}

    def lower_limit(events: Array, trials: Array, tail: ArrayLike, exact: NDArray[np.bool_]) -> Array:
        given = (events, trials, np.asarray(tail, dtype=np.float64), exact)
        key = tuple((np.shape(part), np.asarray(part).tobytes()) for part in given)
        if key not in known:
            known[key] = compute(*given)
        return known[key]

    binomial.lower_limit = lower_limit
    try:
        yield
    finally:
        binomial.lower_limit = compute
