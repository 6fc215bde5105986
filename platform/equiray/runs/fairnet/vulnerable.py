"""Which group a gate is for where the spec names none: the one that the base serves worst."""

import numpy as np
from numpy.typing import NDArray

from equiray.data.schema import MISSING_GROUP
from equiray.errors import BadInput
from equiray.runs.fairnet.planning import PlannedTask

FEWEST_ROWS = 30
"""Cells with fewer validation rows steer nothing: a handful of rows would choose by chance."""


def worst_group(planned: PlannedTask, gate: str, score: NDArray[np.float64]) -> str:
    """The group with the least accurate cell on validation rows, of those that an adapter can be trained for.

    Parameters
    ----------
    planned : PlannedTask
    gate : str
    score : float64 [N]
        The base's probability of the positive class, of validation rows.

    Raises
    ------
    BadInput
        No group has enough validation rows of a label, and training rows of both.
    """
    rows = planned.rows("validation")
    groups, label = planned.examples.attributes[gate][rows], planned.labels(rows)
    right = (score > 0.5) == (label == 1)
    worst: dict[str, float] = {}
    for name in _learnable(planned, gate):
        cells = [right[(groups == name) & (label == y)] for y in (0, 1)]
        counted = [cell.mean() for cell in cells if len(cell) >= FEWEST_ROWS]
        if counted:
            worst[name] = float(min(counted))
    if not worst:
        raise BadInput(
            f"no group of {gate} has {FEWEST_ROWS} validation rows of one label and training rows of both",
            place=f"task {planned.name}",
            fix="use more rows, or name the group: `vulnerable`",
        )
    return min(worst, key=lambda name: worst[name])


def _learnable(planned: PlannedTask, gate: str) -> list[str]:
    """Groups with training rows of both labels inside and outside, in the order of their names."""
    rows = planned.rows("train")
    groups, labels = planned.examples.attributes[gate][rows], planned.labels(rows)
    cells = {name: np.bincount(labels[groups == name], minlength=2) for name in np.unique(groups).tolist()}
    total = np.bincount(labels, minlength=2)
    return [n for n, cell in cells.items() if n != MISSING_GROUP and cell.all() and (total - cell).all()]
