"""The out-of-support guard: far from all that was seen in training, nobody knows what an adapter does."""

import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn


class Support(nn.Module):
    """A Mahalanobis ball around the training rows' mean-pooled states at the detector's layer.

    Its covariance is that of standardised columns, shrunk after Ledoit and Wolf; its radius is the quantile of the
    training rows' own distances.
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
        center, scale = features.double().mean(0), features.double().std(0).clamp_min(torch.finfo(torch.float32).tiny)
        found = LedoitWolf(assume_centered=True).fit(((features - center) / scale).numpy())
        whiten = torch.linalg.cholesky(torch.from_numpy(found.precision_)) / scale[:, None]
        made = cls(center.float(), whiten.float(), torch.zeros(()))
        made.radius = torch.quantile(made.distance(features), 1 - outside)
        return made

    def distance(self, features: Tensor) -> Tensor:
        """Mahalanobis distance, float32 [N], of features [N, D]."""
        return ((features - self.center) @ self.whiten).norm(dim=1)

    def inside(self, features: Tensor) -> Tensor:
        """Whether rows are like those of training, bool [N]."""
        return self.distance(features) <= self.radius
