"""What share of the machine's bf16 GEMM rate does embedding reach on real ragged rows?

    python benchmarks/embed_vs_gemm.py [--quick]

The bound: the linear layers of the model, one after the other, on 2,048 tokens, nothing between them, as torch's
`linear` multiplies. Ours: embedding Adult rows. Counted for ours are the multiplications of the linear layers for every
*distinct* prefix of the rows, once: attention, norms, tokenization and what is computed twice cost time and earn
nothing. Rows per second stand beside it, because sharing prefixes lowers the work, not the share. Ours keeps weights
packed, which torch's `linear` does not: the rate of the packed multiplications, a higher bound, is printed once.
"""

import sys
import time

import torch
from harness import Side, measure, report, start
from rows import adult_texts, embedded_model
from torch.nn.functional import linear

from equiray.models.embedding import embed_texts, tokenize
from equiray.models.loading import CausalLM
from equiray.models.prefix_tree import tree_batches

TARGET = 0.60
GEMM_TOKENS = 2048


def layers(lm: CausalLM) -> list[torch.Tensor]:
    """Weights of the backbone's linear layers, in the order they run."""
    return [module.weight for module in lm.backbone.modules() if isinstance(module, torch.nn.Linear)]


def distinct_prefixes(sequences: list[list[int]]) -> int:
    """How many tokens must be computed if nothing is computed twice: the nodes of one tree of all sequences."""
    everything = sum(len(s) for s in sequences) + 1
    return sum(len(b.tokens) for b in tree_batches(sequences, batch_tokens=everything))


@torch.inference_mode()
def gemm_pass(weights: list[torch.Tensor], inputs: dict[int, torch.Tensor]) -> None:
    """Each linear layer once."""
    for weight in weights:
        linear(inputs[weight.shape[1]], weight)
    if weights[0].is_cuda:
        torch.cuda.synchronize()


@torch.inference_mode()
def packed_rate(lm: CausalLM, inputs: dict[int, torch.Tensor], per_token: float, passes: int = 8) -> float:
    """Multiplications a second of the layers as ours runs them, one after the other."""
    modules = [module for module in lm.backbone.modules() if isinstance(module, torch.nn.Linear)]
    for module in modules:  # the first use packs
        module(inputs[module.in_features])
    began = time.perf_counter()
    for _ in range(passes):
        for module in modules:
            module(inputs[module.in_features])
    return passes * GEMM_TOKENS * per_token / (time.perf_counter() - began)


def main() -> None:
    """Measure and report."""
    quick = start(__doc__ or "")
    lm = embedded_model()
    weights = layers(lm)
    per_token = 2.0 * sum(weight.numel() for weight in weights)
    inputs = {w.shape[1]: torch.randn(GEMM_TOKENS, w.shape[1], dtype=w.dtype, device=w.device) for w in weights}
    texts = adult_texts(lm)
    tokens = tokenize(lm, texts)
    print(f"{len(texts)} Adult rows of {sum(map(len, tokens)) / len(tokens):.0f} tokens")

    def embed(chosen: range) -> float:
        embed_texts(lm, [texts[i] for i in chosen])
        return per_token * useful[chosen]  # counting takes thousandths of the time of embedding

    def multiply(chosen: range) -> float:
        gemm_pass(weights, inputs)
        return per_token * GEMM_TOKENS

    useful = Useful(tokens)
    print(f"packed multiplications: {packed_rate(lm, inputs, per_token) / 1e9:.0f} GFLOP/s")
    rates = measure(Side("embedding", embed), Side("GEMM", multiply), len(texts), quick=quick)
    rows_per_flop = [len(chosen) / (per_token * count) for chosen, count in useful.counted.items()]
    for rate, per in zip(rates, rows_per_flop[-len(rates) :], strict=True):
        print(f"{rate.ours / 1e9:.0f} of {rate.peer / 1e9:.0f} GFLOP/s, {rate.ours * per:.2f} rows/s")
    report("embed_vs_gemm", rates, unit="share of the bf16 GEMM rate", peer="GEMM", quick=quick, target=TARGET)


class Useful:
    """Distinct prefixes of a range of rows, counted once per range and outside the timed part where possible."""

    def __init__(self, tokens: list[list[int]]) -> None:
        self.tokens = tokens
        self.counted: dict[range, int] = {}

    def __getitem__(self, chosen: range) -> int:
        """Count, or remember."""
        if chosen not in self.counted:
            self.counted[chosen] = distinct_prefixes([self.tokens[i] for i in chosen])
        return self.counted[chosen]


if __name__ == "__main__":
    sys.exit(main())
