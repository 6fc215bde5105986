"""Answer scoring of ACS rows against a well-written transformers loop: same prompts, model and dtype.

    python benchmarks/score_vs_plain.py [--quick]

Two prompts a row (both orders of the options). The loop sorts by length, pads little, computes logits at the last
token only, and gets its best batch size of 1, 4, 16 and 64. Needs the mirror of the ACS rows (EQUIRAY_DATA).
"""

import sys
import time
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from acs_questions import Asked, acs_rows, answer_tokens, equiray_scores, prompts
from harness import Side, agree, measure, report, start
from rows import BATCH_SIZES, embedded_model, plain_model, sorted_batches

from equiray.models.loading import CausalLM

TARGET = 2.3
TRIAL_ROWS = 64
REPEAT_ROWS = 256
"""Fewer rows share less than a user's call does: 245 tokens are computed a row at 37 rows, 213 at 256, 182 at 1,024."""


@torch.inference_mode()
def plain_scores(lm: CausalLM, rows: Sequence[tuple[Asked, Asked]], batch_size: int) -> np.ndarray:
    """P(employed), float64 [rows], averaged over both orders."""
    letter = answer_tokens(lm)
    head = cast(torch.nn.Module, lm.model.get_output_embeddings())
    asked = [one for pair in rows for one in pair]
    scores = np.empty(len(asked))
    for batch in sorted_batches(lm, lm.tokenizer([one.text for one in asked])["input_ids"], batch_size):
        states = lm.backbone(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).last_hidden_state
        last = states[torch.arange(len(states)), batch.mask.sum(1) - 1]
        logits = head(last).float().cpu()
        for row, index in enumerate(batch.rows):
            positive, negative = letter[asked[index].positive], letter[asked[index].negative]
            scores[index] = torch.sigmoid(logits[row, positive] - logits[row, negative])
    return scores.reshape(-1, 2).mean(axis=1)


def best_batch_size(lm: CausalLM, rows: Sequence[tuple[Asked, Asked]]) -> int:
    """The fastest of `BATCH_SIZES`."""
    rates = {}
    for size in BATCH_SIZES:
        began = time.perf_counter()
        plain_scores(lm, rows, size)
        rates[size] = len(rows) / (time.perf_counter() - began)
    print("plain loop, rows/s by batch size:", {size: round(rate, 2) for size, rate in rates.items()})
    return max(rates, key=rates.__getitem__)


def main() -> None:
    """Measure, check and report."""
    quick = start(__doc__ or "")
    lm, peer_lm = embedded_model(), plain_model()
    rows = prompts(acs_rows())
    trial = rows[: TRIAL_ROWS // 8 if quick else TRIAL_ROWS]
    size = best_batch_size(peer_lm, trial)
    agree("probabilities", equiray_scores(lm, trial), plain_scores(peer_lm, trial, size), 0.03)

    def ours(chosen: range) -> float:
        equiray_scores(lm, rows[chosen.start : chosen.stop])
        return len(chosen)

    def plain(chosen: range) -> float:
        plain_scores(peer_lm, rows[chosen.start : chosen.stop], size)
        return len(chosen)

    rates = measure(Side("equiray", ours), Side("plain loop", plain), len(rows), quick=quick, at_least=REPEAT_ROWS)
    peer = f"length-sorted transformers loop, bf16, last-token logits, batch {size}"
    report("score_vs_plain", rates, unit="times the rows per second", peer=peer, quick=quick, target=TARGET)


if __name__ == "__main__":
    sys.exit(main())
