r"""When a gated adapter cannot hurt: the exact change of accuracy, and the published condition with what it leaves out.

Notable: rows are decided by the base model and by the gated one, so the change of accuracy,

.. math:: \Delta(\tau) = mean\ 1[risk > \tau] (correct_{adapted} - correct_{base}),

is known exactly on them, and its limits are paired. The condition of FairNet (arXiv 2510.19421; this form is derived),

.. math:: \pi_{min} TPR\, d_{min} \ge \pi_{maj} FPR\, d_{maj},

knows how often the gate opens in the vulnerable group (TPR) and elsewhere (FPR), and what the adapter would change
there if it were always on: d_min = accuracy adapted - base in the vulnerable group, d_maj = base - adapted elsewhere.
It is compared as two products: as a ratio it has no value where the gate never opens elsewhere. The change that it
implies is the exact one only if within either group the gate opens independently of what the adapter does; else the
difference,

.. math:: \Delta - (\pi_{min} TPR\, d_{min} - \pi_{maj} FPR\, d_{maj}) = \sum_g \pi_g\, cov_g(open,\ change),

is the selection term: above 0 where the gate picks the rows that gain.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.metrics.clusters import Resampling
from equiray.metrics.estimates import Status
from equiray.metrics.intervals.bootstrap import cell_draws, enough, percentile_interval
from equiray.metrics.intervals.limits import Counted
from equiray.metrics.rates import divide
from equiray.metrics.tables import MISSING
from equiray.mitigation.gating.changes import ExactChange, exact_change, number
from equiray.mitigation.gating.outcomes import GatedOutcomes
from equiray.mitigation.gating.thresholds import check_one_gate

_Array = NDArray[np.float64]


class Condition(NamedTuple):
    """The published condition: shares and rates of 0 to 1, and accuracies as shares (or all as percentages)."""

    prevalence: float
    tpr: float
    fpr: float
    d_min: float
    d_maj: float

    @property
    def gain(self) -> float:
        """The product on the left."""
        return self.prevalence * self.tpr * self.d_min

    @property
    def cost(self) -> float:
        """The product on the right."""
        return (1 - self.prevalence) * self.fpr * self.d_maj

    @property
    def margin(self) -> float:
        """By how much it holds, gain - cost: the change of accuracy that it implies."""
        return self.gain - self.cost

    @property
    def holds(self) -> bool | None:
        """None where it is not estimable."""
        return None if math.isnan(self.margin) else self.gain >= self.cost


class Limited(NamedTuple):
    """A number with bootstrap limits."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class NoHarm:
    """The exact change of one gate's threshold beside the published condition.

    Attributes
    ----------
    gate, threshold, attribute, vulnerable : which gate and threshold; the vulnerable group, and its attribute
    split : str
    confidence : float
        Of all limits.
    exact : ExactChange
    condition : Condition
        Measured over the rows whose group is known, as are the next two.
    margin, selection : Limited
        The implied change, and what it leaves out.
    status : "estimated", "partial", "not_estimable"
        ``partial`` where the limits of `margin` and `selection` rest on too few rows.
    """

    gate: str
    threshold: float
    attribute: str
    vulnerable: str
    split: str
    confidence: float
    exact: ExactChange
    condition: Condition
    margin: Limited
    selection: Limited
    status: Status

    def to_json(self) -> dict[str, Any]:
        """The record; JSON has no infinity: a gate that stays shut has the threshold ``"inf"``."""
        condition = self.condition
        products = {"gain": condition.gain, "cost": condition.cost}
        return {
            **vars(self),
            "threshold": self.threshold if math.isfinite(self.threshold) else str(self.threshold),
            "exact": self.exact.to_json(),
            "condition": {k: number(v) for k, v in (condition._asdict() | products).items()}
            | {"holds": condition.holds},
            "margin": {k: number(v) for k, v in self.margin._asdict().items()},
            "selection": {k: number(v) for k, v in self.selection._asdict().items()},
        }


def no_harm(
    outcomes: GatedOutcomes, threshold: float, attribute: str, vulnerable: str, resampling: Resampling
) -> NoHarm:
    """Exact change and published condition of one gate at a threshold.

    Parameters
    ----------
    outcomes : GatedOutcomes
        Of one gate (`GatedOutcomes.alone`).
    threshold : float
    attribute, vulnerable : str
        The vulnerable group and the attribute or intersection that it belongs to.
    resampling : Resampling
        Confidence of all limits; replicates and seed of those of the margin and the selection term.

    Raises
    ------
    BadInput
        There are several gates, or no such group or attribute.
    """
    check_one_gate(outcomes)
    counts = _counts(outcomes, threshold, attribute, vulnerable)
    measured, drawn = _measured(counts), _measured(cell_draws(counts, resampling))
    limits = [percentile_interval(draws, resampling.confidence) for draws in (drawn.implied, drawn.selection)]
    found = Condition(*(float(part) for part in measured.condition))
    known = not math.isnan(found.margin)
    status: Status = "estimated" if known and enough(_denominators(counts)) else "partial"
    values = [
        Limited(float(value), float(low), float(high)) if known else Limited(*[math.nan] * 3)
        for value, (low, high) in zip((found.margin, measured.selection), limits, strict=True)
    ]
    return NoHarm(
        gate=outcomes.attributes[0],
        threshold=float(threshold),
        attribute=attribute,
        vulnerable=vulnerable,
        split=outcomes.split,
        confidence=resampling.confidence,
        exact=exact_change(outcomes, threshold, attribute, resampling.confidence),
        condition=found,
        margin=values[0],
        selection=values[1],
        status=status if known else "not_estimable",
    )


def condition(outcomes: GatedOutcomes, threshold: float, attribute: str, vulnerable: str) -> Condition:
    """The published condition of one gate at a threshold, without limits; NaN without rows in either group.

    Raises
    ------
    BadInput
        As `no_harm`.
    """
    check_one_gate(outcomes)
    measured = _measured(_counts(outcomes, threshold, attribute, vulnerable))
    return Condition(*(float(part) for part in measured.condition))


class _Measured(NamedTuple):
    """The five numbers of `Condition`, the change that they imply, and the selection term; arrays [...]."""

    condition: tuple[_Array, _Array, _Array, _Array, _Array]
    implied: _Array
    selection: _Array


def _counts(outcomes: GatedOutcomes, threshold: float, attribute: str, vulnerable: str) -> NDArray[np.int64]:
    """Rows of known group by vulnerable, gate open, base right and adapted right, each no or yes, [2, 2, 2, 2]."""
    _, groups, code = outcomes.grouped(attribute)
    if vulnerable not in groups or vulnerable == MISSING:
        known = ", ".join(name for name in groups if name != MISSING)
        raise BadInput(f"no group {vulnerable!r}", place=f"groups of {attribute!r}", fix=f"name one of: {known}")
    right = (outcomes.probability > 0.5) == (outcomes.label[:, None] == 1)
    place = (code == groups.index(vulnerable)) * 8 + outcomes.opened(threshold)[:, 0] * 4 + right @ np.array([2, 1])
    known = code != groups.index(MISSING) if MISSING in groups else np.ones(outcomes.rows, bool)
    return np.bincount(place[known], minlength=16).reshape(2, 2, 2, 2)


def _measured(counts: NDArray[np.int64]) -> _Measured:
    """From counts [..., 2, 2, 2, 2] of `_counts`; NaN without rows in either group."""
    rows = counts.sum((-1, -2, -3))  # [..., 2]
    gained = counts[..., 0, 1] - counts[..., 1, 0]  # [..., 2, 2]: wrong then right, less right then wrong
    prevalence = divide(rows[..., 1], rows.sum(-1))
    fpr, tpr = np.moveaxis(divide(counts[..., 1, :, :].sum((-1, -2)), rows), -1, 0)
    change_elsewhere, d_min = np.moveaxis(divide(gained.sum(-1), rows), -1, 0)
    condition = (prevalence, tpr, fpr, d_min, -change_elsewhere)
    exact = divide(gained[..., 1].sum(-1), rows.sum(-1))
    implied = prevalence * tpr * d_min + (1 - prevalence) * fpr * change_elsewhere
    return _Measured(condition, implied, exact - implied)


def _denominators(counts: NDArray[np.int64]) -> list[Counted]:
    """Of each group, rows with an open gate, and rows that the adapter makes right or wrong."""
    rows, opened = counts.sum((1, 2, 3)), counts[:, 1].sum((1, 2))
    changed = (counts[..., 0, 1] + counts[..., 1, 0]).sum(1)
    return [Counted(opened, rows), Counted(changed, rows)]
