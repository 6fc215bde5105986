"""Choose the thresholds of gates on validation rows: the best worst cell that accuracy and the budget allow.

Where the groups of validation rows are not known, the best accuracy stands in for the best worst cell.

Notable: keeping every gate shut is always a candidate, so a choice never has to do harm. What is chosen is optimistic
on the rows that chose it; the test split is to be read once, at the chosen thresholds.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.metrics.disparities import Array
from equiray.mitigation.gating.changes import number
from equiray.mitigation.gating.thresholds import Sweep
from equiray.specs.fairnet import ThresholdSpec

By = Literal["worst_cell", "accuracy"]

_CHOOSES = "validation"
_WORDS: dict[By, str] = {"worst_cell": "the worst cell", "accuracy": "accuracy"}
_ROUNDING = 1e-12  # of a difference of two shares


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Chosen thresholds, and what they do on the rows that chose them.

    Attributes
    ----------
    attribute : str
        Whose cells were looked at.
    by : "worst_cell" or "accuracy"
        What was made as good as the constraints allow.
    thresholds : tuple of float
        Of each gate; inf where it stays shut.
    figures, base : dict
        By metric id, at the thresholds and with every gate shut; NaN is not estimable.
    worst_cell, base_worst_cell : float
        Worst accuracy of the cells that steered the choice; NaN if none did, as where accuracy was chosen by.
    left_out : tuple of str
        Cells with too few rows to steer it.
    candidates, feasible : int
        Thresholds looked at, and those that keep the constraints.
    reason : str
    """

    attribute: str
    by: By
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
            "figures": {name: number(value) for name, value in self.figures.items()},
            "base": {name: number(value) for name, value in self.base.items()},
            "worst_cell": number(self.worst_cell),
            "base_worst_cell": number(self.base_worst_cell),
            "left_out": list(self.left_out),
        }


def choose(of: Sweep, spec: ThresholdSpec, by: By = "worst_cell") -> Choice:
    """The thresholds with the best worst cell (`Sweep.worst_cell`), or accuracy, under the constraints.

    Accuracy of all rows may fall `max_accuracy_loss` below that with every gate shut, and `max_open` of the rows may
    have an open gate. Ties go to the smaller open share, then to the higher accuracy, then to higher thresholds.

    Parameters
    ----------
    of : Sweep
        Of validation rows, from `thresholds.sweep` or `grid`.
    spec : ThresholdSpec
    by : "worst_cell" or "accuracy"
        ``accuracy`` looks at no group.

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
    place, reason = _best(of, allowed, shut, by)
    return Choice(
        attribute=of.attribute,
        by=by,
        thresholds=tuple(of.thresholds[place].tolist()),
        figures=_looked_at(of.at(place), by),
        base=_looked_at(of.at(shut), by),
        worst_cell=float(of.worst_cell[place]) if by == "worst_cell" else math.nan,
        base_worst_cell=float(of.worst_cell[shut]) if by == "worst_cell" else math.nan,
        left_out=of.left_out,
        candidates=len(of.thresholds),
        feasible=len(allowed),
        reason=reason,
    )


def _best(of: Sweep, allowed: NDArray[np.intp], shut: int, by: By) -> tuple[int, str]:
    if by == "worst_cell" and np.isnan(of.worst_cell[shut]):
        return shut, f"no cell of {of.attribute} has enough rows to choose by: every gate stays shut"
    keys: list[Array] = [*of.thresholds[allowed].T, of.figures["accuracy"][allowed]]
    keys += [-of.figures["activation_rate"][allowed]]
    keys += [of.worst_cell[allowed] if by == "worst_cell" else of.figures["accuracy"][allowed]]
    place = int(allowed[np.lexsort(keys)[-1]])
    if place == shut:
        return shut, f"no thresholds within the constraints make {_WORDS[by]} better: every gate stays shut"
    return place, f"the best {_WORDS[by].removeprefix('the ')} within the constraints"


def _looked_at(figures: dict[str, float], by: By) -> dict[str, float]:
    """Of a choice by accuracy no figure of groups."""
    of_all = ("accuracy", "activation_rate")
    return figures if by == "worst_cell" else {name: figures[name] for name in of_all}


def _every_gate_shut(of: Sweep) -> int:
    found = np.flatnonzero((of.thresholds == np.inf).all(1))
    if not len(found):
        raise BadInput(
            "no candidate keeps every gate shut", place="thresholds", fix="add a threshold of inf for every gate"
        )
    return int(found[0])
