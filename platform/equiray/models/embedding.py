"""Frozen language-model embeddings of texts: pooled last hidden states, every shared token computed once."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch.nn.functional import embedding_bag

from equiray.models.loading import CausalLM
from equiray.models.prefix_tree import TreeBatch, tree_batches
from equiray.models.tree_attention import tree_hidden_states

Pooling = Literal["mean", "last"]
BATCH_TOKENS = 2048

Progress = Callable[[int, int], None]
"""Called after each batch with the rows and the (unshared) tokens it finished."""


@torch.inference_mode()
def embed_texts(
    lm: CausalLM,
    texts: Sequence[str],
    *,
    pooling: Pooling = "mean",
    batch_tokens: int = BATCH_TOKENS,
    progress: Progress | None = None,
) -> np.ndarray:
    """Embed texts with a frozen causal LM.

    Equal texts are computed once, texts that begin alike share the computation of the common prefix, no token is
    spent on padding and no logits are computed.

    Parameters
    ----------
    lm : CausalLM
    texts : sequence of str
    pooling : {"mean", "last"}
        Mean over the text's tokens, or the last token's state.
    batch_tokens : int
        Size of a forward pass; see `equiray.models.prefix_tree.tree_batches`.

    Returns
    -------
    float32 [len(texts), hidden]
    """
    unique = list(dict.fromkeys(texts))
    tokens = tokenize(lm, unique)
    vectors = np.empty((len(unique), lm.model.config.hidden_size), dtype=np.float32)
    for batch in tree_batches(tokens, batch_tokens=batch_tokens):
        hidden = tree_hidden_states(lm.model, lm.backbone, batch)
        vectors[batch.sequences] = pool(hidden, batch, pooling).cpu().numpy()
        if progress is not None:
            progress(len(batch.sequences), sum(len(path) for path in batch.paths))
    place = {text: row for row, text in enumerate(unique)}
    return vectors[[place[text] for text in texts]]


def tokenize(lm: CausalLM, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, with the special tokens its tokenizer adds by itself."""
    return lm.tokenizer(list(texts), add_special_tokens=True)["input_ids"] if texts else []


def pool(hidden: torch.Tensor, batch: TreeBatch, pooling: Pooling) -> torch.Tensor:
    """Pooled float32 states [sequences, hidden] from the node states [T, hidden] of a batch."""
    if pooling == "last":
        return hidden[[int(path[-1]) for path in batch.paths]].float()
    nodes = torch.as_tensor(np.concatenate(batch.paths), device=hidden.device)
    lengths = np.array([len(path) for path in batch.paths])
    offsets = torch.as_tensor(np.concatenate([[0], np.cumsum(lengths)[:-1]]), device=hidden.device)
    return embedding_bag(nodes, hidden.float(), offsets, mode="mean")
