"""What reads sequences for a reward model: a language model, or an encoder; hidden states at the places asked for.

Notable: a language model reads all sequences of a forward as one tree without padding, in which the question that a
case's chains share, and equal steps, are computed once (`equiray.models.prefix_tree`). An encoder attends to both
sides, so it shares nothing and reads padded sequences of about one length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.mitigation.reward.inputs import Inputs
from equiray.models.backbones import Backbone, padded
from equiray.models.loading import CausalLM
from equiray.models.prefix_tree import tree_batches
from equiray.models.tree_attention import tree_hidden_states


class Read(NamedTuple):
    """One forward pass: which readings it holds (places in the flat array), and their states, float32 [n, width]."""

    readings: NDArray[np.int64]
    states: torch.Tensor


class Reader(Protocol):
    """A frozen or trained transformer that reads `Inputs`."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def identity(self) -> str:
        """Names the weights before training exactly."""
        ...

    @property
    def width(self) -> int:
        """Of a state."""
        ...

    @property
    def device(self) -> torch.device:
        """Where states are."""
        ...

    def tokenize(self, texts: Sequence[str], begins: bool) -> list[list[int]]:
        """Token ids; with the special tokens of a sequence's beginning if the texts begin one."""
        ...

    def read(self, inputs: Inputs) -> Iterator[Read]:
        """Forward passes that together hold every reading once; gradients flow where weights ask for them."""
        ...


@dataclass(frozen=True, kw_only=True)
class LanguageModelReader:
    """Reads from left to right: the state at a token knows what stands before it, and nothing after."""

    lm: CausalLM
    batch_tokens: int

    @property
    def name(self) -> str:
        """See `Reader`."""
        return self.lm.name

    @property
    def identity(self) -> str:
        """See `Reader`."""
        return self.lm.identity

    @property
    def width(self) -> int:
        """See `Reader`."""
        return int(self.lm.model.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """See `Reader`."""
        return next(self.lm.backbone.parameters()).device

    def tokenize(self, texts: Sequence[str], begins: bool) -> list[list[int]]:
        """See `Reader`."""
        return self.lm.tokenizer(list(texts), add_special_tokens=begins)["input_ids"] if texts else []

    def read(self, inputs: Inputs) -> Iterator[Read]:
        """See `Reader`."""
        first = inputs.first
        for tree in tree_batches(inputs.sequences, batch_tokens=self.batch_tokens):
            hidden = tree_hidden_states(self.lm.model, self.lm.backbone, tree)
            nodes = np.concatenate([path[inputs.ends[i]] for i, path in zip(tree.sequences, tree.paths, strict=True)])
            readings = np.concatenate([np.arange(first[i], first[i + 1]) for i in tree.sequences])
            yield Read(readings, hidden[torch.as_tensor(nodes, device=hidden.device)].float())


@dataclass(frozen=True, kw_only=True)
class EncoderReader:
    """Reads whole sequences, pooled, so each has one reading; layers below `frozen_layers` get no gradients.

    A sequence of more tokens than the encoder has positions loses its beginning: the step stands at the end.
    """

    backbone: Backbone
    batch_tokens: int
    frozen_layers: int

    def __post_init__(self) -> None:
        if self.backbone.tokenizer is None or self.backbone.tokenizer.cls_token_id is None:
            raise BadInput(
                f"{self.backbone.name} is no encoder of texts: its tokenizer has no [CLS]",
                place="reward_model.source",
                fix="name an encoder such as minilm, or read with a language model (kind: lm)",
            )

    @property
    def name(self) -> str:
        """See `Reader`."""
        return self.backbone.name

    @property
    def identity(self) -> str:
        """See `Reader`."""
        return self.backbone.identity

    @property
    def width(self) -> int:
        """See `Reader`."""
        return self.backbone.width

    @property
    def device(self) -> torch.device:
        """See `Reader`."""
        return self.backbone.device

    def tokenize(self, texts: Sequence[str], begins: bool) -> list[list[int]]:
        """See `Reader`; [CLS] and [SEP] are put around whole sequences, as they are read."""
        tokenizer = self.backbone.tokenizer
        assert tokenizer is not None, "checked when it was made"
        return tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []

    def read(self, inputs: Inputs) -> Iterator[Read]:
        """See `Reader`."""
        assert all(len(end) == 1 for end in inputs.ends), "a spec with several readings a sequence is refused"
        whole = [self._whole(sequence) for sequence in inputs.sequences]
        for rows in _like_length([len(sequence) for sequence in whole], self.batch_tokens):
            batch = padded(self.backbone, [whole[row] for row in rows])
            with self.backbone.computing():
                with torch.no_grad():
                    states = self.backbone.run(self.backbone.embed(batch), 0, self.frozen_layers)
                features = self.backbone.features_from(states, self.frozen_layers)
            yield Read(rows, features)

    def _whole(self, sequence: Sequence[int]) -> list[int]:
        tokenizer: Any = self.backbone.tokenizer
        room = self.backbone.config.max_position_embeddings - 2
        return [tokenizer.cls_token_id, *sequence[-room:], tokenizer.sep_token_id]


def _like_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[NDArray[np.int64]]:
    """All sequences, longest first, in batches of at most `batch_tokens` tokens, padding counted."""
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    place = 0
    while place < len(order):
        size = max(1, batch_tokens // lengths[order[place]])
        yield order[place : place + size]
        place += size
