"""Embedding rows per second against a length-sorted bf16 transformers loop on the same Adult rows.

    python benchmarks/embed_vs_plain.py [--quick]

The loop runs the backbone alone (no logits), sorts by length, pads little, takes the mean over each row's tokens, and
gets its best batch size of 1, 4, 16 and 64.
"""

import sys
import time

import numpy as np
import torch
from harness import Side, agree, measure, report, start
from rows import BATCH_SIZES, adult_texts, embedded_model, plain_model, sorted_batches

from equiray.models.embedding import embed_texts, tokenize
from equiray.models.loading import CausalLM

TRIAL_ROWS = 128


@torch.inference_mode()
def plain_embeddings(lm: CausalLM, texts: list[str], batch_size: int) -> np.ndarray:
    """Mean-pooled states, float32 [texts, hidden]."""
    vectors = np.empty((len(texts), lm.model.config.hidden_size), np.float32)
    for batch in sorted_batches(lm, tokenize(lm, texts), batch_size):
        states = lm.backbone(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).last_hidden_state
        weights = batch.mask[:, :, None].float()
        vectors[batch.rows] = ((states.float() * weights).sum(1) / weights.sum(1)).cpu().numpy()
    return vectors


def best_batch_size(lm: CausalLM, texts: list[str]) -> int:
    """The fastest of `BATCH_SIZES`."""
    rates = {}
    for size in BATCH_SIZES:
        began = time.perf_counter()
        plain_embeddings(lm, texts, size)
        rates[size] = len(texts) / (time.perf_counter() - began)
    print("plain loop, rows/s by batch size:", {size: round(rate, 2) for size, rate in rates.items()})
    return max(rates, key=rates.__getitem__)


def main() -> None:
    """Measure, check and report."""
    quick = start(__doc__ or "")
    lm, peer_lm = embedded_model(), plain_model()
    texts = adult_texts(lm)
    trial = texts[: TRIAL_ROWS // 8 if quick else TRIAL_ROWS]
    size = best_batch_size(peer_lm, trial)
    ours, theirs = embed_texts(lm, trial), plain_embeddings(peer_lm, trial, size)
    cosines = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    agree("embeddings (cosine)", cosines, np.ones(len(trial)), 0.001)

    def embed(chosen: range) -> float:
        embed_texts(lm, [texts[i] for i in chosen])
        return len(chosen)

    def plain(chosen: range) -> float:
        plain_embeddings(peer_lm, [texts[i] for i in chosen], size)
        return len(chosen)

    rates = measure(Side("equiray", embed), Side("plain loop", plain), len(texts), quick=quick)
    peer = f"length-sorted transformers loop, bf16, batch {size}"
    report("embed_vs_plain", rates, unit="times the rows per second", peer=peer, quick=quick)


if __name__ == "__main__":
    sys.exit(main())
