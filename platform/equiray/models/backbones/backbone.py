"""A transformer in pieces: embed, run some of its layers, pool.

Notable: the last layer is computed for the pooled position alone where one is pooled ([CLS] or the last token): its
keys and values need every token, its query, output and feed-forward part only that one.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedTokenizerBase

Pooling = Literal["cls", "mean", "last"]
_Self = TypeVar("_Self", bound="Backbone")


class States(NamedTuple):
    """Hidden states of padded rows, between two layers.

    Attributes
    ----------
    hidden : float [N, T, D]
    mask : bool [N, T]
        True at real tokens; rows are padded on the right.
    """

    hidden: Tensor
    mask: Tensor

    def rows(self, index: Tensor) -> "States":
        """Some rows, padded as they are here."""
        return States(self.hidden.index_select(0, index), self.mask.index_select(0, index))

    def mean(self) -> Tensor:
        """Mean over each row's real tokens, float32 [N, D]."""
        weights = self.mask.to(self.hidden.dtype)
        return (weights[:, None, :] @ self.hidden)[:, 0].float() / weights.float().sum(1, keepdim=True)


class TokenBatch(NamedTuple):
    """Padded token ids, int64 [N, T], and which of them are real, bool [N, T]."""

    ids: Tensor
    mask: Tensor


class Backbone(nn.Module, ABC):
    """A transformer whose layers can be run one by one, on layers that transformers made.

    Weights are float32; `dtype` is what matrix products are computed in.

    Attributes
    ----------
    name, identity : str
        `identity` names the weights exactly; caches and bundles are keyed by it.
    pooling : {"cls", "mean", "last"}
        Which position, or the mean of which, is a row's feature.
    depth, width : int
        Number of layers, and of hidden units.
    tokenizer
        None where inputs are pictures.
    """

    embeddings: nn.Module
    layers: nn.ModuleList
    norm: nn.Module

    def __init__(
        self,
        model: Any,
        layers: nn.ModuleList,
        *,
        name: str,
        identity: str,
        pooling: Pooling,
        tokenizer: PreTrainedTokenizerBase | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.layers = layers
        self.config = model.config
        self.name, self.identity, self.pooling = name, identity, pooling
        self.tokenizer, self.dtype = tokenizer, dtype
        self.depth, self.width = len(layers), int(model.config.hidden_size)
        self.requires_grad_(False).eval()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Around forward passes: matrix products in `dtype`, everything else in float32."""
        half = self.dtype != torch.float32
        # torch's fused attention on a CPU is four times slower backwards in bf16 than the plain one
        plain = half and self.device.type == "cpu" and torch.is_grad_enabled()
        kernel = sdpa_kernel(SDPBackend.MATH) if plain else nullcontext()
        with torch.autocast(self.device.type, self.dtype, enabled=half), kernel:
            yield

    def copied_above(self: _Self, first: int) -> _Self:
        """The same backbone with layers from `first` on, and the final norm, of its own; what lies below is shared.

        From layer 0 on nothing is: its embeddings are its own, too.
        """
        made = copy.copy(self)
        made._modules = dict(self._modules)
        if first == 0:
            made.embeddings = copy.deepcopy(self.embeddings)
        made.layers = nn.ModuleList([*self.layers[:first], *copy.deepcopy(self.layers[first:])])
        made.norm = copy.deepcopy(self.norm)
        return made

    @abstractmethod
    def embed(self, batch: Any) -> States:
        """States before the first layer; `batch` is a `TokenBatch`, or pixels float32 [N, C, H, W]."""

    @abstractmethod
    def run(self, states: States, first: int, stop: int) -> States:
        """States after layers `first` to `stop - 1`, from those before layer `first`."""

    @abstractmethod
    def projections(self, layer: int) -> dict[str, nn.Linear]:
        """A layer's query and value projections, by those names."""

    def features(self, states: States) -> Tensor:
        """A row's feature, float32 [N, D], from the states after the last layer."""
        if self.pooling == "mean":
            return States(self.norm(states.hidden), states.mask).mean()
        return self.norm(at(states.hidden, self._position(states.mask))[:, 0]).float()

    def features_from(self, states: States, first: int) -> Tensor:
        """`features` of states before layer `first`, without what they do not need of the last layer."""
        if first == self.depth or self.pooling == "mean":
            return self.features(self.run(states, first, self.depth))
        states = self.run(states, first, self.depth - 1)
        pooled = self._pooled_layer(states, self._position(states.mask))
        return self.norm(pooled[:, 0]).float()

    def _position(self, mask: Tensor) -> Tensor:
        """Pooled position of each row, int64 [N]."""
        if self.pooling == "last":
            return mask.sum(1) - 1
        return mask.new_zeros(len(mask), dtype=torch.long)

    @abstractmethod
    def _pooled_layer(self, states: States, position: Tensor) -> Tensor:
        """The last layer's states at one position a row, [N, 1, D]."""


def at(hidden: Tensor, position: Tensor) -> Tensor:
    """The states of one position a row, [N, 1, D]."""
    return hidden[torch.arange(len(hidden), device=hidden.device), position][:, None]


def attention_mask(mask: Tensor) -> Tensor | None:
    """Mask [N, 1, 1, T] of keys that may be attended to; None where all may, which is faster."""
    return None if bool(mask.all()) else mask[:, None, None, :]


def attend_at(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float) -> Tensor:
    """Attention output [N, 1, heads * head width] of one query a row over its real tokens.

    `query` is [N, heads, 1, W]; `key` and `value` are [N, key heads, T, W].
    """
    grouped = key.shape[1] != query.shape[1]
    made = nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=attention_mask(mask), scale=scaling, enable_gqa=grouped
    )
    return made.transpose(1, 2).flatten(2)


def heads(projected: Tensor, width: int) -> Tensor:
    """[N, T, heads * width] as [N, heads, T, width]."""
    return projected.unflatten(-1, (-1, width)).transpose(1, 2)
