"""`FairNet`: a base classifier, and per attribute a detector and an adapter (arXiv 2510.19421)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from equiray.errors import BadInput
from equiray.mitigation.fairnet.classifier import Classifier
from equiray.mitigation.fairnet.detector import Detector
from equiray.mitigation.fairnet.gates import Adapter
from equiray.mitigation.fairnet.support import Support
from equiray.specs.fairnet import FairNetSpec

THRESHOLD = 0.5
"""The published one, until one is chosen."""


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Which layers do what, counted from 0.

    Attributes
    ----------
    frozen : int
        Layers below it are nobody's to train; 0: nor are the embeddings frozen.
    detector : int
        Detectors read the states after that many layers.
    adapter : int
        The first layer with adapters: `detector` or above it; as published, ``detector - 1``, the layer whose output
        the detector reads, which is then run again for flagged rows.
    """

    frozen: int
    detector: int
    adapter: int

    @classmethod
    def of(cls, spec: FairNetSpec, depth: int) -> "Layers":
        """A spec's layers with its defaults filled in; where none is frozen, a detector reads halfway up, as published.

        Raises
        ------
        BadInput
            The backbone has not that many, or an adapter would change what a detector reads.
        """
        usual = 0 if spec.backbone.from_scratch else depth * 2 // 3
        frozen = usual if spec.backbone.frozen_layers is None else spec.backbone.frozen_layers
        detector = (frozen or depth // 2) if spec.detector.layer is None else spec.detector.layer
        adapter = detector if spec.adapter.first_layer is None else spec.adapter.first_layer
        has = f"the backbone has {depth} layers"
        bounds = {
            "backbone.frozen_layers": (frozen, 0, depth, has),
            "detector.layer": (
                detector,
                0,
                depth - (spec.adapter.first_layer is None),
                f"{has}, one above for adapters",
            ),
            "adapter.first_layer": (
                adapter,
                max(0, detector - 1),
                depth - 1,
                f"{has} and the detector reads the states after {detector}",
            ),
        }
        for place, (value, low, high, why) in bounds.items():
            if not low <= value <= high:
                raise BadInput(f"layer {value}, but {why}", place=place, fix=f"say {low} to {high}")
        return cls(frozen=frozen, detector=detector, adapter=adapter)

    @property
    def cached(self) -> int:
        """The layer before which states are kept: nothing that anybody changes or reads lies below."""
        return min(self.frozen, self.detector, self.adapter)

    @property
    def reran(self) -> bool:
        """Whether the detector's own last layer is run again for flagged rows."""
        return self.adapter < self.detector


@dataclass(frozen=True, kw_only=True)
class FairNet:
    """A corrected classifier; gates open where an attribute's risk exceeds its threshold."""

    classifier: Classifier
    detectors: Mapping[str, Detector]
    adapters: Mapping[str, Adapter]
    layers: Layers
    support: Support | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Those with a gate; the order of `risk`'s columns and of a subset's bits."""
        return tuple(self.adapters)

    def threshold(self, attribute: str) -> float:
        """Above which an attribute's gate opens."""
        return self.thresholds.get(attribute, THRESHOLD)
