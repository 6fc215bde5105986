"""The out-of-support guard: far from all that was seen in training, nobody knows what an adapter does."""

import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn


class Support(nn.Module):
    """A Mahalanobis ball around the training rows' mean-pooled states at the detector's layer.

    Its covariance is shrunk after Ledoit and Wolf, its radius the quantile of the training rows' own distances.
    """

    center: Tensor
    whiten: Tensor
    radius: Tensor

    def __init__(self, center: Tensor, whiten: Tensor, radius: Tensor) -> None:
        super().__init__()
        self.register_buffer("center", center)
        self.register_buffer("whiten", whiten)
        self.register_buffer("radius", radius)

    @classmethod
    def fit(cls, features: Tensor, outside: float) -> "Support":
        """Learn from float32 [N, D], of which a share `outside` is to lie outside."""
        found = LedoitWolf().fit(features.double().numpy())
        center, precision = (torch.from_numpy(part).float() for part in (found.location_, found.precision_))
        made = cls(center, torch.linalg.cholesky(precision), torch.zeros(()))
        made.radius = torch.quantile(made.distance(features), 1 - outside)
        return made

    def distance(self, features: Tensor) -> Tensor:
        """Mahalanobis distance, float32 [N], of features [N, D]."""
        return ((features - self.center) @ self.whiten).norm(dim=1)

    def inside(self, features: Tensor) -> Tensor:
        """Whether rows are like those of training, bool [N]."""
        return self.distance(features) <= self.radius
