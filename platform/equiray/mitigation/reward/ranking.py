"""The area under the ROC curve of steps whose cases are drawn more than once: what a cluster bootstrap needs."""

import numpy as np
from numpy.typing import NDArray


class Ranking:
    """The order of one list of scores, kept, so that areas for other weights cost no sorting.

    Parameters
    ----------
    scores : float [N]
    labels : int64 [N]
        0 or 1.
    """

    def __init__(self, scores: NDArray[np.floating], labels: NDArray[np.int64]) -> None:
        self._order = np.argsort(scores, kind="stable")
        ordered = np.asarray(scores)[self._order]
        self._positive = (labels == 1)[self._order]
        # of each distinct score, where its ties begin
        self._starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(ordered) else []

    def areas(self, weights: NDArray[np.floating]) -> NDArray[np.float64]:
        """P(score of an unbiased step > that of a biased one) + P(equal) / 2, for weights [R, N] -> [R].

        NaN where the weight of either label is 0.
        """
        weights = np.asarray(weights, dtype=np.float64)
        if not len(self._starts):
            return np.full(len(weights), np.nan)
        ordered = weights[:, self._order]
        positive = np.add.reduceat(np.where(self._positive, ordered, 0), self._starts, axis=1)
        negative = np.add.reduceat(np.where(self._positive, 0, ordered), self._starts, axis=1)
        below = negative.cumsum(1) - negative
        with np.errstate(invalid="ignore", divide="ignore"):
            return (positive * (below + negative / 2)).sum(1) / (positive.sum(1) * negative.sum(1))

    def area(self) -> float:
        """With every step once."""
        return float(self.areas(np.ones((1, len(self._order))))[0])
