"""JTT, just train twice (Liu et al. 2021, arXiv 2107.09044): rows that a first model gets wrong weigh more."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

UPWEIGHTS = (2.0, 6.0)
"""Of a row in the error set; as the authors do, the one with the best worst cell on validation rows is taken.

They search 4 to 100 for error sets of a few percent, and take 6 for MultiNLI; on tables a third of the rows may be in
it.
"""


class Weighted:
    """Reduces a batch's losses to their weighted mean; pass it to `equiray.mitigation.fairnet.fit`.

    Parameters
    ----------
    weight : float32 [N]
        Of each training row.
    """

    def __init__(self, weight: NDArray[np.float32]) -> None:
        self.weight = torch.from_numpy(weight)

    def __call__(self, losses: Tensor, rows: Tensor) -> Tensor:
        """Weighted mean, []."""
        self.weight = self.weight.to(losses.device)
        weight = self.weight[rows]
        return (weight * losses).sum() / weight.sum()


def error_weights(right: NDArray[np.bool_], upweight: float) -> Weighted:
    """Rows that the first model decides right have weight 1, the others `upweight`; `right` is [N]."""
    return Weighted(np.where(right, 1.0, upweight).astype(np.float32))
