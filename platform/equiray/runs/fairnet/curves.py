"""What thresholds do to the test rows: each gate alone at 200 of them with limits, and two gates together on a grid."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiray.data.schema import MISSING_GROUP
from equiray.mitigation.gating.bands import Band, band
from equiray.mitigation.gating.changes import number
from equiray.mitigation.gating.grid import POINTS, sweep_grid
from equiray.mitigation.gating.outcomes import GatedOutcomes
from equiray.runs.fairnet.seed import Seed

_DECIMALS = 4
_PLANE = 2


def sweeps_of(seed: Seed, test: GatedOutcomes) -> list[dict[str, Any]]:
    """Of every gate, the others shut: figures at quantiles of its risk, and calibration of every group.

    Limits of a figure hold for all thresholds of all gates at once.
    """
    confidence = 1 - (1 - seed.spec.confidence) / (POINTS[1] * len(test.attributes))
    return [
        _sweep(gate, band(test.alone(gate), seed.planned.steering, confidence), chosen)
        for gate, chosen in zip(test.attributes, seed.choice.thresholds, strict=True)
    ]


def _sweep(gate: str, found: Band, chosen: float) -> dict[str, Any]:
    figures, thresholds = found.sweep.figures, found.sweep.thresholds[:, 0]
    worst = found.limits["worst_group_accuracy_cells"]
    return {
        "gate": gate,
        "split": "test",
        "threshold": [threshold(tau) for tau in thresholds.tolist()],
        "accuracy": numbers(figures["accuracy"]),
        "worst_cell": numbers(figures["worst_group_accuracy_cells"]),
        "worst_cell_low": numbers(worst.low),
        "worst_cell_high": numbers(worst.high),
        "equalized_odds_difference_max": numbers(figures["equalized_odds_difference_max"]),
        "open": numbers(figures["activation_rate"]),
        "chosen": _place(thresholds, chosen),
        "calibration": [
            {
                "group": group,
                "ece": numbers(found.ece[:, place]),
                "low": numbers(found.ece_limits.low[:, place]),
                "high": numbers(found.ece_limits.high[:, place]),
            }
            for place, group in enumerate(found.groups)
            if group != MISSING_GROUP
        ],
    }


def grid_of(seed: Seed, test: GatedOutcomes) -> dict[str, Any] | None:
    """Two gates together, exact at every pair of quantiles of their risks; other numbers of gates have no plane."""
    if len(test.attributes) != _PLANE:
        return None
    found = sweep_grid(test, seed.planned.steering)
    taus = found.thresholds.reshape(*found.shape, len(found.shape))
    axes = (taus[:, 0, 0], taus[0, :, 1])
    return {
        "split": "test",
        "gates": list(test.attributes),
        "thresholds": [[threshold(tau) for tau in axis.tolist()] for axis in axes],
        "chosen": [_place(axis, tau) for axis, tau in zip(axes, seed.choice.thresholds, strict=True)],
        **{
            name: [numbers(row) for row in np.round(found.figures[metric], _DECIMALS).reshape(found.shape)]
            for name, metric in (("worst_cell", "worst_group_accuracy_cells"), ("accuracy", "accuracy"))
        },
    }


def threshold(tau: float) -> float | str:
    """A threshold as JSON has it: ``"inf"`` keeps a gate shut."""
    return tau if np.isfinite(tau) else str(tau)


def numbers(values: NDArray[np.floating]) -> list[float | None]:
    """A curve as JSON has it."""
    return [number(value) for value in values.tolist()]


def _place(thresholds: NDArray[np.float32], chosen: float) -> int:
    """The first of some thresholds that opens for no more rows than the chosen one."""
    return int(min(np.searchsorted(thresholds, np.float32(chosen)), len(thresholds) - 1))
