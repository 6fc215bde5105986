"""From logits to probabilities: one slope (temperature), or slope and intercept (Platt), fitted by likelihood.

Targets are Platt's: (n_1 + 1) / (n_1 + 2) and 1 / (n_0 + 2) in place of 1 and 0, so that labels which the logits
separate do not drive the slope to infinity (Platt 1999; Guo et al. 2017 for the temperature).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from equiray.errors import BadInput
from equiray.specs.reward_model import CalibrationMethod

_SMALLEST_SLOPE = 1e-3
"""A model that ranks the labels the wrong way round is not turned round: its probabilities are nearly constant."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """p(unbiased) = σ(slope logit + intercept); the temperature is 1 / slope."""

    slope: float = 1.0
    intercept: float = 0.0

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Of any shape."""
        return expit(self.slope * np.asarray(logits, dtype=np.float64) + self.intercept)


def fit_calibration(
    logits: NDArray[np.floating],
    labels: NDArray[np.int64],
    method: CalibrationMethod,
    *,
    weights: NDArray[np.float64] | None = None,
    place: str,
) -> Calibration:
    """Fit by maximum likelihood.

    Parameters
    ----------
    logits : float [N]
    labels : int64 [N]
        0 or 1.
    method : {"temperature", "platt"}
    weights : float64 [N], optional
        How many steps each stands for.
    place : str
        Where the labels come from, for errors.

    Raises
    ------
    BadInput
        All labels are one.
    """
    weight = np.ones(len(labels)) if weights is None else weights
    counts = np.bincount(labels, weights=weight, minlength=2)
    if len(np.unique(labels)) < 2:
        raise BadInput(
            f"{len(labels)} labels, all {labels[0] if len(labels) else 'missing'}",
            place=place,
            fix="label steps of both kinds, 0 biased and 1 unbiased",
        )
    target = np.where(labels == 1, (counts[1] + 1) / (counts[1] + 2), 1 / (counts[0] + 2))
    x = np.asarray(logits, dtype=np.float64)
    free = 2 if method == "platt" else 1

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = parameters[0] * x + (parameters[1] if free == 2 else 0.0)
        error = weight * (expit(z) - target) / weight.sum()
        value = float((weight * (np.logaddexp(0, z) - target * z)).sum() / weight.sum())
        return value, np.array([(error * x).sum(), error.sum()])[:free]

    bounds = [(_SMALLEST_SLOPE, None), (None, None)][:free]
    found = minimize(loss, np.array([1.0, 0.0])[:free], jac=True, method="L-BFGS-B", bounds=bounds).x
    return Calibration(slope=float(found[0]), intercept=float(found[1]) if free == 2 else 0.0)
