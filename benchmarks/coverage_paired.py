"""Samples of two models' decisions on the same rows: every metric's change."""

from functools import cache, partial

import numpy as np
from coverage_cells import CONFIDENCE, Array, Cell, Figures, Found, at, drawn, expected

from equiray.metrics.catalogue import METRICS
from equiray.metrics.disparities import Disparity
from equiray.metrics.intervals.limits import rate
from equiray.metrics.metric import Metric
from equiray.metrics.paired import PairedRate, paired_rate
from equiray.metrics.paired_disparities import disparity_change
from equiray.metrics.rates import Rate
from equiray.metrics.tables import Mass


def paired(cell: Cell, generator: np.random.Generator, simulations: int) -> Figures:
    """Two models that err on like shares of rows, often on the same rows; in the first group the second errs less."""
    chance = np.zeros((len(cell.sizes), 2, 4, 4))
    for group, first in enumerate(cell.rates):
        second = first / 2 if group == 0 else first
        both = (first * second + min(first, second)) / 2  # half way between independent and nested
        wrong = np.array([[1 - first - second + both, second - both], [first - both, both]]) / 2
        chance[group, 0, :2, :2], chance[group, 1, :2, :2] = wrong, wrong[::-1, ::-1]
    changes = _Changes(Mass(drawn(cell.sizes, chance, generator, simulations)), expected(cell.sizes, chance))
    for metric in METRICS.values():
        if metric.reads != "mass" or metric.scope == "relative" or metric.id in ("refusal_rate", "parse_failure_rate"):
            continue
        if metric.scope == "attribute":
            yield f"change of {metric.id}", partial(changes.of_disparity, metric)
            continue
        for place in (0, 1):
            yield f"change of {metric.id}", partial(changes.of_group, metric, place)


class _Changes:
    """Samples of joint counts [simulations, G, 2, 4, 4] of a law [G, 2, 4, 4]."""

    def __init__(self, joint: Mass, law: Array) -> None:
        self.law = law
        self.pair = cache(partial(_pair, joint))

    def of_disparity(self, metric: Metric) -> Found:
        assert metric.interval not in ("rate", "smooth", "bins", "none")
        pairs = [self.pair(of) for of in metric.rates]
        of = Disparity(metric.rates, metric.interval)
        first, second = (of.of_rates([rate(getattr(pair, model)) for pair in pairs]) for model in ("first", "second"))
        interval = disparity_change(metric.interval, pairs, CONFIDENCE)
        return Found(interval, second - first, float(self._change(metric)), False)

    def of_group(self, metric: Metric, place: int) -> Found:
        pair = self.pair(metric.rates[0])
        change = float(self._change(metric)[place])
        return Found(at(pair.interval(CONFIDENCE), place), pair.change[:, place], change, False)

    def _change(self, metric: Metric) -> Array:
        return metric.function(self.law.sum(-2)) - metric.function(self.law.sum(-1))


def _pair(joint: Mass, of: Rate) -> PairedRate:
    return paired_rate(of, joint)
