"""Hidden states of frozen layers, computed once: what every stage of training and every baseline starts from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from equiray.errors import BadInput, reading_back, writing
from equiray.mitigation.fairnet.batches import Rows, sorted_batches
from equiray.mitigation.fairnet.raw import Inputs, embed_rows, lengths_of
from equiray.models.backbones import Backbone, States

SCHEMA = "equiray.lower_states/1"
BATCH_ROWS = 64

Progress = Callable[[int], None]
"""Called with the number of rows that a batch finished."""


@dataclass(frozen=True, kw_only=True)
class LowerStates:
    """States before layer `layer` of N rows, none of them padding.

    Attributes
    ----------
    tokens : float [sum of lengths, D]
        Row after row, in the dtype that the backbone computes in.
    offsets : int64 [N + 1]
        Row i has ``tokens[offsets[i]:offsets[i + 1]]``.
    layer : int
        How many layers have been run.
    identity : str
        Of the backbone.
    """

    tokens: Tensor
    offsets: NDArray[np.int64]
    layer: int
    identity: str

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Rows:
        """Real tokens of each row, int64 [N]."""
        return np.diff(self.offsets)

    def batch(self, rows: Rows, device: torch.device | None = None) -> States:
        """Some rows, padded on the right with zeros to the longest of them, in float32."""
        starts, lengths = torch.from_numpy(self.offsets[rows]), torch.from_numpy(self.lengths[rows])
        places = torch.arange(int(lengths.max()))
        mask = places < lengths[:, None]
        hidden = torch.zeros(*mask.shape, self.tokens.shape[1])
        hidden[mask] = self.tokens[(starts[:, None] + places)[mask]].float()
        return States(hidden.to(device), mask.to(device))

    def take(self, rows: Rows) -> "LowerStates":
        """States of some rows, in that order."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.repeat(self.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return replace(self, tokens=self.tokens[torch.from_numpy(places)], offsets=offsets)

    def save(self, file: Path) -> None:
        """Write one safetensors file.

        Raises
        ------
        Incomplete
            The disk is full or not writable.
        """
        metadata = {"schema": SCHEMA, "layer": str(self.layer), "identity": self.identity}
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file({"tokens": self.tokens, "offsets": torch.from_numpy(self.offsets)}, file, metadata=metadata)

    @classmethod
    def load(cls, file: Path, backbone: Backbone) -> "LowerStates":
        """Read what `save` wrote.

        Raises
        ------
        BadInput
            No such file, a torn one, or states of another backbone.
        """
        with reading_back(file, fix="remove it and run again"), safe_open(str(file), "pt") as stored:
            about: Any = stored.metadata()
            tokens, offsets = stored.get_tensor("tokens"), stored.get_tensor("offsets").numpy()
            identity, layer = about["identity"], int(about["layer"])
        if identity != backbone.identity:
            raise BadInput(
                f"states of another backbone ({identity:.12}) than {backbone.name} ({backbone.identity:.12})",
                place=str(file),
                fix="remove it and run again",
            )
        return cls(tokens=tokens, offsets=offsets, layer=layer, identity=identity)


@torch.no_grad()
def lower_states(
    backbone: Backbone,
    inputs: Inputs,
    layer: int,
    *,
    batch_rows: int = BATCH_ROWS,
    progress: Progress | None = None,
) -> LowerStates:
    """Run layers 0 to `layer` - 1 once over all rows.

    Parameters
    ----------
    backbone : Backbone
    inputs : ragged token ids, pixels float32 [N, C, H, W], or pictures uint8 [N, H, W, 3]
    layer : int
    batch_rows : int
    progress : callable, optional

    Raises
    ------
    BadInput
        There are no rows, or the backbone has fewer layers.
    """
    if not 0 <= layer <= backbone.depth or not len(inputs):
        problem = f"layer {layer} of {backbone.depth}" if len(inputs) else "no rows"
        raise BadInput(
            f"cannot run lower layers: {problem}", place="backbone.frozen_layers", fix="lower it, or add rows"
        )
    lengths = lengths_of(backbone, inputs)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = torch.empty(int(offsets[-1]), backbone.width, dtype=backbone.dtype)
    for rows in sorted_batches(lengths, batch_rows):
        with backbone.computing():
            states = backbone.run(embed_rows(backbone, inputs, rows), 0, layer)
        mask = states.mask.cpu()
        places = torch.from_numpy(offsets[rows])[:, None] + torch.arange(mask.shape[1])
        tokens[places[mask]] = states.hidden.cpu().to(tokens.dtype)[mask]
        if progress is not None:
            progress(len(rows))
    return LowerStates(tokens=tokens, offsets=offsets, layer=layer, identity=backbone.identity)
