"""`Metric`: a formula with its range, its direction, what 0 means, and the interval it needs.

Notable: `Metric.of` reads a `GroupTable`, and decides once for all metrics who is compared: what compares groups leaves
out the rows whose sensitive value is missing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics import disparities, rates
from equiray.metrics.disparities import Combination
from equiray.metrics.estimates import Direction
from equiray.metrics.rates import Rate
from equiray.metrics.tables import GroupTable

Scope = Literal["group", "relative", "attribute"]
"""One number of each group by itself, of each group against the others, or of the attribute."""

Reads = Literal["mass", "scores", "score_sums", "targets", "twin_decisions", "twin_scores", "neighbourhood"]
"""What the function takes: a part of a `GroupTable`, or a record of `individual`."""

IntervalKind = Combination | Literal["rate", "smooth", "bins", "none"]
"""What the limits are made of.

``rate``: events and trials. ``max_difference``, ``sum``, ``mean``, ``ratio``, ``minimum``: the limits of
`Metric.rates`, combined as the values are; without rates, those of the groups' means. ``smooth``: a smooth function of
sums over rows. ``bins``: a sum of distances, bin by bin. ``none``: rows depend on each other, no limits are known.
"""


class Range(NamedTuple):
    """Smallest and largest value the formula can take."""

    low: float
    high: float


UNIT = Range(0, 1)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One named variant.

    `zero` completes "0 = ...". `rates` are those whose limits make the interval, read off mass (of a metric that reads
    scores: of `thresholds.above_median`). A `binary` metric needs a positive class.
    """

    id: str
    formula: str
    range: Range
    direction: Direction
    zero: str
    scope: Scope
    reads: Reads
    function: Callable[..., Any]
    interval: IntervalKind
    rates: tuple[Rate, ...] = ()
    binary: bool = False

    def of(self, table: GroupTable, positive: str | None = None) -> NDArray[np.float64]:
        """The value of each group [G], or of the attribute []; NaN where it is not estimable.

        What compares groups leaves out the rows whose sensitive value is missing, and reads NaN for their group.

        Parameters
        ----------
        table : GroupTable
        positive : str, optional
            The class against all others, where a `binary` metric meets more than two; default: the last of two.

        Raises
        ------
        ValueError
            The table has not what the metric `reads`, or no class of that name.
        """
        read = table if self.scope == "group" else disparities.without_missing(table)
        part = getattr(read, self.reads, None)
        if part is None:
            raise ValueError(f"{self.id} reads {self.reads}, which the table of {table.attribute} does not have")
        if self.reads == "mass":
            part = rates.amounts(part)
            if self.binary and (positive is not None or len(table.classes) > 2):
                part = rates.one_versus_rest(part, _place(positive, table.classes))
        values = np.asarray(self.function(part), dtype=np.float64)
        if self.scope != "relative":
            return values
        return np.append(values, np.full(len(table.groups) - len(read.groups), np.nan))  # `MISSING` is last


def _place(positive: str | None, classes: tuple[str, ...]) -> int:
    if positive not in classes:
        raise ValueError(f"positive class {positive!r}: name one of {', '.join(classes)}")
    return classes.index(positive)
