"""Likelihoods of continuations and texts under a causal LM, with every shared prefix computed once.

One forward serves all continuations of a prefix and all prefixes that begin alike; logits are computed only where
a scored token is predicted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch

from equiray.models.embedding import BATCH_TOKENS, Progress, tokenize
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


def token_logprobs(lm: CausalLM, hidden: torch.Tensor, scored: ScoredTokens) -> torch.Tensor:
    """Log p(target | ancestors), float32 [scored tokens].

    The vocabulary-wide logits of a node are computed once, however many continuations leave it. The targets' own
    logits are multiplied in float32: bf16 keeps 8 bits, which leaves steps of 6 % and more between two answers'
    probabilities, while in the sum over the vocabulary such errors cancel.
    """
    head = cast(torch.nn.Module, lm.model.get_output_embeddings())
    nodes, where = torch.unique(scored.nodes, return_inverse=True)
    totals = []
    for first in range(0, len(nodes), _LOGIT_ROWS):
        logits = capped_logits(lm, head(hidden[nodes[first : first + _LOGIT_ROWS]]).float())
        totals.append(torch.logsumexp(logits, dim=-1))
    own = capped_logits(lm, _target_logits(head, hidden[scored.nodes], scored.targets))
    return own - torch.cat(totals)[where]


def _target_logits(head: torch.nn.Module, states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    if not isinstance(head, torch.nn.Linear):  # an adapter around the head has more than one weight
        return head(states).float().gather(1, targets[:, None])[:, 0]
    logits = (states.float() * head.weight[targets].float()).sum(dim=-1)
    return logits if head.bias is None else logits + head.bias[targets].float()


def capped_logits(lm: CausalLM, logits: torch.Tensor) -> torch.Tensor:
    """Logits within the bound that some models (Gemma-2) set them."""
    cap = getattr(lm.model.config, "final_logit_softcapping", None)
    return logits if cap is None else torch.tanh(logits / cap) * cap


def predicted_tokens(
    batch: TreeBatch, sequences: Sequence[Sequence[int]], first_scored: np.ndarray, device: torch.device
) -> ScoredTokens:
    """The tokens of each sequence from `first_scored` (at least 1) on.

    The batch is made of the sequences without their last tokens: those predict nothing, so they need no state, and
    sequences that differ in their last token alone (two answers to a prompt) are one.
    """
    nodes, targets, owner = [], [], []
    for row, (index, path) in enumerate(zip(batch.sequences, batch.paths, strict=True)):
        start = int(first_scored[index])
        nodes.append(path[start - 1 :])
        targets.append(np.asarray(sequences[index][start:], dtype=np.int64))
        owner.append(np.full(len(path) + 1 - start, row))
    as_tensor = [torch.as_tensor(np.concatenate(part), device=device) for part in (nodes, targets)]
    return ScoredTokens(as_tensor[0], as_tensor[1], np.concatenate(owner))


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Scores continuations and texts; implements `equiray.data.templates.ContinuationScorer`."""

    lm: CausalLM
    batch_tokens: int = BATCH_TOKENS

    def mean_logprobs(
        self, prefixes: Sequence[str], continuations: Sequence[Sequence[str]], progress: Progress | None = None
    ) -> list[np.ndarray]:
        """Mean log-probability of each continuation's tokens after its prefix, in nats per token.

        `continuations[i]` are the texts that may follow `prefixes[i]`, leading space included; the result is one
        float64 array of that length per prefix. Prefix and continuation are tokenized apart, so that a prefix has
        the same tokens whatever follows.
        """
        heads = tokenize(self.lm, prefixes)
        distinct = sorted({text for group in continuations for text in group})
        encoded = self.lm.tokenizer(distinct, add_special_tokens=False)["input_ids"] if distinct else []
        tails = dict(zip(distinct, encoded, strict=True))
        sequences, first = [], []
        for head, group in zip(heads, continuations, strict=True):
            for text in group:
                sequences.append(head + tails[text])
                first.append(len(head))
        sums, counts = self.sequence_logprobs(sequences, np.asarray(first, dtype=np.int64), progress)
        return np.split(sums / counts, np.cumsum([len(group) for group in continuations])[:-1])

    def text_nll(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(negative log-likelihood in nats, number of predicted tokens) of each text, its first token given."""
        tokens = tokenize(self.lm, texts)
        sums, counts = self.sequence_logprobs(tokens, np.ones(len(tokens), dtype=np.int64))
        return -sums, counts

    @torch.inference_mode()
    def sequence_logprobs(
        self, sequences: Sequence[Sequence[int]], first: np.ndarray, progress: Progress | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(log-probability in nats, number of scored tokens) of each token sequence from position `first` on.

        Parameters
        ----------
        sequences : sequences of token ids
        first : int64 [sequences], each at least 1
            What stands before is given. A sequence that ends there scores 0 tokens.
        """
        if len(first) and first.min() < 1:
            where = int(first.argmin())
            raise ValueError(f"sequence {where} has no token before the first scored one: nothing predicts it")
        sums = np.zeros(len(sequences))
        counts = np.maximum([len(s) for s in sequences] - first, 0)
        scored = np.flatnonzero(counts)
        heads = [sequences[index][:-1] for index in scored]
        tails = [sequences[index] for index in scored]
        for batch in tree_batches(heads, batch_tokens=self.batch_tokens):
            hidden = tree_hidden_states(self.lm.model, self.lm.backbone, batch)
            tokens = predicted_tokens(batch, tails, first[scored], hidden.device)
            logprobs = token_logprobs(self.lm, hidden, tokens).double().cpu().numpy()
            done = scored[batch.sequences]
            sums[done] = np.bincount(tokens.owner, weights=logprobs, minlength=len(done))
            if progress is not None:
                progress(len(done), int(counts[done].sum()))
        return sums, counts
