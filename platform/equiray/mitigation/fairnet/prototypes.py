"""Where the majority's rows of a class lie: the mean of their normalised frozen features, or several by k-means."""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn.functional import normalize

from equiray.errors import BadInput


def majority_prototypes(
    features: Tensor, labels: NDArray[np.int64], majority: NDArray[np.bool_], classes: int, per_cell: int, seed: int
) -> Tensor:
    """Normalised prototypes, float32 [classes, per_cell, D], of the majority's rows of each class.

    Parameters
    ----------
    features : float32 [N, D]
        Of the base, adapters off.
    labels : int64 [N]
    majority : bool [N]
    classes, per_cell : int
        `per_cell` 1 is the mean; more are the centres of a k-means clustering of the cell.
    seed : int
        Where k-means starts.

    Raises
    ------
    BadInput
        A class has fewer rows in the majority than prototypes.
    """
    cells = []
    for label in range(classes):
        rows = np.flatnonzero(majority & (labels == label))
        if len(rows) < per_cell:
            raise BadInput(
                f"class {label} has {len(rows)} rows outside the vulnerable group, for {per_cell} prototypes",
                place="adapter.prototypes",
                fix="ask for fewer prototypes, or bring more rows",
            )
        cell = normalize(features[torch.from_numpy(rows)].float(), dim=1)
        cells.append(cell.mean(0, keepdim=True) if per_cell == 1 else _centres(cell, per_cell, seed))
    return normalize(torch.stack(cells), dim=2)


def _centres(cell: Tensor, count: int, seed: int) -> Tensor:
    found = KMeans(n_clusters=count, random_state=seed).fit(cell.numpy())
    return torch.from_numpy(found.cluster_centers_.astype(np.float32))
