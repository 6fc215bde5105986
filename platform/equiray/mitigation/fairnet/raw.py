"""Rows as a backbone reads them: token ids or pictures, embedded batch by batch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from equiray.data.examples.record import Pixels
from equiray.mitigation.fairnet.batches import Rows
from equiray.models.backbones import Backbone, States, VitBackbone, padded, pixel_values

Inputs: TypeAlias = Sequence[Sequence[int]] | Tensor | Pixels
"""Ragged token ids, pixels float32 [N, C, H, W], or pictures uint8 [N, H, W, 3]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RawRows:
    """N rows of a backbone none of whose layers is frozen: its embeddings learn, so no state can be kept.

    Attributes
    ----------
    inputs : ragged token ids, pixels or pictures
    lengths : int64 [N]
        States of each row.
    """

    inputs: Inputs
    lengths: Rows
    layer: int = 0

    @classmethod
    def of(cls, backbone: Backbone, inputs: Inputs) -> "RawRows":
        """Rows with the lengths that the backbone will give them."""
        return cls(inputs=inputs, lengths=lengths_of(backbone, inputs))

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: Rows) -> "RawRows":
        """Some rows, in that order."""
        return replace(self, inputs=_taken(self.inputs, rows), lengths=self.lengths[rows])


def embed_rows(backbone: Backbone, inputs: Inputs, rows: Rows) -> States:
    """States before the first layer of some rows, padded on the right to the longest of them."""
    with backbone.computing():
        if isinstance(inputs, Tensor | np.ndarray):
            return backbone.embed(_pixels(backbone, inputs, rows).to(backbone.device))
        return backbone.embed(padded(backbone, [inputs[i] for i in rows]))


@torch.no_grad()
def lengths_of(backbone: Backbone, inputs: Inputs) -> Rows:
    """How many states each row has, int64 [N]."""
    if isinstance(inputs, Tensor | np.ndarray):
        return np.full(len(inputs), embed_rows(backbone, inputs, np.arange(1)).hidden.shape[1])
    return np.array([len(ids) for ids in inputs])


def _pixels(backbone: Backbone, inputs: Tensor | Pixels, rows: Rows) -> Tensor:
    if isinstance(inputs, Tensor):
        return inputs[torch.from_numpy(rows)]
    assert isinstance(backbone, VitBackbone), "the run was checked: only a ViT is given pictures"
    return pixel_values(inputs[rows], backbone.config.image_size, backbone.scale)


def _taken(inputs: Inputs, rows: Rows) -> Inputs:
    if isinstance(inputs, Tensor):
        return inputs[torch.from_numpy(rows)]
    return inputs[rows] if isinstance(inputs, np.ndarray) else [inputs[row] for row in rows.tolist()]
