"""GroupDRO (Sagawa et al. 2020, arXiv 1911.08731, algorithm 1): the loss of the worst cells counts most."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STEP = 0.01
"""The authors' step size of the cells' weights."""


class GroupDro:
    """Reduces a batch's losses; pass it to `equiray.mitigation.fairnet.fit`, once for each training.

    Parameters
    ----------
    cell : int64 [N]
        Cell, label x group, of each training row.
    step : float
        By exp(step x its loss) a cell's weight grows at every batch that holds rows of it.
    """

    def __init__(self, cell: NDArray[np.int64], step: float = STEP) -> None:
        self.cell, self.step = torch.from_numpy(cell), step
        self.weight = torch.full((int(cell.max()) + 1,), 1.0)

    def __call__(self, losses: Tensor, rows: Tensor) -> Tensor:
        """Weighted sum of the cells' mean losses, []."""
        self.cell, self.weight = self.cell.to(losses.device), self.weight.to(losses.device)
        cell, count = self.cell[rows], len(self.weight)
        size = torch.bincount(cell, minlength=count)
        mean = losses.new_zeros(count).index_add(0, cell, losses) / size.clamp(min=1)
        self.weight = self.weight * torch.exp(self.step * mean.detach())
        self.weight = self.weight / self.weight.sum()
        return (self.weight * mean).sum()
