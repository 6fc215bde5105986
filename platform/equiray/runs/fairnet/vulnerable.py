"""Which group a gate is for where the spec names none: the one that the base serves worst."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from equiray.data.schema import MISSING_GROUP
from equiray.errors import BadInput
from equiray.runs.fairnet.planning import PlannedTask

FEWEST_ROWS = 30
"""Cells with fewer validation rows steer nothing: a handful of rows would choose by chance."""


def worst_group(
    planned: PlannedTask, gate: str, score: NDArray[np.float64], known: Mapping[str, NDArray[np.bool_]]
) -> str:
    """The group with the least accurate cell on validation rows, of those that an adapter can be trained for.

    Parameters
    ----------
    planned : PlannedTask
    gate : str
    score : float64 [N]
        The base's probability of the positive class, of validation rows.
    known : mapping from split to bool [N]
        Of which training and validation rows groups are known; the others are not looked at.

    Raises
    ------
    BadInput
        No group has enough validation rows of a label, and training rows of both.
    """
    check_candidates(planned, gate, known)
    rows = planned.rows("validation")[known["validation"]]
    right = (score[known["validation"]] > 0.5) == (planned.labels(rows) == 1)
    cells = _cells(planned, gate, rows)
    worst = {
        name: min(float(right[cell].mean()) for cell in cells[name] if cell.sum() >= FEWEST_ROWS)
        for name in candidates(planned, gate, known)
    }
    return min(worst, key=lambda name: worst[name])


def check_candidates(planned: PlannedTask, gate: str, known: Mapping[str, NDArray[np.bool_]]) -> None:
    """Raise BadInput where no group may turn out to be the worst; what the base says is not needed to know that."""
    if not candidates(planned, gate, known):
        raise BadInput(
            f"no group of {gate} has {FEWEST_ROWS} validation rows of one label and training rows of both, among "
            f"{int(known['validation'].sum())} and {int(known['train'].sum())} rows whose group is known",
            place=f"task {planned.name}",
            fix="use more rows, raise `detector.label_share`, or name the group: `vulnerable`",
        )


def candidates(planned: PlannedTask, gate: str, known: Mapping[str, NDArray[np.bool_]] | None = None) -> list[str]:
    """Groups that may turn out to be the worst: `learnable`, and with enough validation rows of a label."""
    rows = planned.rows("validation")
    cells = _cells(planned, gate, rows if known is None else rows[known["validation"]])
    can = learnable(planned, gate, None if known is None else known["train"])
    return [name for name in can if any(cell.sum() >= FEWEST_ROWS for cell in cells.get(name, ()))]


def _cells(planned: PlannedTask, gate: str, rows: NDArray[np.int64]) -> dict[str, list[NDArray[np.bool_]]]:
    """Of each group which of some rows have either label."""
    groups, label = planned.examples.attributes[gate][rows], planned.labels(rows)
    return {name: [(groups == name) & (label == y) for y in (0, 1)] for name in np.unique(groups).tolist()}


def learnable(planned: PlannedTask, gate: str, known: NDArray[np.bool_] | None = None) -> list[str]:
    """Groups with training rows of both labels inside and in other groups, in the order of their names.

    `known` [n]: the training rows whose group may be looked at; default: all.
    """
    rows = planned.rows("train")
    rows = rows if known is None else rows[known]
    rows = rows[planned.examples.attributes[gate][rows] != MISSING_GROUP]
    groups, labels = planned.examples.attributes[gate][rows], planned.labels(rows)
    cells = {name: np.bincount(labels[groups == name], minlength=2) for name in np.unique(groups).tolist()}
    total = np.bincount(labels, minlength=2)
    return [name for name, cell in cells.items() if cell.all() and (total - cell).all()]
