"""Disparities: one number that compares an attribute's groups, and impact ratios, a number of each against the others.

Notable: a disparity is a tuple of rates and the way they are combined, and the same word tells which interval it
needs, so value and interval cannot drift apart. A disparity needs the rate of every group: where one has none it is
NaN, not estimable, never a comparison of the rest. Rows whose sensitive value is missing are no group to be fair to:
take them out with `without_missing`; the bounds over who they could be are reported beside the value.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.rates import ACCURACY, CELL_ACCURACY, FNR, FPR, PPV, SELECTION_RATE, TPR, Rate, divide
from equiray.metrics.tables import MISSING, GroupTable

Array = NDArray[Any]
Combination = Literal["max_difference", "sum", "mean", "ratio", "minimum"]

LL144_SMALLEST_SHARE = 0.02
"""A category with a smaller share of the rows may be left out of the impact ratios (6 RCNY 5-301)."""


class Disparity(NamedTuple):
    """Rates of the groups, combined into one number; `combined` names how (`COMBINED`)."""

    rates: tuple[Rate, ...]
    combined: Combination

    def of(self, mass: Array) -> NDArray[np.float64]:
        """The disparity [...] of mass [..., G, K, P]; NaN where a rate is not estimable or there is no second group."""
        return self.of_rates([rate.of(mass) for rate in self.rates])

    def of_rates(self, values: Sequence[Array]) -> NDArray[np.float64]:
        """The disparity [...] of rates already computed, each [..., G]."""
        return COMBINED[self.combined](values)


def spread(values: Array) -> NDArray[np.float64]:
    """Largest minus smallest over the last axis [..., G] -> [...]; NaN with fewer than two, or with one that is NaN."""
    if values.shape[-1] < 2:
        return np.full(values.shape[:-1], np.nan)
    return np.asarray(values.max(-1) - values.min(-1), dtype=np.float64)


def _ratio(values: Array) -> NDArray[np.float64]:
    if values.shape[-1] < 2:
        return np.full(values.shape[:-1], np.nan)
    return divide(values.min(-1), values.max(-1))


def _minimum(values: Array) -> NDArray[np.float64]:
    """Unlike a difference, the worst of one group is a number: its own."""
    return values.min(-1) if values.shape[-1] else np.full(values.shape[:-1], np.nan)


COMBINED: Mapping[Combination, Callable[[Sequence[Array]], NDArray[np.float64]]] = {
    "max_difference": lambda rates: np.max([spread(values) for values in rates], axis=0),
    "sum": lambda rates: np.sum([spread(values) for values in rates], axis=0),
    "mean": lambda rates: np.mean([spread(values) for values in rates], axis=0),
    "ratio": lambda rates: np.min([_ratio(values) for values in rates], axis=0),
    "minimum": lambda rates: np.min([_minimum(values) for values in rates], axis=0),
}
"""Each takes one array of rates [..., G] or several, and returns [...]."""

DEMOGRAPHIC_PARITY_DIFFERENCE = Disparity((SELECTION_RATE,), "max_difference")
"""max_g P(ŷ=1 | g) - min_g P(ŷ=1 | g). Range 0..1; lower is better; 0 = all groups are selected equally often."""

DISPARATE_IMPACT_RATIO = Disparity((SELECTION_RATE,), "ratio")
"""min_g P(ŷ=1 | g) / max_g P(ŷ=1 | g). Range 0..1; higher is better; 0 = nobody of some group is selected.

1 = all groups are selected equally often, below .8 fails the four-fifths rule; NaN where nobody is selected at all.
"""

EQUALIZED_ODDS_DIFFERENCE_MAX = Disparity((TPR, FPR), "max_difference")
"""max(max_g TPR - min_g TPR, max_g FPR - min_g FPR). Range 0..1; lower is better; 0 = equal TPR and equal FPR."""

EQUALIZED_ODDS_DIFFERENCE_MEAN = Disparity((TPR, FPR), "mean")
"""((max_g TPR - min_g TPR) + (max_g FPR - min_g FPR)) / 2. Range 0..1; lower is better; 0 = equal TPR and equal FPR."""

EQUALIZED_ODDS_DIFFERENCE_SUM = Disparity((TPR, FPR), "sum")
"""(max_g TPR - min_g TPR) + (max_g FPR - min_g FPR). Range 0..2; lower is better; 0 = equal TPR and equal FPR."""

EQUAL_OPPORTUNITY_DIFFERENCE = Disparity((TPR,), "max_difference")
"""max_g TPR - min_g TPR. Range 0..1; lower is better; 0 = positive rows are found equally often."""

ACCURACY_PARITY_DIFFERENCE = Disparity((ACCURACY,), "max_difference")
"""max_g accuracy - min_g accuracy, over all classes. Range 0..1; lower is better; 0 = equal accuracy."""

PREDICTIVE_PARITY_DIFFERENCE = Disparity((PPV,), "max_difference")
"""max_g PPV - min_g PPV. Range 0..1; lower is better; 0 = a selection is right equally often."""

FPR_DIFFERENCE = Disparity((FPR,), "max_difference")
"""max_g FPR - min_g FPR. Range 0..1; lower is better; 0 = negative rows are selected equally often."""

FNR_DIFFERENCE = Disparity((FNR,), "max_difference")
"""max_g FNR - min_g FNR. Range 0..1; lower is better; 0 = positive rows are missed equally often."""

WORST_GROUP_ACCURACY_CELLS = Disparity((CELL_ACCURACY,), "minimum")
"""min over (label, group) of P(ŷ=y | y, g). Range 0..1; higher is better; 0 = every decision in some cell is wrong."""

WORST_GROUP_ACCURACY_GROUPS = Disparity((ACCURACY,), "minimum")
"""min_g P(ŷ=y | g). Range 0..1; higher is better; 0 = every decision in some group is wrong."""


def impact_ratio(mass: Array) -> NDArray[np.float64]:
    """P(ŷ=1 | g) / max_g' P(ŷ=1 | g'). Range 0..1; higher is better; 0 = nobody of the group is selected.

    `impact_ratios` of the selection rates of mass [..., G, K, P] -> [..., G], all groups counted.
    """
    return impact_ratios(SELECTION_RATE.of(mass))


def impact_ratios(rates: Array, counted: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Each group's rate over the highest: the impact ratio of New York City's Local Law 144 (6 RCNY 5-300).

    1 = the group selected most often. The law's second form reads scoring rates instead (`thresholds.scoring_rate`).

    Parameters
    ----------
    rates : [..., G]
    counted : bool [G], optional
        Groups that may be the one selected most often and get a ratio (`large_enough`); default: all. List the others
        with their rates.

    Returns
    -------
    [..., G]
        NaN for groups left out, and for all where a counted group has no rate or no counted one selects anybody.
    """
    ours = np.ones(rates.shape[-1], dtype=bool) if counted is None else counted
    highest = np.where(ours, rates, -np.inf).max(-1, keepdims=True, initial=-np.inf)  # NaN where one of ours is
    return np.where(ours, divide(rates, highest), np.nan)


def large_enough(rows: Array, smallest_share: float = LL144_SMALLEST_SHARE) -> NDArray[np.bool_]:
    """Which groups hold at least a share of all rows [..., G] -> [..., G]; the rest may be left out, listed."""
    return rows >= smallest_share * rows.sum(-1, keepdims=True)


def without_missing(table: GroupTable) -> GroupTable:
    """The table less the group of rows whose sensitive value is missing: what disparities compare."""
    if MISSING not in table.groups:
        return table
    kept = [place for place, name in enumerate(table.groups) if name != MISSING]

    def of(part: Array | None, axis: int) -> Any:
        return None if part is None else np.take(part, kept, axis=axis)

    mass, scores, sums, targets = table.mass, table.scores, table.score_sums, table.targets
    return replace(
        table,
        groups=tuple(table.groups[place] for place in kept),
        mass=mass and type(mass)(*(of(part, -3) for part in mass)),
        scores=scores and scores._replace(count=of(scores.count, -3), weight=of(scores.weight, -3)),
        score_sums=sums and type(sums)(*(of(part, -3) for part in sums)),
        targets=targets and type(targets)(*(of(part, -1) for part in targets)),
    )
