"""Training of one attribute's adapter: task loss and contrastive loss on anchors of the vulnerable group.

L = L_task + λ L_C (methods 2.3). Anchors are drawn with all classes alike, so a rare cell is seen as often as a common
one. All gates are open for anchors and nothing else is in a batch: a row whose gate is closed gives no gradient.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from equiray.errors import BadInput
from equiray.mitigation.fairnet.batches import Rows
from equiray.mitigation.fairnet.classifier import Classifier, Labels, Lower, descend, steps_of
from equiray.mitigation.fairnet.contrastive import contrastive_losses
from equiray.mitigation.fairnet.draws import drawing
from equiray.mitigation.fairnet.gates import Adapter, Opened, gates
from equiray.specs.fairnet import AdapterSpec

_TWIN_SHARE = 0.5


class AdapterStep(NamedTuple):
    """One step: both losses, and the share of anchors whose hinge is open (gives a gradient)."""

    task: float
    contrastive: float
    open_hinges: float


@dataclass(frozen=True, kw_only=True)
class AdapterFit:
    """What an adapter's training says of itself."""

    steps: tuple[AdapterStep, ...]

    @property
    def open_hinges(self) -> float:
        """Mean share of open hinges."""
        return float(np.mean([step.open_hinges for step in self.steps]))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know, in words."""
        if self.open_hinges > 0:
            return ()
        return ("no hinge was open in any step: the contrastive loss did nothing; raise `adapter.margin`",)


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """Rows that an adapter learns from.

    Attributes
    ----------
    lower : LowerStates or RawRows
        Of all training rows.
    rows : int64 [n]
        Those of the vulnerable group.
    labels : int64 [N]
    losses : float32 [N], optional
        Of the base; where given, rows are drawn in proportion to it (hard negatives).
    twins : LowerStates or RawRows, optional
        Label-preserving twins of all training rows; where given, they stand for half of the anchors.
    """

    lower: Lower
    rows: Rows
    labels: Labels
    losses: NDArray[np.float32] | None = None
    twins: Lower | None = None

    def draw(self, count: int, random: np.random.Generator) -> Rows:
        """`count` rows, int64, of each class about alike."""
        classes = np.unique(self.labels[self.rows])
        sizes = [len(part) for part in np.array_split(np.arange(count), len(classes))]
        return np.concatenate([self._of_class(label, size, random) for label, size in zip(classes, sizes, strict=True)])

    def _of_class(self, label: int, count: int, random: np.random.Generator) -> Rows:
        cell = self.rows[self.labels[self.rows] == label]
        if self.losses is None:
            return random.choice(cell, count, replace=count > len(cell))
        weights = self.losses[cell].astype(np.float64) + np.finfo(np.float32).tiny
        return random.choice(cell, count, p=weights / weights.sum())


def fit_adapter(
    adapter: Adapter,
    classifier: Classifier,
    anchors: Anchors,
    prototypes: torch.Tensor,
    *,
    spec: AdapterSpec,
    seed: int,
    stage: str,
) -> AdapterFit:
    """Train an adapter in place (Adam, gradients clipped at norm 1); the classifier stays as it is.

    Parameters
    ----------
    adapter : Adapter
    classifier : Classifier
        The base.
    anchors : Anchors
    prototypes : float32 [classes, P, D]
        Of the majority; see `majority_prototypes`.
    spec : AdapterSpec
        An epoch is as many batches as all training rows would fill.
    seed, stage
        Where anchors are drawn from.

    Raises
    ------
    BadInput
        The vulnerable group has rows of one class only.
    """
    present = np.unique(anchors.labels[anchors.rows]).tolist()
    if len(present) < 2:
        raise BadInput(
            f"the {len(anchors.rows)} vulnerable rows whose group is known have labels {present} only",
            place=f"training rows, {stage}",
            fix="name another vulnerable group, raise `detector.label_share`, or lower `skew`",
        )
    optimizer = torch.optim.Adam(adapter.parameters(), lr=spec.training.learning_rate)
    steps = [
        _step(adapter, classifier, anchors, prototypes, spec, optimizer, drawing(seed, stage, number))
        for number in range(steps_of(len(anchors.lower), spec.training))
    ]
    adapter.requires_grad_(False)
    return AdapterFit(steps=tuple(steps))


def _step(
    adapter: Adapter,
    classifier: Classifier,
    anchors: Anchors,
    prototypes: torch.Tensor,
    spec: AdapterSpec,
    optimizer: torch.optim.Optimizer,
    random: np.random.Generator,
) -> AdapterStep:
    rows = anchors.draw(spec.training.batch_rows, random)
    use_twins = anchors.twins is not None and random.random() < _TWIN_SHARE
    lower = anchors.twins if use_twins and anchors.twins is not None else anchors.lower
    device = classifier.backbone.device
    labels = torch.from_numpy(anchors.labels[rows]).to(device)
    with gates(classifier.backbone, [Opened(adapter, None)]):
        features = classifier.features(classifier.read(lower, rows), lower.layer)
    task = cross_entropy(classifier.head(features), labels)
    hinges = contrastive_losses(features, labels, prototypes, spec.margin)
    descend(task + spec.lambda_contrastive * hinges.mean(), optimizer)
    return AdapterStep(task.item(), hinges.mean().item(), (hinges > 0).float().mean().item())
