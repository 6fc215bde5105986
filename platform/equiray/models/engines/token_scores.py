"""How likely a model is to write each token of a text, and which tokens it would rather have written there."""

from typing import cast

import numpy as np
import torch

from equiray.models.engines.prompts import encode_conversations
from equiray.models.engines.records import LikelyToken, Message, ScoredToken
from equiray.models.loading import CausalLM
from equiray.models.prefix_tree import tree_batches
from equiray.models.scoring import ScoredTokens, capped_logits, token_logprobs
from equiray.models.tree_attention import tree_hidden_states

_ROWS = 256
"""Rows of the vocabulary-wide logit matrix held at once."""


@torch.inference_mode()
def score_tokens(lm: CausalLM, messages: tuple[Message, ...], text: str, *, likeliest: int = 0) -> list[ScoredToken]:
    """Score a continuation of a conversation token by token, at temperature 1.

    Conversation and continuation are tokenized apart, as in `TransformersEngine.score`. A text that a model has
    written may so be cut into other tokens than it was drawn in.

    Raises
    ------
    BadInput
        Conversation and continuation are longer than what the model reads at once.
    """
    (head,) = encode_conversations(lm.tokenizer, [messages])
    tail = lm.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
    if not tail:
        return []
    (batch,) = tree_batches([head + tail[:-1]], batch_tokens=len(head) + len(tail))
    hidden = tree_hidden_states(lm.model, lm.backbone, batch)
    nodes = torch.as_tensor(batch.paths[0][len(head) - 1 :], device=hidden.device)
    own = torch.as_tensor(tail, device=hidden.device)[:, None]
    tokens = torch.cat([own, _likeliest(lm, hidden[nodes], likeliest)], dim=1)
    width = tokens.shape[1]
    # of a token and its rivals alike, in float32: what was drawn is never likelier than the likeliest
    asked = ScoredTokens(nodes.repeat_interleave(width), tokens.reshape(-1), np.zeros(tokens.numel(), np.int64))
    logprobs = token_logprobs(lm, hidden, asked).reshape(tokens.shape).cpu().numpy()
    return [_scored(lm, row, of) for row, of in zip(tokens.tolist(), logprobs.tolist(), strict=True)]


def _likeliest(lm: CausalLM, states: torch.Tensor, count: int) -> torch.Tensor:
    """Int64 [tokens, count]."""
    if not count:
        return torch.empty(len(states), 0, dtype=torch.int64, device=states.device)
    head = cast(torch.nn.Module, lm.model.get_output_embeddings())
    parts = [
        capped_logits(lm, head(states[first : first + _ROWS]).float()).topk(count, dim=-1).indices
        for first in range(0, len(states), _ROWS)
    ]
    return torch.cat(parts)


def _scored(lm: CausalLM, tokens: list[int], logprobs: list[float]) -> ScoredToken:
    named = [LikelyToken(_text(lm, token), logprob) for token, logprob in zip(tokens, logprobs, strict=True)]
    ranked = sorted(named[1:], key=lambda each: -each.logprob)
    return ScoredToken(named[0].text, named[0].logprob, tuple(ranked))


def _text(lm: CausalLM, token: int) -> str:
    return str(lm.tokenizer.decode([token], clean_up_tokenization_spaces=False))
