"""The base model: a backbone with a linear head, its upper layers trained on cached states of the frozen ones.

Where none is frozen, embeddings and all layers are trained, from the rows themselves (`RawRows`).

Notable: `fit` is the one training loop for the base and for every baseline, which differ in how they reduce the losses
of a batch's rows; the checkpoint with the best validation accuracy is kept. Dropout is off: on a CPU it costs more than
it brings in an epoch or two.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from equiray.errors import BadInput
from equiray.mitigation.fairnet.batches import Rows, shuffled_batches, sorted_batches
from equiray.mitigation.fairnet.cached import BATCH_ROWS, LowerStates, Progress
from equiray.mitigation.fairnet.draws import drawing, torch_drawing
from equiray.mitigation.fairnet.raw import RawRows, embed_rows
from equiray.models.backbones import Backbone, States
from equiray.specs.fairnet import TrainingSpec

_CHECKS_PER_EPOCH = 2
_WARMUP = 0.05
_GRADIENT_NORM = 1.0
_HEAD_DEVIATION = 0.02

Labels = NDArray[np.int64]

Lower: TypeAlias = LowerStates | RawRows
"""What a classifier starts from: states of the frozen layers or, where there are none, the rows themselves."""

Reducer = Callable[[Tensor, Tensor], Tensor]
"""Makes one number of a batch's losses, float32 [n], and its row numbers, int64 [n]."""


class Classifier(nn.Module):
    """Logits of rows from their states before some layer.

    Attributes
    ----------
    backbone : Backbone
        Layers from `frozen_layers` on, and the final norm, are this classifier's own; from 0 on the embeddings, too.
    head : Linear
        Feature to logits.
    """

    def __init__(self, backbone: Backbone, *, frozen_layers: int, classes: int = 2, seed: int = 0) -> None:
        super().__init__()
        if not 0 <= frozen_layers <= backbone.depth:
            raise BadInput(
                f"{frozen_layers} of {backbone.depth} layers frozen", place="backbone.frozen_layers", fix="lower it"
            )
        self.frozen_layers, self.classes = frozen_layers, classes
        self.backbone = backbone.copied_above(frozen_layers)
        self.head = nn.Linear(backbone.width, classes).to(backbone.device)
        with torch.no_grad():
            drawn = torch.randn(self.head.weight.shape, generator=torch_drawing(seed, "head"))
            self.head.weight.copy_(drawn * _HEAD_DEVIATION)
            self.head.bias.zero_()

    def trained(self) -> dict[str, nn.Parameter]:
        """What `fit` moves, by name."""
        own: dict[str, nn.Module] = {str(i): self.backbone.layers[i] for i in self._own_layers}
        if self.frozen_layers == 0:
            own["embeddings"] = self.backbone.embeddings
        own |= {"norm": self.backbone.norm, "head": self.head}
        return {f"{place}.{name}": p for place, module in own.items() for name, p in module.named_parameters()}

    @property
    def _own_layers(self) -> range:
        return range(self.frozen_layers, self.backbone.depth)

    def read(self, lower: Lower, rows: Rows) -> States:
        """States of some rows before layer `lower.layer`."""
        if isinstance(lower, RawRows):
            return embed_rows(self.backbone, lower.inputs, rows)
        return lower.batch(rows, self.backbone.device)

    def features(self, states: States, layer: int) -> Tensor:
        """Pooled features, float32 [N, D], of states before layer `layer`."""
        with self.backbone.computing():
            return self.backbone.features_from(states, layer)

    def logits(self, states: States, layer: int) -> Tensor:
        """Float32 [N, classes], of states before layer `layer`."""
        return self.head(self.features(states, layer))

    @torch.no_grad()
    def predict(self, lower: Lower, batch_rows: int = BATCH_ROWS) -> Tensor:
        """Logits of rows, float32 [N, classes] on the CPU."""
        made = torch.empty(len(lower), self.classes)
        for rows in sorted_batches(lower.lengths, batch_rows):
            made[torch.from_numpy(rows)] = self.logits(self.read(lower, rows), lower.layer).cpu()
        return made


class Checked(NamedTuple):
    """A look at validation rows after so many steps."""

    step: int
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a training run says of itself: the mean loss of each step, and the checkpoints; `best` is the one kept."""

    losses: tuple[float, ...]
    checks: tuple[Checked, ...]
    best: Checked | None


class Validation(NamedTuple):
    """Rows that choose the checkpoint: by their accuracy or, where `cell` [N] is given, by that of the worst cell.

    Rows of a cell below 0 count for no cell.
    """

    lower: Lower
    labels: Labels
    cell: Labels | None = None

    def accuracy(self, classifier: Classifier) -> float:
        """Share decided rightly."""
        right = classifier.predict(self.lower).argmax(1).numpy() == self.labels
        if self.cell is None:
            return float(right.mean())
        return min(float(right[self.cell == each].mean()) for each in np.unique(self.cell[self.cell >= 0]))


def mean_loss(losses: Tensor, rows: Tensor) -> Tensor:
    """Empirical risk: all rows alike."""
    return losses.mean()


def fit(
    classifier: Classifier,
    lower: Lower,
    labels: Labels,
    *,
    spec: TrainingSpec,
    seed: int,
    stage: str = "base",
    reduce: Reducer = mean_loss,
    validation: Validation | None = None,
    people: int | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Train a classifier's own layers and head in place.

    Adam, gradients clipped at norm 1, learning rate warmed up over the first steps and then lowered to 0 on a line.

    Parameters
    ----------
    classifier : Classifier
    lower : LowerStates or RawRows
        Of the training rows, before any layer that is trained.
    labels : int64 [N]
    spec : TrainingSpec
    seed, stage
        Where the order of rows is drawn from.
    reduce : callable
        Loss of a batch from its rows' cross entropies and row numbers; GroupDRO, JTT and weights stand here.
    validation : Validation, optional
        The checkpoint with the best accuracy there is kept, of equals the earliest; without it the last one.
    people : int, optional
        Rows that `spec.epochs` counts, so that rows with twins get no more steps than rows alone; default: all.
    progress : callable, optional
    """
    check_rows(lower, labels, classifier)
    parameters = classifier.trained()
    steps, wanted = _schedule(people or len(lower), spec)
    optimizer = torch.optim.Adam(parameters.values(), lr=spec.learning_rate)
    warmup = max(1, round(_WARMUP * steps))
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))
    )
    targets, device = torch.from_numpy(labels), classifier.backbone.device
    losses: list[float] = []
    checks: list[Checked] = []
    best: dict[str, Tensor] = {}
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    for step, rows in enumerate(_order(lower, spec, seed, stage, steps), start=1):
        logits = classifier.logits(classifier.read(lower, rows), lower.layer)
        chosen = torch.from_numpy(rows)
        each = cross_entropy(logits, targets[chosen].to(device), reduction="none")
        descend(reduce(each, chosen.to(device)), optimizer)
        rate.step()
        losses.append(float(each.detach().mean()))
        if progress is not None:
            progress(len(rows))
        if validation is not None and step in wanted:
            checks.append(Checked(step, validation.accuracy(classifier)))
            if checks[-1].accuracy > max((check.accuracy for check in checks[:-1]), default=-1.0):
                best = {name: p.detach().clone() for name, p in parameters.items()}
    for name, parameter in parameters.items():
        parameter.requires_grad_(False)
        if name in best:
            parameter.copy_(best[name])
    kept = max(checks, key=lambda check: (check.accuracy, -check.step), default=None)
    return Fitted(losses=tuple(losses), checks=tuple(checks), best=kept)


def descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """One step downhill, gradients clipped at norm 1."""
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], _GRADIENT_NORM)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def row_losses(classifier: Classifier, lower: Lower, labels: Labels) -> Tensor:
    """Cross entropy of each row, float32 [N]."""
    return cross_entropy(classifier.predict(lower), torch.from_numpy(labels), reduction="none")


def check_rows(lower: Lower, labels: Labels, classifier: Classifier) -> None:
    """Raise `BadInput` unless states and labels are of the same rows, and a classifier can be trained on them."""
    present = np.unique(labels)
    if len(lower) != len(labels):
        raise BadInput(f"{len(lower)} rows, {len(labels)} labels", place="training rows", fix="pass one label per row")
    if present.min() < 0 or present.max() >= classifier.classes or len(present) < 2:
        raise BadInput(
            f"labels {present.tolist()} of {classifier.classes} classes",
            place="training rows",
            fix="code the labels 0, 1, ..., and have two of them or more",
        )
    if classifier.frozen_layers == 0 and isinstance(lower, LowerStates):
        raise BadInput(
            f"states after {lower.layer} layers, but no layer is frozen and the embeddings are trained, too",
            place="backbone.frozen_layers",
            fix="pass the rows themselves, or freeze a layer",
        )
    if lower.layer > classifier.frozen_layers:
        raise BadInput(
            f"states after {lower.layer} layers, but layers from {classifier.frozen_layers} on are trained",
            place="backbone.frozen_layers",
            fix="cache fewer layers",
        )


def _schedule(rows: int, spec: TrainingSpec) -> tuple[int, set[int]]:
    """Number of steps, and after which of them validation is looked at."""
    steps = steps_of(rows, spec)
    checks = max(1, round(spec.epochs * _CHECKS_PER_EPOCH))
    return steps, {math.ceil(steps * (i + 1) / checks) for i in range(checks)}


def steps_of(rows: int, spec: TrainingSpec) -> int:
    """Batches in `spec.epochs` passes over so many rows."""
    return max(1, math.ceil(spec.epochs * math.ceil(rows / spec.batch_rows)))


def _order(lower: Lower, spec: TrainingSpec, seed: int, stage: str, steps: int) -> list[Rows]:
    batches: list[Rows] = []
    for epoch in range(math.ceil(spec.epochs)):
        batches += shuffled_batches(lower.lengths, spec.batch_rows, drawing(seed, stage, epoch))
    return batches[:steps]
