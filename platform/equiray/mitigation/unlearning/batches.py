"""What one training step computes: prompts with all their answers, and reference texts, as one tree.

A prompt's eighteen answers share its prefix, which is computed once. The last token of a sequence predicts nothing
and is not computed at all: an answer of one token costs no token beyond the prompt's. There is no padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from equiray.data.templates import Fillers, Prompt
from equiray.models.embedding import tokenize
from equiray.models.loading import CausalLM
from equiray.models.prefix_tree import TreeBatch, tree_batches
from equiray.models.tree_attention import tree_hidden_states

Tokens = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class EncodedPrompt:
    """A prompt in tokens: its prefix, and its answers.

    `stereotype` holds the answers that state the stereotype (poor ones where `sided` is False: a neutral target),
    `anti` the others. Prefix and answers are tokenized apart, as `equiray.models.scoring.Scorer` does.
    """

    prefix: Tokens
    stereotype: tuple[Tokens, ...]
    anti: tuple[Tokens, ...]
    sided: bool


class Answers(NamedTuple):
    """Mean log-probabilities [P, A] of each prompt's answers, nats per token; `sided` bool [P]."""

    stereotype: torch.Tensor
    anti: torch.Tensor
    sided: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class StepBatch:
    """One forward pass and where to read its results.

    Attributes
    ----------
    tree : TreeBatch
    nodes, targets : int64 [N]
        Answer token `targets[i]` is predicted from the state of node `nodes[i]`.
    owner : int64 [N]
        The answer it belongs to: prompt x 2A + place among the prompt's answers, stereotype first.
    shape : (P, A)
    sided : bool [P]
    reference : int64 [R]
        Nodes whose next-token distribution the divergence term compares, text after text.
    """

    tree: TreeBatch
    nodes: np.ndarray
    targets: np.ndarray
    owner: np.ndarray
    shape: tuple[int, int]
    sided: np.ndarray
    reference: np.ndarray


def encode_prompts(lm: CausalLM, prompts: Sequence[Prompt], fillers: Fillers) -> list[EncodedPrompt]:
    """Tokenize prompts and their answers."""
    joiners = {prompt.joiner for prompt in prompts}
    texts = [joiner + word for joiner in sorted(joiners) for word in fillers.relevant]
    ids = lm.tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    tokens = {text: tuple(answer) for text, answer in zip(texts, ids, strict=True)}
    encoded = []
    for prompt, prefix in zip(prompts, tokenize(lm, [p.prefix for p in prompts]), strict=True):
        sided = prompt.side != "neutral"
        stereotype = prompt.stereotype(fillers) if sided else fillers.poor
        anti = prompt.antistereotype(fillers) if sided else fillers.rich
        encoded.append(
            EncodedPrompt(
                prefix=tuple(prefix),
                stereotype=tuple(tokens[text] for text in prompt.continuations(stereotype)),
                anti=tuple(tokens[text] for text in prompt.continuations(anti)),
                sided=sided,
            )
        )
    return encoded


def step_batch(prompts: Sequence[EncodedPrompt], references: Sequence[Tokens] = ()) -> StepBatch:
    """Lay prompts and reference texts (two tokens or more each) out as one tree."""
    answers = [(prompt, answer) for prompt in prompts for answer in (*prompt.stereotype, *prompt.anti)]
    sequences = [prompt.prefix + answer[:-1] for prompt, answer in answers] + [text[:-1] for text in references]
    (tree,) = tree_batches(sequences, batch_tokens=sum(map(len, sequences)) + 1)
    paths = dict(zip(tree.sequences.tolist(), tree.paths, strict=True))
    nodes = [paths[i][len(prompt.prefix) - 1 :] for i, (prompt, _) in enumerate(answers)]
    return StepBatch(
        tree=tree,
        nodes=_joined(nodes),
        targets=_joined([np.asarray(answer) for _, answer in answers]),
        owner=np.repeat(np.arange(len(answers)), [len(answer) for _, answer in answers]),
        shape=(len(prompts), len(prompts[0].anti) if prompts else 0),
        sided=np.array([prompt.sided for prompt in prompts], dtype=bool),
        reference=_joined([paths[len(answers) + i] for i in range(len(references))]),
    )


def hidden_states(lm: CausalLM, batch: StepBatch) -> torch.Tensor:
    """Last hidden states [T, hidden] of the batch's nodes."""
    return tree_hidden_states(lm.model, lm.backbone, batch.tree)


def read_answers(lm: CausalLM, hidden: torch.Tensor, batch: StepBatch) -> Answers:
    """The answers' mean log-probabilities, from logits computed once per node."""
    device = hidden.device
    unique, where = np.unique(batch.nodes, return_inverse=True)
    logits = next_token_logits(lm, hidden[torch.as_tensor(unique, device=device)])
    rows, targets = (torch.as_tensor(part, device=device) for part in (where, batch.targets))
    token = logits[rows, targets] - torch.logsumexp(logits, dim=-1)[rows]
    prompts, half = batch.shape
    owner = torch.as_tensor(batch.owner, device=device)
    count = torch.bincount(owner, minlength=prompts * 2 * half)
    mean = token.new_zeros(prompts * 2 * half).index_add(0, owner, token) / count
    stereotype, anti = mean.view(prompts, 2, half).unbind(dim=1)
    return Answers(stereotype, anti, torch.as_tensor(batch.sided, device=device))


def next_token_logits(lm: CausalLM, hidden: torch.Tensor, head: torch.nn.Module | None = None) -> torch.Tensor:
    """float32 [rows, vocabulary], with the bound that Gemma-2 puts on them; `head` in place of the model's own."""
    logits = (head or head_of(lm))(hidden).float()
    cap = getattr(lm.model.config, "final_logit_softcapping", None)
    return logits if cap is None else torch.tanh(logits / cap) * cap


def head_of(lm: CausalLM) -> torch.nn.Module:
    """The layer that turns hidden states into logits."""
    head = lm.model.get_output_embeddings()
    assert head is not None, "a causal language model has a head"
    return head


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
