"""DFR, deep feature reweighting (Kirichenko et al. 2023, arXiv 2204.02937): only the last layer, on balanced cells.

As the authors' DFR-Val: logistic regressions with an L1 penalty on held-out rows, cells cut to the size of the
smallest, averaged over several such draws; the penalty is chosen on the other half of these rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from equiray.errors import BadInput

DRAWS = 10
FEWEST_ROWS = 20
"""Rows of a smaller cell are left out: all others would be cut to its size."""
STRENGTHS = (1.0, 0.3, 0.1, 0.03)
"""C of scikit-learn's logistic regression, from weak to strong penalty."""

Features = NDArray[np.float32]
Codes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LastLayer:
    """Probability of the positive class: σ of a linear function of standardised features."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercept: float

    def probabilities(self, features: Features) -> NDArray[np.float64]:
        """Float64 [N]."""
        return expit((features - self.mean) / self.deviation @ self.weights + self.intercept)


def fit_last_layer(features: Features, label: Codes, cell: Codes, seed: int) -> LastLayer:
    """Fit on validation rows.

    Parameters
    ----------
    features : float32 [N, D]
        Of the base model.
    label : int64 [N], 0 or 1
    cell : int64 [N]
        Cell, label x group.
    seed : int
        Deals the rows into halves, and draws from cells.

    Raises
    ------
    BadInput
        As `balanced_rows`.
    """
    rng = np.random.default_rng([seed, 2204])
    kept = balanced_rows(label, cell)
    features, label, cell = features[kept], label[kept], cell[kept]
    sizes = np.bincount(cell)
    half = np.zeros(len(label), bool)
    for each in np.flatnonzero(sizes):
        rows = rng.permutation(np.flatnonzero(cell == each))
        half[rows[: len(rows) // 2]] = True
    mean, deviation = features[half].mean(0, dtype=np.float64), features[half].std(0, dtype=np.float64)
    deviation = np.where(deviation > 0, deviation, 1.0)
    known = (features - mean) / deviation
    scored = []
    for strength in STRENGTHS:
        found = _one(known[half], label[half], cell[half], strength, rng)
        right = np.equal(found.predict(known[~half]), label[~half])
        scored.append(min(right[cell[~half] == each].mean() for each in np.flatnonzero(sizes)))
    best = STRENGTHS[int(np.argmax(scored))]
    fits = [_one(known, label, cell, best, rng) for _ in range(DRAWS)]
    return LastLayer(
        mean=mean,
        deviation=deviation,
        weights=np.mean([np.ravel(fit.coef_) for fit in fits], axis=0),
        intercept=float(np.mean([np.ravel(fit.intercept_) for fit in fits])),
    )


def balanced_rows(label: Codes, cell: Codes) -> NDArray[np.bool_]:
    """Rows, bool [N], of cells that are large enough to be learnt from.

    Raises
    ------
    BadInput
        No two cells of unlike labels have `FEWEST_ROWS` rows, so that there is nothing to balance.
    """
    sizes = np.bincount(cell)
    kept = sizes[cell] >= FEWEST_ROWS
    if len(np.unique(label[kept])) < 2:
        raise BadInput(
            f"cells of {sizes.tolist()} validation rows cannot be balanced: either label needs one of {FEWEST_ROWS}",
            place="baselines: dfr",
            fix="leave dfr out, use more rows, or report attributes with fewer groups",
        )
    return kept


def _one(
    known: NDArray[np.float64], label: Codes, cell: Codes, strength: float, rng: np.random.Generator
) -> LogisticRegression:
    """A fit on as many rows of each cell as the smallest has."""
    there = np.unique(cell)
    least = int(np.bincount(cell)[there].min())
    rows = np.concatenate([rng.permutation(np.flatnonzero(cell == each))[:least] for each in there])
    order = int(rng.integers(2**31))  # liblinear visits coordinates in a random order, else the process's own
    fit = LogisticRegression(C=strength, l1_ratio=1.0, solver="liblinear", random_state=order)
    return fit.fit(known[rows], label[rows])
