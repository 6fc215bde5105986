"""What every distinct threshold of one gate would do, exactly: one sort of the risks, no pass over rows per threshold.

Notable: between two neighbouring risks a threshold changes nothing, so the distinct risks are all there is. Rows are
sorted by risk; raising the threshold shuts one row's gate after the other, and counts of every cell, group x label x
decision, follow as cumulative sums. From there on all is read off counts, by the same `Rate`s and `Disparity`s as
everywhere. O(N log N) for N rows, whatever the number of thresholds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.metrics.catalogue import METRICS
from equiray.metrics.counting.encoding import smallest
from equiray.metrics.disparities import Disparity
from equiray.metrics.rates import ACCURACY, CELL_ACCURACY, Rate
from equiray.metrics.tables import MISSING
from equiray.mitigation.gating.outcomes import CLOSED, OPEN, GatedOutcomes

_Array = NDArray[np.float64]
_BLOCK = 1 << 14  # thresholds at a time: their counts stay in cache

_SWEPT = (
    "worst_group_accuracy_cells",
    "worst_group_accuracy_groups",
    "equalized_odds_difference_max",
    "equalized_odds_difference_mean",
    "equalized_odds_difference_sum",
    "equal_opportunity_difference",
    "demographic_parity_difference",
)


def _disparity(metric: str) -> Disparity:
    combined = METRICS[metric].interval
    assert combined not in ("rate", "smooth", "bins", "none"), f"{metric} compares groups by their rates"
    return Disparity(METRICS[metric].rates, combined)


DISPARITIES: Mapping[str, Disparity] = {metric: _disparity(metric) for metric in _SWEPT}
"""What is read at every threshold, beside accuracy and the share of rows with an open gate."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sweep:
    """Figures at T thresholds of A gates.

    Attributes
    ----------
    attribute : str
        Whose groups are compared.
    split : str
    rows : int
    thresholds : float32 [T, A]
        Of one gate ascending, from `OPEN` to `CLOSED`; of several the grid in the order of `shape`.
    shape : tuple of int
        Thresholds of each gate on a grid; else (T,).
    figures : mapping of metric id to float64 [T]
        ``accuracy`` of all rows, ``activation_rate``, the share of rows with an open gate, and `DISPARITIES`. NaN where
        a group or cell that is compared has no rows: not estimable.
    worst_cell : float64 [T]
        The worst accuracy of the cells label x group that have enough rows; NaN if none has.
    left_out : tuple of str
        The other cells.
    """

    attribute: str
    split: str
    rows: int
    thresholds: NDArray[np.float32]
    shape: tuple[int, ...]
    figures: Mapping[str, _Array]
    worst_cell: _Array
    left_out: tuple[str, ...]

    def at(self, place: int) -> dict[str, float]:
        """All figures of one of the T thresholds."""
        return {metric: float(values[place]) for metric, values in self.figures.items()}


class Cells(NamedTuple):
    """Cells of an attribute, group x label: `code` [N] = 2 group + label, `rows` [G, 2]; groups are listed in order.

    Rows of no known group are the last group; disparities leave it out, overall accuracy counts it.
    """

    groups: tuple[str, ...]
    code: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, outcomes: GatedOutcomes, attribute: str) -> "Cells":
        grouped = outcomes.grouped(attribute)
        code = 2 * grouped.code.astype(np.int64) + outcomes.label
        rows = np.bincount(code, minlength=2 * len(grouped.groups)).reshape(-1, 2)
        return cls(grouped.groups, code, rows)

    @property
    def compared(self) -> int:
        """Groups that are compared."""
        return len(self.groups) - (MISSING in self.groups)

    def left_out(self, fewest_rows: int) -> NDArray[np.bool_]:
        """Cells of `compared` groups with fewer rows, [G * 2]."""
        return self.rows[: self.compared].reshape(-1) < max(1, fewest_rows)

    def named(self, places: NDArray[np.bool_]) -> tuple[str, ...]:
        """Names of some cells of `compared` groups, with their rows."""
        return tuple(
            f"{self.groups[cell // 2]}, label {cell % 2} ({self.rows[cell // 2, cell % 2]} rows)"
            for cell in np.flatnonzero(places)
        )

    def mass(self, positive: NDArray[np.int64]) -> NDArray[np.int64]:
        """Counts [T, G, 2, 2] by group, label and decision, from positive decisions of each cell [2 G, T]."""
        selected = positive.reshape(len(self.groups), 2, -1)
        found = np.empty((len(self.groups), 2, 2, selected.shape[-1]), np.int64)
        np.subtract(self.rows[:, :, None], selected, out=found[:, :, 0])
        found[:, :, 1] = selected
        return np.moveaxis(found, -1, 0)  # thresholds stay contiguous: rates are taken along them


class Masses(NamedTuple):
    """Counts at some thresholds: `mass` [T, G, 2, 2], and `opened` [T] rows with an open gate."""

    thresholds: NDArray[np.float32]
    mass: NDArray[np.int64]
    opened: NDArray[np.int64]


def sweep(outcomes: GatedOutcomes, attribute: str, *, fewest_rows: int = 1) -> Sweep:
    """Every distinct threshold of one gate.

    Parameters
    ----------
    outcomes : GatedOutcomes
        Of one gate. Of several `GatedOutcomes.alone` gives one; `grid.sweep_grid` sweeps them together.
    attribute : str
        Attribute or intersection whose groups are compared.
    fewest_rows : int
        Cells with fewer do not count for `Sweep.worst_cell`.

    Returns
    -------
    Sweep
        T = distinct risks + 1, one more threshold than there are risks to shut out; T = 1, `CLOSED`, where no risk is
        known.

    Raises
    ------
    BadInput
        There are several gates, or no groups of that attribute.
    """
    check_one_gate(outcomes)
    cells = Cells.of(outcomes, attribute)
    return collect(outcomes, attribute, cells, _every_threshold(outcomes, cells), fewest_rows)


def collect(outcomes: GatedOutcomes, attribute: str, cells: Cells, masses: Iterator[Masses], fewest_rows: int) -> Sweep:
    """A `Sweep` of counts that come block by block."""
    left_out = cells.left_out(fewest_rows)
    parts: list[dict[str, _Array]] = []
    thresholds: list[NDArray[np.float32]] = []
    for block in masses:
        thresholds.append(block.thresholds)
        parts.append(_figures(block, cells, left_out) | {"activation_rate": block.opened / outcomes.rows})
    figures = {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}
    worst_cell = figures.pop("worst cell")
    return Sweep(
        attribute=attribute,
        split=outcomes.split,
        rows=outcomes.rows,
        thresholds=np.concatenate(thresholds),
        shape=(len(worst_cell),),
        figures=figures,
        worst_cell=worst_cell,
        left_out=cells.named(left_out),
    )


def _figures(block: Masses, cells: Cells, left_out: NDArray[np.bool_]) -> dict[str, _Array]:
    everyone = block.mass.sum(1, keepdims=True)
    compared = block.mass[:, : cells.compared]
    rates: dict[Rate, _Array] = {
        rate: rate.of(compared) for rate in {rate for each in DISPARITIES.values() for rate in each.rates}
    }
    found = {metric: each.of_rates([rates[rate] for rate in each.rates]) for metric, each in DISPARITIES.items()}
    found["accuracy"] = ACCURACY.of(everyone)[:, 0]
    if left_out.any():
        kept = rates[CELL_ACCURACY][:, ~left_out]
        found["worst cell"] = kept.min(-1) if kept.shape[1] else np.full(len(kept), np.nan)
    else:
        found["worst cell"] = found["worst_group_accuracy_cells"]
    return found


def _every_threshold(outcomes: GatedOutcomes, cells: Cells) -> Iterator[Masses]:
    """Counts at every distinct threshold, ascending, in blocks."""
    risk = outcomes.risk[:, 0]
    before, after = (outcomes.probability[:, place] > 0.5 for place in (0, 1))
    known = ~np.isnan(risk)
    selected = np.bincount(cells.code, np.where(known, after, before), cells.rows.size).astype(np.int64)
    places = np.flatnonzero(known)
    order = places[np.argsort(risk[places])]
    ordered, code = risk[order], smallest(cells.code)[order]
    change = before[order].astype(np.int8) - after[order]  # what a gate changes as it shuts
    last = np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)]  # of rows with one risk
    first = Masses(np.array([[OPEN if len(order) else CLOSED]]), cells.mass(selected[:, None]), np.array([len(order)]))
    yield first
    for start in range(0, len(order), _BLOCK):
        rows = slice(start, start + _BLOCK)
        moved = [np.cumsum(change[rows] * (code[rows] == cell), dtype=np.int64) for cell in range(len(selected))]
        shut = np.stack(moved) + selected[:, None]
        selected = shut[:, -1]
        kept = np.flatnonzero(last[rows])
        if not len(kept):
            continue
        stop = start + 1 + kept
        thresholds = np.where(stop == len(order), CLOSED, ordered[rows][kept])
        yield Masses(thresholds[:, None], cells.mass(shut[:, kept]), len(order) - stop)


def check_one_gate(outcomes: GatedOutcomes) -> None:
    """Refuse outcomes of several gates."""
    if len(outcomes.attributes) != 1:
        raise BadInput(
            f"{len(outcomes.attributes)} gates: {', '.join(outcomes.attributes)}",
            place="sweep of one threshold",
            fix="take one with `alone`, or several together with `grid.sweep_grid`",
        )
