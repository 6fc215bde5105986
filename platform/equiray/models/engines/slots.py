"""Keys and values of the chains that are being written, one slot a chain, and the attention that reads them.

Live chains fill the first slots without a gap, so each step reads a view and copies nothing; a chain that ends gives
its slot to the last one. Like `equiray.models.tree_attention`, this goes through transformers' attention interface:
a step's tokens lie on one flat axis, with no padding but in the lengths of slots.
"""

from typing import Any

import torch
from transformers import AttentionInterface, PreTrainedModel

from equiray.models.prefix_tree import TreeBatch
from equiray.models.tree_attention import attend_with, attention, tiling, tree_attention_forward

PREFILL, DECODE = "equiray_prefill", "equiray_decode"
_ROOM = 128
"""Slots grow by this many tokens at least."""

KeysValues = list[tuple[torch.Tensor, torch.Tensor]]
"""A layer's keys and values, [heads, tokens, width] each."""


class Slots:
    """Keys and values [slots, heads, capacity, width] of each layer."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.lengths = torch.zeros(count, dtype=torch.int64)
        self._layers: KeysValues = []
        self._rows, self._at, self._longest = self.lengths, self.lengths, 0
        self._mask = torch.empty(0)

    def fill(self, slot: int, prompt: KeysValues) -> None:
        """Let a slot begin with a prompt."""
        length = prompt[0][0].shape[1]
        self._make_room(length, prompt)
        for (keys, values), (key, value) in zip(self._layers, prompt, strict=True):
            keys[slot, :, :length], values[slot, :, :length] = key, value
        self.lengths[slot] = length

    def move(self, origin: int, slot: int) -> None:
        """Let a slot go on with what another one holds."""
        length = int(self.lengths[origin])
        for kept in (tensor for layer in self._layers for tensor in layer):
            kept[slot, :, :length] = kept[origin, :, :length]
        self.lengths[slot] = length

    def open_step(self, live: int, dtype: torch.dtype) -> None:
        """Make ready for one more token in each of the first `live` slots."""
        self._longest = int(self.lengths[:live].max()) + 1
        self._make_room(self._longest, [(keys[0], values[0]) for keys, values in self._layers])
        device = self._layers[0][0].device
        self._rows, self._at = torch.arange(live, device=device), self.lengths[:live].to(device, copy=True)
        beyond = torch.arange(self._longest, device=device)[None] > self._at[:, None]
        self._mask = torch.zeros(beyond.shape, dtype=dtype, device=device).masked_fill_(beyond, -torch.inf)
        self.lengths[:live] += 1

    def append(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the step's keys and values [heads, live, width]; all there are now, [live, heads, longest, width]."""
        keys, values = self._layers[layer]
        keys[self._rows, :, self._at], values[self._rows, :, self._at] = key.transpose(0, 1), value.transpose(0, 1)
        live = len(self._rows)
        return keys[:live, :, : self._longest], values[:live, :, : self._longest]

    @property
    def mask(self) -> torch.Tensor:
        """Additive, [live, 1, 1, longest]."""
        return self._mask[:, None, None]

    def _make_room(self, length: int, like: KeysValues) -> None:
        capacity = self._layers[0][0].shape[2] if self._layers else 0
        if length <= capacity:
            return
        wanted = max(length + _ROOM, capacity * 3 // 2)
        grown = [(_longer(key, self.count, wanted), _longer(value, self.count, wanted)) for key, value in like]
        for before, after in zip(self._layers, grown, strict=False):
            for old, new in zip(before, after, strict=True):
                new[:, :, :capacity] = old
        self._layers = grown


def _longer(like: torch.Tensor, slots: int, capacity: int) -> torch.Tensor:
    # zeros, not what memory held: a masked NaN would still spoil the sum
    return torch.zeros(slots, like.shape[0], capacity, like.shape[2], dtype=like.dtype, device=like.device)


def prefill(model: PreTrainedModel, backbone: torch.nn.Module, batch: TreeBatch) -> tuple[torch.Tensor, KeysValues]:
    """Last hidden states [T, hidden] of a tree's nodes, and their keys and values."""
    weight = next(backbone.parameters())
    kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    with attention(model, PREFILL):
        output = backbone(
            input_ids=torch.as_tensor(batch.tokens, device=weight.device)[None],
            position_ids=torch.as_tensor(batch.positions, device=weight.device)[None],
            tiles=tiling(batch, device=weight.device, dtype=weight.dtype),
            kept=kept,
            use_cache=False,
        )
    return output.last_hidden_state[0], [kept[layer] for layer in sorted(kept)]


def decode(model: PreTrainedModel, backbone: torch.nn.Module, slots: Slots, tokens: torch.Tensor) -> torch.Tensor:
    """Hidden states [live, hidden] of one more token int64 [live] in each live slot."""
    weight = next(backbone.parameters())
    positions = slots.lengths[: len(tokens)].to(weight.device, copy=True)
    slots.open_step(len(tokens), weight.dtype)
    with attention(model, DECODE):
        output = backbone(
            input_ids=tokens.to(weight.device)[None], position_ids=positions[None], slots=slots, use_cache=False
        )
    return output.last_hidden_state[0]


def prefill_attention(module: torch.nn.Module, query: Any, key: Any, value: Any, mask: Any, *, kept: Any, **rest: Any):
    """Tree attention that keeps keys and values."""
    kept[module.layer_idx] = (key[0], value[0])
    return tree_attention_forward(module, query, key, value, mask, **rest)


def decode_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    slots: Slots,
    scaling: float | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Each token attends its own slot: query [1, H, live, D], key and value [1, H_kv, live, D] -> [1, live, H, D]."""
    heads, live, width = query.shape[1:]
    keys, values = slots.append(int(module.layer_idx), key[0], value[0])  # type: ignore[arg-type]
    groups = keys.shape[1]
    # heads that share keys and values are attended as if they were one with as many more queries
    queries = query[0].transpose(0, 1).reshape(live, groups, heads // groups, width)
    mask = slots.mask.expand(-1, 1, heads // groups, -1)
    attended = attend_with(softcap)(queries, keys, values, attn_mask=mask, dropout_p=0.0, scale=scaling)
    return attended.reshape(1, live, heads, width), None


AttentionInterface.register(PREFILL, prefill_attention)
AttentionInterface.register(DECODE, decode_attention)
