"""The embedder that is a FairNet: a row's "vector" is what thresholds need to decide it, and nothing else.

[outputs of all subsets of open gates, risks, 1 in the support of training or 0]. A row out of support has the risk NaN,
which is written as 0 with the mark 0: NaN stays what no block may hold.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equiray.errors import BadInput
from equiray.mitigation.fairnet import FairNet, load_fairnet, lower_states, subset_probabilities
from equiray.mitigation.fairnet.store import StoredFairNet, read_stored
from equiray.models.backbones import Backbone, encode_texts, load_backbone
from equiray.specs.fairnet import BackboneSpec
from equiray.streaming.kernel import Embedded


@dataclass(frozen=True, kw_only=True)
class FairNetRecipe:
    """Which FairNet on which backbone, small enough to be sent to a worker; paths are read where it is loaded.

    Attributes
    ----------
    spec : BackboneSpec
    backbone : str
        `Backbone.identity`.
    directory : Path
        What `save_fairnet` wrote.
    stored : StoredFairNet
        What stood there where the work started.
    """

    spec: BackboneSpec
    backbone: str
    directory: Path
    stored: StoredFairNet

    def identity(self) -> dict[str, str]:
        """What risks and outputs depend on, for the manifest; and the gates' names."""
        return {
            "backbone": self.backbone,
            "fairnet_sha256": self.stored.sha256,
            "gates": json.dumps(list(self.stored.thresholds), ensure_ascii=False),
            "max_tokens": str(self.spec.max_tokens),
            "dtype": self.spec.dtype,
        }

    def load(self, threads: int | None) -> "FairNetEmbedder":
        """Load backbone and FairNet.

        Raises
        ------
        BadInput
            They cannot be loaded here, or are others than the manifest's.
        """
        import torch

        if threads is not None:
            torch.set_num_threads(threads)
        return self.with_backbone(load_backbone(self.spec, pooling=self.stored.pooling))

    def with_backbone(self, backbone: Backbone) -> "FairNetEmbedder":
        """The FairNet on a backbone that is loaded already."""
        here = read_stored(self.directory).sha256
        if here != self.stored.sha256:
            raise BadInput(
                f"another FairNet ({here:.12}) on this node than where it started ({self.stored.sha256:.12})",
                place=str(self.directory),
                fix="give all nodes the same files",
            )
        return FairNetEmbedder(fairnet=load_fairnet(self.directory, backbone), max_tokens=self.spec.max_tokens)


@dataclass(frozen=True, kw_only=True)
class FairNetEmbedder:
    """A FairNet in memory."""

    fairnet: FairNet
    max_tokens: int

    def __call__(self, texts: Sequence[str]) -> Embedded:
        """[outputs of all subsets, risks, 1 in support or 0] of each text, [texts, 2^A + A + 1]."""
        ids = encode_texts(self.fairnet.classifier.backbone, texts, self.max_tokens)
        lower = lower_states(self.fairnet.classifier.backbone, ids, self.fairnet.layers.cached)
        probability, risk = subset_probabilities(self.fairnet, lower)
        # without a guard no risk may be NaN: it stays, and the block is refused
        outside = np.isnan(risk).all(axis=1) if self.fairnet.support is not None else np.zeros(len(risk), bool)
        marked = np.where(outside.reshape(-1, 1), np.float32(0), risk)
        return Embedded(np.column_stack([probability, marked, ~outside]).astype(np.float32), sum(map(len, ids)))
