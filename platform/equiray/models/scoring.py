"""Likelihoods of continuations and texts under a causal LM, with every shared prefix computed once.

One forward serves all continuations of a prefix and all prefixes that begin alike; logits are computed only where
a scored token is predicted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from equiray.models.embedding import BATCH_TOKENS, PACK_TOKENS, Progress, tokenize
from equiray.models.loading import CausalLM
from equiray.models.prefix_tree import TreeBatch, tree_batches
from equiray.models.tree_attention import tree_hidden_states

_LOGIT_ROWS = 512
"""Rows of the vocabulary-wide logit matrix held at once; bounds memory, not the result."""


class ScoredTokens(NamedTuple):
    """Which log-probabilities a batch holds: token `target` predicted from the state of node `node`."""

    nodes: torch.Tensor
    targets: torch.Tensor
    owner: np.ndarray
    """int64: index into `TreeBatch.sequences` of the sequence each scored token belongs to"""


def scored_tokens(batch: TreeBatch, first_scored: np.ndarray, device: torch.device) -> ScoredTokens:
    """All tokens of each sequence from position `first_scored[sequence]` (at least 1) on."""
    nodes, targets, owner = [], [], []
    for row, (index, path) in enumerate(zip(batch.sequences, batch.paths, strict=True)):
        start = int(first_scored[index])
        nodes.append(path[start - 1 : -1])
        targets.append(batch.tokens[path[start:]])
        owner.append(np.full(len(path) - start, row))
    as_tensor = [torch.as_tensor(np.concatenate(part), device=device) for part in (nodes, targets)]
    return ScoredTokens(as_tensor[0], as_tensor[1], np.concatenate(owner))


def token_logprobs(lm: CausalLM, hidden: torch.Tensor, scored: ScoredTokens) -> torch.Tensor:
    """float32 [scored tokens]: log p(target | ancestors); the logits of a node are computed once, however many
    continuations leave it."""
    head = lm.model.get_output_embeddings()
    nodes, where = torch.unique(scored.nodes, return_inverse=True)
    by_node = torch.argsort(where, stable=True)
    parts = []
    bounds = torch.searchsorted(where[by_node], torch.arange(0, len(nodes) + _LOGIT_ROWS, _LOGIT_ROWS, device=where.device))
    for chunk, first in enumerate(range(0, len(nodes), _LOGIT_ROWS)):
        logits = _final_logits(lm, head(hidden[nodes[first : first + _LOGIT_ROWS]]))
        mine = by_node[bounds[chunk] : bounds[chunk + 1]]
        local = where[mine] - first
        parts.append(logits[local, scored.targets[mine]] - torch.logsumexp(logits, dim=-1)[local])
    inverse = torch.empty_like(by_node)
    inverse[by_node] = torch.arange(len(by_node), device=by_node.device)
    return torch.cat(parts)[inverse]


def _final_logits(lm: CausalLM, logits: torch.Tensor) -> torch.Tensor:
    cap = getattr(lm.model.config, "final_logit_softcapping", None)
    logits = logits.float()
    return logits if cap is None else torch.tanh(logits / cap) * cap


class _Scored(NamedTuple):
    index: np.ndarray
    sums: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Scores continuations and texts; implements `equiray.metrics.intrinsic.ContinuationScorer`."""

    lm: CausalLM
    batch_tokens: int = BATCH_TOKENS
    pack_tokens: int = PACK_TOKENS

    def mean_logprobs(
        self, prefixes: Sequence[str], continuations: Sequence[Sequence[str]], progress: Progress | None = None
    ) -> list[np.ndarray]:
        """Mean log-probability of each continuation's tokens after its prefix, in nats per token.

        `continuations[i]` are the texts that may follow `prefixes[i]`, leading space included; the result is one
        float64 array of that length per prefix. Prefix and continuation are tokenized apart, so that a prefix has
        the same tokens whatever follows.
        """
        sums, counts = self._continuations(prefixes, continuations, progress)
        means = sums / counts
        ends = np.cumsum([len(c) for c in continuations])
        return np.split(means, ends[:-1])

    def sum_logprobs(self, prefixes: Sequence[str], continuations: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """As `mean_logprobs`, but the log-probability of the whole continuation, in nats."""
        sums, _ = self._continuations(prefixes, continuations, None)
        return np.split(sums, np.cumsum([len(c) for c in continuations])[:-1])

    def text_nll(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(negative log-likelihood in nats, number of predicted tokens) of each text, its first token given."""
        tokens = [ids for ids in tokenize(self.lm, texts)]
        sums, counts = self._run(tokens, np.ones(len(tokens), dtype=np.int64), None)
        return -sums, counts

    def _continuations(
        self, prefixes: Sequence[str], continuations: Sequence[Sequence[str]], progress: Progress | None
    ) -> tuple[np.ndarray, np.ndarray]:
        heads = tokenize(self.lm, prefixes)
        distinct = sorted({text for group in continuations for text in group})
        encoded = self.lm.tokenizer(distinct, add_special_tokens=False)["input_ids"]
        tails = dict(zip(distinct, encoded, strict=True))
        sequences, first = [], []
        for head, group in zip(heads, continuations, strict=True):
            for text in group:
                sequences.append(head + tails[text])
                first.append(len(head))
        return self._run(sequences, np.asarray(first, dtype=np.int64), progress)

    @torch.inference_mode()
    def _run(
        self, sequences: list[list[int]], first: np.ndarray, progress: Progress | None
    ) -> tuple[np.ndarray, np.ndarray]:
        sums, counts = np.zeros(len(sequences)), np.zeros(len(sequences), dtype=np.int64)
        for part in self._batches(sequences, first):
            sums[part.index], counts[part.index] = part.sums, part.counts
            if progress is not None:
                progress(len(part.index), int(part.counts.sum()))
        return sums, counts

    def _batches(self, sequences: list[list[int]], first: np.ndarray) -> Iterator[_Scored]:
        for batch in tree_batches(sequences, batch_tokens=self.batch_tokens, pack_tokens=self.pack_tokens):
            hidden = tree_hidden_states(self.lm.model, self.lm.backbone, batch)
            scored = scored_tokens(batch, first, hidden.device)
            logprobs = token_logprobs(self.lm, hidden, scored).double().cpu().numpy()
            size = len(batch.sequences)
            yield _Scored(
                batch.sequences,
                np.bincount(scored.owner, weights=logprobs, minlength=size),
                np.bincount(scored.owner, minlength=size),
            )
