"""The stages of FairNet: base, detector, prototypes, adapter (arXiv 2510.19421; methods section 2).

Notable: what is frozen is never trained again, so each stage starts from cached states, or from the rows themselves
where nothing is frozen; detector and adapter see the base with the adapters off, and an adapter's training moves the
adapter alone.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equiray.errors import BadInput
from equiray.mitigation.fairnet.adapting import AdapterFit, Anchors, fit_adapter
from equiray.mitigation.fairnet.batches import Rows, sorted_batches
from equiray.mitigation.fairnet.cached import Progress
from equiray.mitigation.fairnet.classifier import (
    Classifier,
    Fitted,
    Labels,
    Lower,
    Validation,
    check_rows,
    fit,
    row_losses,
)
from equiray.mitigation.fairnet.detector import Detector, Flags, detector_targets, fit_detector
from equiray.mitigation.fairnet.fairnet import FairNet, Layers
from equiray.mitigation.fairnet.gates import Adapter
from equiray.mitigation.fairnet.prototypes import majority_prototypes
from equiray.mitigation.fairnet.regimes import Known, known_groups
from equiray.mitigation.fairnet.support import Support
from equiray.models.backbones import Backbone, States
from equiray.specs.fairnet import FairNetSpec

OUTLIERS = "outliers"
"""Name of the one gate of the regime ``unlabelled``."""


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """Rows to learn from.

    Attributes
    ----------
    lower : LowerStates or RawRows
        Before layer `Layers.cached`.
    labels : int64 [N]
    vulnerable : mapping from attribute to bool [N]
        Which rows are of the attribute's vulnerable group; empty in the regime ``unlabelled``.
    twins : LowerStates or RawRows, optional
        A label-preserving twin of each row, for `adapter.augmentation`.
    grouped : mapping from attribute to bool [N], optional
        Which rows have a group at all; default: all.
    """

    lower: Lower
    labels: Labels
    vulnerable: Mapping[str, Flags]
    twins: Lower | None = None
    grouped: Mapping[str, Flags] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """A trained FairNet, and what each attribute's stages say of themselves.

    `detector_s` and `adapter_s` are seconds, of all attributes; what both read of the base counts for the detectors.
    """

    fairnet: FairNet
    detector_losses: Mapping[str, tuple[float, ...]]
    adapters: Mapping[str, AdapterFit]
    detector_s: float
    adapter_s: float

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know, in words."""
        return tuple(f"{name}: {said}" for name, log in self.adapters.items() for said in log.warnings)


def train_base(
    backbone: Backbone,
    rows: TrainingRows,
    validation: Validation,
    spec: FairNetSpec,
    seed: int,
    *,
    classes: int = 2,
    progress: Progress | None = None,
) -> tuple[Classifier, Fitted]:
    """The ERM base."""
    layers = Layers.of(spec, backbone.depth)
    classifier = Classifier(backbone, frozen_layers=layers.frozen, classes=classes, seed=seed)
    fitted = fit(
        classifier, rows.lower, rows.labels, spec=spec.base, seed=seed, validation=validation, progress=progress
    )
    return classifier, fitted


class Readings(NamedTuple):
    """What the base says of N training rows: the loss [N], the pooled feature and the mean of the states that detectors
    read, float32 [N, D] both.
    """

    losses: NDArray[np.float32]
    features: Tensor
    middle: Tensor


@torch.no_grad()
def read_base(classifier: Classifier, rows: TrainingRows, layers: Layers, batch_rows: int) -> Readings:
    """Read the training rows with the base: once for all corrections whose detectors read the same layer."""
    losses = row_losses(classifier, rows.lower, rows.labels).numpy()
    lower, width = rows.lower, classifier.backbone.width
    features, middle = torch.empty(len(lower), width), torch.empty(len(lower), width)
    for part in sorted_batches(lower.lengths, batch_rows):
        states, chosen = _read(classifier, lower, part, layers), torch.from_numpy(part)
        middle[chosen] = states.mean().cpu()
        features[chosen] = classifier.features(states, layers.detector).cpu()
    return Readings(losses, features, middle)


@torch.no_grad()
def _read(classifier: Classifier, lower: Lower, rows: Rows, layers: Layers) -> States:
    """States that a detector reads."""
    with classifier.backbone.computing():
        return classifier.backbone.run(classifier.read(lower, rows), lower.layer, layers.detector)


def correct(
    classifier: Classifier, rows: TrainingRows, spec: FairNetSpec, seed: int, readings: Readings | None = None
) -> Corrected:
    """Train detectors and adapters for a base, which stays as it is.

    `readings` are those of `read_base` for these rows and layers, where the caller has them already.

    Raises
    ------
    BadInput
        No vulnerable group, one with too few rows, or states that were cached above a layer that is needed.
    """
    layers = Layers.of(spec, classifier.backbone.depth)
    check_rows(rows.lower, rows.labels, classifier)
    if rows.lower.layer > layers.cached:
        raise BadInput(
            f"states after {rows.lower.layer} layers, but those after {layers.cached} are needed",
            place="training rows",
            fix=f"cache {layers.cached} layers",
        )
    if spec.adapter.augmentation and (rows.twins is None or len(rows.twins) != len(rows.lower)):
        raise BadInput(
            f"{0 if rows.twins is None else len(rows.twins)} twins of {len(rows.lower)} rows",
            place="adapter.augmentation",
            fix="pass a label-preserving twin of each training row, or switch it off",
        )
    began = time.monotonic()
    stage = _Stage(
        classifier, rows, spec, seed, layers, readings or read_base(classifier, rows, layers, spec.base.batch_rows)
    )
    names = (OUTLIERS,) if spec.detector.regime == "unlabelled" else tuple(rows.vulnerable)
    if not names:
        raise BadInput("no vulnerable group", place="vulnerable", fix="name one, or use the regime `unlabelled`")
    known = {name: stage.known(name) for name in names}
    detectors = {name: stage.detector(name, known[name]) for name in names}
    flagging = time.monotonic()
    adapters = {name: stage.adapter(name, known[name]) for name in names}
    adapted = time.monotonic()
    outside = spec.detector.support
    fairnet = FairNet(
        classifier=classifier,
        detectors={name: made for name, (made, _) in detectors.items()},
        adapters={name: made for name, (made, _) in adapters.items()},
        layers=layers,
        support=None if outside is None else Support.fit(stage.middle, outside).to(classifier.backbone.device),
    )
    return Corrected(
        fairnet=fairnet,
        detector_losses={name: losses for name, (_, losses) in detectors.items()},
        adapters={name: log for name, (_, log) in adapters.items()},
        detector_s=flagging - began,
        adapter_s=adapted - flagging,
    )


class _Stage:
    """What all stages after the base need."""

    def __init__(
        self,
        classifier: Classifier,
        rows: TrainingRows,
        spec: FairNetSpec,
        seed: int,
        layers: Layers,
        readings: Readings,
    ) -> None:
        self.classifier, self.rows, self.spec, self.seed, self.layers = classifier, rows, spec, seed, layers
        self.losses, self.features, self.middle = readings

    def read(self, rows: Rows) -> States:
        """States that a detector reads."""
        return _read(self.classifier, self.rows.lower, rows, self.layers)

    def known(self, name: str) -> Known:
        """Whose group is known, or presumed."""
        vulnerable, grouped = self.rows.vulnerable.get(name), self.rows.grouped.get(name)
        stage = f"labels of {name}"
        return known_groups(vulnerable, self.middle.numpy(), self.spec.detector, self.seed, stage, grouped)

    def detector(self, name: str, known: Known) -> tuple[Detector, tuple[float, ...]]:
        """Train one attribute's detector on the rows whose group is known."""
        spec, stage = self.spec.detector, f"detector of {name}"
        targets = detector_targets(spec.kind, known.vulnerable, self.losses[known.rows], spec.high_loss)
        made = Detector(self.classifier.backbone.width, seed=self.seed, stage=stage)
        made.to(self.classifier.backbone.device)
        losses = fit_detector(
            made,
            lambda rows: self.read(known.rows[rows]),
            self.rows.lower.lengths[known.rows],
            targets,
            spec=spec.training,
            seed=self.seed,
            stage=stage,
        )
        return made, losses

    def adapter(self, name: str, known: Known) -> tuple[Adapter, AdapterFit]:
        """Train one attribute's adapter on the vulnerable rows among those whose group is known."""
        spec, stage, labels = self.spec.adapter, f"adapter of {name}", self.rows.labels
        majority = np.zeros(len(labels), dtype=bool)
        majority[known.rows] = ~known.vulnerable
        prototypes = majority_prototypes(
            self.features, labels, majority, self.classifier.classes, spec.prototypes, self.seed
        )
        anchors = Anchors(
            lower=self.rows.lower,
            rows=known.rows[known.vulnerable],
            labels=labels,
            losses=self.losses if spec.hard_negatives else None,
            twins=self.rows.twins if spec.augmentation else None,
        )
        backbone = self.classifier.backbone
        made = Adapter(
            backbone, first_layer=self.layers.adapter, rank=spec.rank, alpha=spec.alpha, seed=self.seed, stage=stage
        )
        log = fit_adapter(
            made, self.classifier, anchors, prototypes.to(backbone.device), spec=spec, seed=self.seed, stage=stage
        )
        return made, log
