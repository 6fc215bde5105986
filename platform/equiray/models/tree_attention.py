"""One forward pass over a `TreeBatch`: attention in which every token sees its own ancestors.

All linear layers run on the flat token axis, so no multiplication is spent on padding; only attention knows
about the tree, through a function registered with transformers. It serves every architecture whose attention goes
through transformers' attention interface (Llama, Phi-3, Gemma-2, Qwen, GPT-2, ...), adapters included, and
gradients flow through it.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedConfig, PreTrainedModel

from equiray.errors import BadInput
from equiray.models.prefix_tree import TreeBatch

NAME = "equiray_tree"
_LIMITS = ("max_position_embeddings", "sliding_window")


TILE_TOKENS = 64
"""Queries are attended in tiles of so many nodes."""


class Tile(NamedTuple):
    """Some neighbouring queries, the keys they may see, and the additive mask between them.

    In preorder, all that nodes of a tile can see outside of it are the ancestors of the tile's first node: `keys`
    are those and the tile itself, so attention's work grows with the depth of the tree, not with its size.
    """

    queries: slice
    keys: torch.Tensor
    """int64 [keys]"""
    mask: torch.Tensor
    """[1, 1, queries, keys], 0 where visible, -inf where not"""


def tiling(batch: TreeBatch, *, device: torch.device, dtype: torch.dtype) -> tuple[Tile, ...]:
    """Who may see whom: a key is visible to itself and to every node below it."""
    tiles = []
    for first in range(0, len(batch.tokens), TILE_TOKENS):
        query = np.arange(first, min(first + TILE_TOKENS, len(batch.tokens)))
        ancestors = np.flatnonzero(batch.subtree_end[:first] > first)
        key = np.concatenate([ancestors, query])
        visible = (key[None, :] <= query[:, None]) & (query[:, None] < batch.subtree_end[key][None, :])
        hidden = torch.as_tensor(~visible, device=device)
        mask = torch.zeros(hidden.shape, dtype=dtype, device=device).masked_fill_(hidden, -torch.inf)
        tiles.append(Tile(slice(first, first + len(query)), torch.as_tensor(key, device=device), mask[None, None]))
    return tuple(tiles)


def tree_attention_forward(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    tiles: tuple[Tile, ...],
    dropout: float = 0.0,
    scaling: float | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention over the flat axis: query [1, H, T, D], key and value [1, H_kv, T, D] -> [1, T, H, D]."""
    attend = attend_with(softcap)
    heads, width, groups = query.shape[1], query.shape[3], key.shape[1]
    outputs = []
    for tile in tiles:
        # Heads that share keys and values are attended as if they were one with as many more queries.
        queries = query[:, :, tile.queries]
        mask = tile.mask.expand(-1, heads // groups, -1, -1)
        attended = attend(
            queries.reshape(1, groups, -1, width),
            key.index_select(2, tile.keys),
            value.index_select(2, tile.keys),
            attn_mask=mask.reshape(1, 1, -1, mask.shape[-1]),
            dropout_p=dropout,
            scale=scaling,
        )
        outputs.append(attended.reshape(queries.shape).transpose(1, 2))
    return torch.cat(outputs, dim=1), None


def attend_with(softcap: float | None) -> Callable[..., torch.Tensor]:
    """The attention kernel for a model that bounds its attention scores by so much, or does not (None)."""
    return scaled_dot_product_attention if softcap is None else _softcapped(softcap)


def _softcapped(cap: float):
    """Gemma-2's bounded attention scores, which sdpa does not offer."""

    def attend(query, key, value, *, attn_mask, dropout_p, scale):
        scores = torch.tanh(query @ key.transpose(-1, -2) * scale / cap) * cap
        weights = (scores + attn_mask).softmax(dim=-1, dtype=torch.float32).to(query.dtype)
        return torch.nn.functional.dropout(weights, dropout_p) @ value

    return attend


AttentionInterface.register(NAME, tree_attention_forward)


@contextmanager
def attention(model: PreTrainedModel, name: str) -> Iterator[None]:
    """Switch a model's attention to a registered one for the length of a block."""
    before = model.config._attn_implementation
    model.config._attn_implementation = name
    try:
        yield
    finally:
        model.config._attn_implementation = before


def tree_attention(model: PreTrainedModel) -> AbstractContextManager[None]:
    """Switch a model's attention to the tree's for the length of a block."""
    return attention(model, NAME)


def tree_hidden_states(model: PreTrainedModel, backbone: torch.nn.Module, batch: TreeBatch) -> torch.Tensor:
    """Last hidden states [T, hidden] of all nodes, without computing any logits.

    `backbone` is the model without its head (`model.base_model` of a causal LM, adapters inside).
    """
    _check_length(model.config, int(batch.positions.max()) + 1)
    weight = next(backbone.parameters())
    device = weight.device
    with tree_attention(model):
        output = backbone(
            input_ids=torch.as_tensor(batch.tokens, device=device)[None],
            position_ids=torch.as_tensor(batch.positions, device=device)[None],
            tiles=tiling(batch, device=device, dtype=weight.dtype),
            use_cache=False,
        )
    return output.last_hidden_state[0]


def most_tokens(config: PreTrainedConfig) -> int | None:
    """How many tokens a model reads at once; None: as many as fit the memory."""
    limits = [limit for name in _LIMITS if (limit := getattr(config, name, None)) is not None]
    return min(limits, default=None)


def _check_length(config: PreTrainedConfig, tokens: int) -> None:
    """Refuse what the architecture's own attention would read otherwise, or not at all."""
    for name in _LIMITS:
        limit = getattr(config, name, None)
        if limit is not None and tokens > limit:
            raise BadInput(
                f"a text of {tokens} tokens, where the model's {name} is {limit}",
                place="the text given to the language model",
                fix=f"lower serialization.max_tokens, or take a model that reads more than {limit} tokens at once",
            )
