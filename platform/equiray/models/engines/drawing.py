"""Drawing the next token: by inverse distribution, from uniform numbers that belong to one completion alone.

One number a token, from a stream keyed by (seed, conversation, index): what is drawn does not depend on what is
sampled beside it. Log-probabilities do so in their last bits, since matrix kernels round differently for other numbers
of rows; in bfloat16 that can turn a token where two are about equally likely, and a text goes another way from there.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from equiray.models.engines.records import Request, Sampling, completion_key


def uniforms(request: Request, sampling: Sampling, index: int) -> NDArray[np.float64]:
    """Numbers in [0, 1), one for each token that completion `index` may have."""
    key = completion_key(request.messages, sampling.seed, index)
    return np.random.Generator(np.random.Philox(key=key)).random(sampling.max_tokens)


def draw(logits: torch.Tensor, numbers: NDArray[np.float64], sampling: Sampling) -> torch.Tensor:
    """The next tokens, int64 [rows].

    Parameters
    ----------
    logits : float32 [rows, vocabulary]
    numbers : float64 [rows]
        In [0, 1); unused at temperature 0.
    """
    if sampling.temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = torch.softmax(logits / sampling.temperature, dim=-1)
    if sampling.top_p < 1:
        probabilities = _nucleus(probabilities, sampling.top_p)
    reached = probabilities.cumsum(dim=-1)
    aim = torch.as_tensor(numbers, dtype=reached.dtype, device=reached.device)[:, None] * reached[:, -1:]
    # the smallest token whose share of the sum exceeds the number; one of probability 0 never does
    return torch.searchsorted(reached, aim, right=True)[:, 0].clamp_(max=_last_possible(probabilities))


def _nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Keep the fewest likeliest tokens that together reach `top_p`."""
    ranked, tokens = probabilities.sort(dim=-1, descending=True, stable=True)
    ranked[ranked.cumsum(dim=-1) - ranked >= top_p] = 0
    return torch.zeros_like(probabilities).scatter_(-1, tokens, ranked)


def _last_possible(probabilities: torch.Tensor) -> torch.Tensor:
    """Where rounding lets a number reach the whole sum: the last token that has any probability, int64 [rows]."""
    width = probabilities.shape[-1]
    return width - 1 - (probabilities > 0).flip(-1).to(torch.uint8).argmax(dim=-1)
