"""Log-probabilities against a naive log-softmax of one plain forward per sequence."""

import numpy as np
import pytest
import torch

import tiny_models
from equiray.models.embedding import tokenize
from equiray.models.loading import CausalLM
from equiray.models.prefix_tree import tree_batches
from equiray.models.scoring import Scorer
from equiray.models.tree_attention import tree_hidden_states

PREFIXES = ["The sex is", "The sex is", "The description about a person : The age is 39 . The", "A"]
CONTINUATIONS = [["Male", "Female", "Male"], ["Female worked"], ["race is White .", "race is Black .", "race"], ["B ."]]
every_architecture = pytest.mark.parametrize("architecture", sorted(tiny_models.CONFIGS))


@torch.no_grad()
def naive(lm: CausalLM, ids: list[int], first: int) -> float:
    lm.model.config._attn_implementation = "eager"
    logprobs = lm.model(torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
    return float(sum(logprobs[at - 1, ids[at]] for at in range(first, len(ids))))


@every_architecture
@pytest.mark.parametrize("bos", [False, True])
def test_continuations(architecture, bos):
    lm = tiny_models.tiny(architecture, bos=bos)
    means = Scorer(lm=lm, batch_tokens=20).mean_logprobs(PREFIXES, CONTINUATIONS)
    for prefix, group, mean in zip(PREFIXES, CONTINUATIONS, means, strict=True):
        head = tokenize(lm, [prefix])[0]
        assert (head[0] == 1) == bos
        for text, one in zip(group, mean, strict=True):
            tail = lm.tokenizer(text, add_special_tokens=False)["input_ids"]
            assert one == pytest.approx(naive(lm, head + tail, len(head)) / len(tail), abs=1e-4)


@every_architecture
def test_text_nll(architecture):
    lm = tiny_models.tiny(architecture)
    texts = ["The age is 39 . The sex is Male .", "The age is 41 .", "Yes", "The age is 39 . The sex is Male ."]
    nll, counts = Scorer(lm=lm).text_nll(texts)
    ids = tokenize(lm, texts)
    np.testing.assert_allclose(nll, [-naive(lm, one, 1) for one in ids], atol=1e-4)
    assert counts.tolist() == [len(one) - 1 for one in ids]  # "Yes" has nothing to predict


def test_more_scored_nodes_than_fit_one_block_of_logits(monkeypatch):
    lm = tiny_models.tiny("gemma2")
    texts = [f"The age is {age} ." for age in (20, 39, 40, 41)]
    whole = Scorer(lm=lm).text_nll(texts)
    monkeypatch.setattr("equiray.models.scoring._LOGIT_ROWS", 3)
    np.testing.assert_allclose(Scorer(lm=lm).text_nll(texts), whole, atol=1e-5)


def test_first_token_is_never_scored():
    with pytest.raises(ValueError, match="sequence 1 has no token before"):
        Scorer(lm=tiny_models.tiny("llama")).sequence_logprobs([[4, 5], [6, 7]], np.array([1, 0]))


@torch.no_grad()
def test_differences_between_answers_are_not_rounded_to_bf16_steps():
    lm = tiny_models.tiny("llama")
    lm.model.to(torch.bfloat16)
    head = lm.model.get_output_embeddings()
    head.weight.mul_(20)  # logits of the size real models have
    scored = Scorer(lm=lm).mean_logprobs(["The sex is"], [tiny_models.WORDS])[0]
    ids = tokenize(lm, ["The sex is"])
    (batch,) = tree_batches(ids, batch_tokens=100)
    state = tree_hidden_states(lm.model, lm.backbone, batch)[-1]
    words = lm.tokenizer.convert_tokens_to_ids(tiny_models.WORDS)
    exact = (head.weight.double() @ state.double())[words].numpy()
    rounded = head(state).double()[words].numpy()
    errors = [np.abs(logits - logits[0] - (exact - exact[0])).max() for logits in (scored, rounded)]
    assert errors[0] < 1e-3 < 0.02 < errors[1]
