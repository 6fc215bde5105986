"""How often anything at all is wrong in a family of claims that are made at once, at alpha .05."""

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
from coverage_cells import remembered
from numpy.typing import NDArray
from scipy.stats import binom

from equiray.metrics.catalogue import METRICS
from equiray.metrics.intervals.critical import holm
from equiray.metrics.intervals.limits import Counted
from equiray.metrics.intervals.simultaneous import projected

ALPHA = 0.05
AT_ONCE = 1000
METRICS_JUDGED = (
    "demographic_parity_difference",
    "disparate_impact_ratio",
    "equalized_odds_difference_max",
    "equalized_odds_difference_mean",
    "accuracy_parity_difference",
    "predictive_parity_difference",
    "worst_group_accuracy_cells",
)
SIZES = (300, 100, 3000)  # groups of one attribute; the other has two, so that both share their rows


def errors(family: str, simulations: int) -> float:
    """Share of samples in which any claim of the family is wrong."""
    generator = np.random.default_rng([2026, *family.encode()])
    parts = [min(AT_ONCE, simulations - start) for start in range(0, simulations, AT_ONCE)]
    return float(np.concatenate([FAMILIES[family](generator, size) for size in parts]).mean())


def _disparities(generator: np.random.Generator, size: int, apart: float) -> NDArray[np.bool_]:
    """Whether any simultaneous limit misses: more than a verdict can get wrong, whatever the bounds."""
    chance = np.zeros((len(SIZES), 2, 2, 4))
    for first, second in product(range(len(SIZES)), range(2)):
        wrong = 0.15 + apart * (first + second)
        chance[first, second] = 0.5 * np.array([[1 - wrong, wrong, 0, 0], [wrong, 1 - wrong, 0, 0]])
    drawn = [
        generator.multinomial(n, p.ravel() / 2, size).reshape(size, 2, 2, 4) for n, p in zip(SIZES, chance, strict=True)
    ]
    mass = np.stack(drawn, axis=1)
    expected = chance / 2 * np.array(SIZES)[:, None, None, None]
    confidence = 1 - ALPHA / (2 * len(METRICS_JUDGED))
    wrong = np.zeros(size, dtype=bool)
    with remembered():
        for name, axis in product(METRICS_JUDGED, (2, 1)):
            metric = METRICS[name]
            assert metric.interval not in ("rate", "smooth", "bins", "none")
            table, truth = mass.sum(axis), float(metric.function(expected.sum(axis - 1)))
            rates = [Counted(of.events(table), of.trials(table)) for of in metric.rates]
            low, high = projected(metric.interval, rates, confidence)
            wrong |= (low > truth + 1e-9) | (high < truth - 1e-9)
    return wrong


def _holm(generator: np.random.Generator, size: int, false: int) -> NDArray[np.bool_]:
    """Whether Holm rejects any of 20 true claims that a rate is at most .1, beside some false ones."""
    trials = np.tile([30, 200, 1000, 5000], 5)
    rates = np.full(20, 0.1)
    rates[:false] = 0.2
    events = generator.binomial(trials, rates, (size, 20))
    p = binom.sf(events - 1, trials, 0.1)
    return np.array([(holm(each)[false:] <= ALPHA).any() for each in p])


FAMILIES: Mapping[str, Callable[[np.random.Generator, int], NDArray[np.bool_]]] = {
    "limits of 14 disparities, all groups equal": lambda generator, size: _disparities(generator, size, 0.0),
    "limits of 14 disparities, groups differ": lambda generator, size: _disparities(generator, size, 0.1),
    "Holm, 20 rates, all on their bound": lambda generator, size: _holm(generator, size, 0),
    "Holm, 20 rates, 8 beyond it": lambda generator, size: _holm(generator, size, 8),
}
