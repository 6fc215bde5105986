"""The real rows that model benchmarks run on, and the plain transformers loop they are compared with."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from equiray.data.importance import feature_importance
from equiray.data.tasks.load import load_task
from equiray.data.text import Serializer
from equiray.models.embedding import tokenize
from equiray.models.loading import CausalLM, load_causal_lm
from equiray.models.packed_linears import PackedLinear
from equiray.specs.run import TaskSpec

BATCH_SIZES = (1, 4, 16, 64)


def embedded_model() -> CausalLM:
    """The embedded model in bf16."""
    lm = load_causal_lm("embedded")
    print(f"model: {lm.name}, {lm.parameters / 1e6:.1f} M parameters, {lm.model.dtype}, on {lm.model.device}")
    return lm


def plain_model() -> CausalLM:
    """The same weights in the layers that transformers made, as a plain loop runs them."""
    lm = load_causal_lm("embedded")
    for module in lm.model.modules():
        if type(module) is PackedLinear:
            object.__setattr__(module, "__class__", torch.nn.Linear)
    return lm


def adult_texts(lm: CausalLM) -> list[str]:
    """The rows of Adult's test split as sentences, most important feature first, as a run writes them."""
    task = load_task(TaskSpec(name="adult"), 0)
    serializer = Serializer.fit(
        task,
        template="text",
        order=feature_importance(task, seed=0).order,
        max_tokens=256,
        count_tokens=lambda texts: [len(ids) for ids in tokenize(lm, texts)],
    )
    return serializer.texts(task.split("test"))


class PaddedBatch(NamedTuple):
    """Sequences of about one length, padded on the right."""

    ids: torch.Tensor
    mask: torch.Tensor
    rows: list[int]


def sorted_batches(lm: CausalLM, sequences: Sequence[list[int]], size: int) -> Iterator[PaddedBatch]:
    """Length-sorted batches, as a well-written loop makes them: little padding, longest first."""
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
    for first in range(0, len(order), size):
        index = order[first : first + size]
        longest = max(len(sequences[i]) for i in index)
        ids = torch.full((len(index), longest), lm.pad_id)
        mask = torch.zeros((len(index), longest), dtype=torch.long)
        for row, i in enumerate(index):
            ids[row, : len(sequences[i])] = torch.tensor(sequences[i])
            mask[row, : len(sequences[i])] = 1
        yield PaddedBatch(ids.to(lm.model.device), mask.to(lm.model.device), index)
