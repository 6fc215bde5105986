"""Choose the thresholds of gates on validation rows: the best worst cell that accuracy and the budget allow.

Notable: keeping every gate shut is always a candidate, so a choice never has to do harm. What is chosen is optimistic
on the rows that chose it; the test split is to be read once, at the chosen thresholds.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.fairnet_spec import ThresholdSpec
from equiray.metrics.disparities import Array
from equiray.mitigation.gating.thresholds import Sweep

_CHOOSES = "validation"
_ROUNDING = 1e-12  # of a difference of two shares


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Chosen thresholds, and what they do on the rows that chose them.

    Attributes
    ----------
    attribute : str
        Whose cells were looked at.
    thresholds : tuple of float
        Of each gate; inf where it stays shut.
    figures, base : dict
        By metric id, at the thresholds and with every gate shut; NaN is not estimable.
    worst_cell, base_worst_cell : float
        Worst accuracy of the cells that steered the choice; NaN if none did.
    left_out : tuple of str
        Cells with too few rows to steer it.
    candidates, feasible : int
        Thresholds looked at, and those that keep the constraints.
    reason : str
    """

    attribute: str
    thresholds: tuple[float, ...]
    figures: dict[str, float]
    base: dict[str, float]
    worst_cell: float
    base_worst_cell: float
    left_out: tuple[str, ...]
    candidates: int
    feasible: int
    reason: str

    @property
    def closed(self) -> bool:
        """Whether every gate stays shut."""
        return all(threshold == math.inf for threshold in self.thresholds)

    def to_json(self) -> dict[str, Any]:
        """The record; JSON has neither infinity nor NaN: a gate that stays shut is ``"inf"``, not estimable null."""
        return {
            **vars(self),
            "thresholds": [t if math.isfinite(t) else str(t) for t in self.thresholds],
            "figures": {name: _number(value) for name, value in self.figures.items()},
            "base": {name: _number(value) for name, value in self.base.items()},
            "worst_cell": _number(self.worst_cell),
            "base_worst_cell": _number(self.base_worst_cell),
            "left_out": list(self.left_out),
        }


def choose(of: Sweep, spec: ThresholdSpec) -> Choice:
    """The thresholds with the best worst cell (`Sweep.worst_cell`) under the constraints.

    Accuracy of all rows may fall `max_accuracy_loss` below that with every gate shut, and `max_open` of the rows may
    have an open gate. Ties go to the smaller open share, then to the higher accuracy, then to higher thresholds.

    Parameters
    ----------
    of : Sweep
        Of validation rows, from `thresholds.sweep` or `grid`.
    spec : ThresholdSpec

    Raises
    ------
    BadInput
        The rows are not of the validation split, or every gate shut is not among the candidates.
    """
    if of.split != _CHOOSES:
        raise BadInput(
            f"thresholds chosen on the {of.split} split would be read on rows that they were fitted to",
            place=f"outcomes of the {of.split} split",
            fix="choose on validation outcomes, and read the test split at the chosen thresholds",
        )
    shut = _every_gate_shut(of)
    accuracy, opened = of.figures["accuracy"], of.figures["activation_rate"]
    keeps = accuracy[shut] - accuracy <= spec.max_accuracy_loss + _ROUNDING
    allowed = np.flatnonzero(keeps & (opened <= spec.max_open + _ROUNDING))
    place, reason = _best(of, allowed, shut)
    return Choice(
        attribute=of.attribute,
        thresholds=tuple(of.thresholds[place].tolist()),
        figures=of.at(place),
        base=of.at(shut),
        worst_cell=float(of.worst_cell[place]),
        base_worst_cell=float(of.worst_cell[shut]),
        left_out=of.left_out,
        candidates=len(of.thresholds),
        feasible=len(allowed),
        reason=reason,
    )


def _best(of: Sweep, allowed: NDArray[np.intp], shut: int) -> tuple[int, str]:
    if np.isnan(of.worst_cell[shut]):
        return shut, f"no cell of {of.attribute} has enough rows to choose by: every gate stays shut"
    keys: list[Array] = [*of.thresholds[allowed].T, of.figures["accuracy"][allowed]]
    keys += [-of.figures["activation_rate"][allowed], of.worst_cell[allowed]]
    place = int(allowed[np.lexsort(keys)[-1]])
    if place == shut:
        return shut, "no thresholds within the constraints make the worst cell better: every gate stays shut"
    return place, "the best worst cell within the constraints"


def _every_gate_shut(of: Sweep) -> int:
    found = np.flatnonzero((of.thresholds == np.inf).all(1))
    if not len(found):
        raise BadInput(
            "no candidate keeps every gate shut", place="thresholds", fix="add a threshold of inf for every gate"
        )
    return int(found[0])


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
