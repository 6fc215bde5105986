"""Answer scoring of ACS rows against folktexts: same rows, words, model and dtype.

    python benchmarks/score_vs_folktexts.py [--quick]

folktexts runs its transformers classifier with its own correction of the order bias (both orders, as ours), given bf16
(its default on a CPU, fp16, is several times slower there) and its best batch size of 1, 4, 16 and 64. Writing the
prompts is inside the timed part for both. Needs the mirror of the ACS rows (EQUIRAY_DATA).
"""

# The peers are installed by `make bench` alone.
# pyright: reportMissingImports=false

import logging
import sys
import time
from typing import Any

import numpy as np
import pandas as pd
from acs_questions import acs_rows, equiray_scores, prompts, task
from folktexts.classifier.transformers_classifier import TransformersLLMClassifier
from harness import Side, agree, measure, report, start
from rows import BATCH_SIZES, embedded_model, plain_model

from equiray.models.loading import CausalLM

TARGET = 2.7
TRIAL_ROWS = 64
REPEAT_ROWS = 256
"""Fewer rows share less than a user's call does: 245 tokens are computed a row at 37 rows, 213 at 256, 182 at 1,024."""
CONTEXT_TOKENS = 512


def classifier(lm: CausalLM, batch_size: int) -> TransformersLLMClassifier:
    """Folktexts' classifier over the model as transformers loads it."""
    model: Any = lm.model  # folktexts' annotations name the Auto classes, which no model is an instance of
    tokenizer: Any = lm.tokenizer
    return TransformersLLMClassifier(
        model, tokenizer, task(), correct_order_bias=True, batch_size=batch_size, context_size=CONTEXT_TOKENS
    )


def folktexts_scores(lm: CausalLM, rows: pd.DataFrame, batch_size: int) -> np.ndarray:
    """P(employed) as folktexts estimates it."""
    return classifier(lm, batch_size).compute_risk_estimates_for_dataframe(rows)


def best_batch_size(lm: CausalLM, rows: pd.DataFrame) -> int:
    """The fastest of `BATCH_SIZES`."""
    rates = {}
    for size in BATCH_SIZES:
        began = time.perf_counter()
        folktexts_scores(lm, rows, size)
        rates[size] = len(rows) / (time.perf_counter() - began)
    print("folktexts, rows/s by batch size:", {size: round(rate, 2) for size, rate in rates.items()})
    return max(rates, key=rates.__getitem__)


def main() -> None:
    """Measure, check and report."""
    quick = start(__doc__ or "")
    logging.disable(logging.WARNING)  # folktexts logs every prompt whose options have little mass
    lm, peer_lm = embedded_model(), plain_model()
    rows = acs_rows()
    trial = rows.head(TRIAL_ROWS // 8 if quick else TRIAL_ROWS)
    size = best_batch_size(peer_lm, trial)
    agree("probabilities", equiray_scores(lm, prompts(trial)), folktexts_scores(peer_lm, trial, size), 0.03)

    def ours(chosen: range) -> float:
        equiray_scores(lm, prompts(rows.iloc[chosen.start : chosen.stop]))
        return len(chosen)

    def theirs(chosen: range) -> float:
        folktexts_scores(peer_lm, rows.iloc[chosen.start : chosen.stop], size)
        return len(chosen)

    rates = measure(Side("equiray", ours), Side("folktexts", theirs), len(rows), quick=quick, at_least=REPEAT_ROWS)
    peer = f"folktexts 0.7.1, bf16, batch {size}, context {CONTEXT_TOKENS}"
    report("score_vs_folktexts", rates, unit="times the rows per second", peer=peer, quick=quick, target=TARGET)


if __name__ == "__main__":
    sys.exit(main())
