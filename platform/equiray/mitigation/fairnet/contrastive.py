"""The contrastive loss: a minority row's feature is drawn to the majority's prototype of its class (methods 2.3).

L_C = [D(z, proto[y]) - min over y' != y of D(z, proto[y']) + m]_+ with D the Euclidean distance of L2-normalised
features; on raw features or squared distances the hinge is shut from the start (arXiv 2510.19421).
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def contrastive_losses(features: Tensor, labels: Tensor, prototypes: Tensor, margin: float) -> Tensor:
    """Hinge of each anchor, float32 [n]; where it is 0 the anchor is near enough and gives no gradient.

    Parameters
    ----------
    features : float32 [n, D]
        Of the anchors, with the adapter on.
    labels : int64 [n]
    prototypes : float32 [classes, P, D]
        Of the majority, normalised; of several the nearest one counts.
    margin : float
    """
    classes, count, width = prototypes.shape
    apart = torch.cdist(
        normalize(features, dim=1), prototypes.reshape(-1, width), compute_mode="donot_use_mm_for_euclid_dist"
    )
    nearest = apart.view(-1, classes, count).amin(2)
    own = nearest.gather(1, labels[:, None])[:, 0]
    other = nearest.scatter(1, labels[:, None], torch.inf).amin(1)
    return (own - other + margin).relu()
