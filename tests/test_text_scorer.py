"""Likelihoods of texts after a prefix: equal to a plain loop over whole sentences, tokens that cross the boundary."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

import tiny_models
from equiray.data.cases.choices import Choice, score_choices
from equiray.errors import BadInput
from equiray.models.loading import CausalLM
from equiray.models.text_scorer import CausalTextScorer

PREFIXES = ["The sex is", "", "The description about a person : The age is 39 . The", "The sex"]
CONTINUATIONS = [
    [" Male", " Female worked"],
    ["White Male .", "Black Male ."],
    [" race is A", " sex is B ."],
    [" is Male"],
]


@torch.no_grad()
def whole_text(lm: CausalLM, text: str, *, begin: int) -> float:
    """Log-probability of a text by the model's own attention, one token after the other."""
    ids = lm.tokenizer(text, add_special_tokens=False)["input_ids"]
    lm.model.config._attn_implementation = "eager"
    logits = lm.model(torch.tensor([[begin, *ids]])).logits[0].double()
    return float(sum(logits[at].log_softmax(-1)[token] for at, token in enumerate(ids)))


@pytest.mark.parametrize("architecture", sorted(tiny_models.CONFIGS))
@pytest.mark.parametrize("bos", [False, True])
def test_continuations_are_as_likely_as_the_whole_texts_less_the_prefix(architecture: str, bos: bool):
    lm = tiny_models.tiny(architecture, bos=bos)
    scorer = CausalTextScorer(lm=lm, batch_tokens=20)
    assert scorer.begins_with == "<s>"
    for prefix, group, (sums, tokens) in zip(
        PREFIXES, CONTINUATIONS, scorer.score_texts(PREFIXES, CONTINUATIONS), strict=True
    ):
        given = whole_text(lm, prefix, begin=1)
        assert tokens.tolist() == [len(text.split()) for text in group]
        assert sums == pytest.approx([whole_text(lm, prefix + text, begin=1) - given for text in group], abs=1e-4)


def letters(**special: str) -> PreTrainedTokenizerFast:
    """One token a letter, but for ``ab``."""
    vocabulary = {token: at for at, token in enumerate(["<unk>", "<s>", "</s>", "a", "b", "c", "ab"])}
    core = Tokenizer(models.BPE(vocabulary, [("a", "b")], unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", **special)


def of_letters(**special: str) -> CausalLM:
    lm = tiny_models.tiny("llama")
    return CausalLM(model=lm.model, tokenizer=letters(**special), name="letters", identity="letters")


def test_a_token_that_crosses_the_boundary_counts_in_every_continuation():
    lm = of_letters(bos_token="<s>", eos_token="</s>")
    ((sums, tokens),) = CausalTextScorer(lm=lm).score_texts(["ca"], [["b", "c", "ab"]])
    # c ab | c a c | c a ab: behind the c that all three share
    assert tokens.tolist() == [1, 2, 2]
    given = whole_text(lm, "c", begin=1)
    expected = [whole_text(lm, text, begin=1) - given for text in ("cab", "cac", "caab")]
    assert sums == pytest.approx(expected, abs=1e-5)


def test_texts_begin_with_a_token_that_there_is():
    assert CausalTextScorer(lm=of_letters(bos_token="<s>", eos_token="</s>")).begin == [1]
    assert CausalTextScorer(lm=of_letters(eos_token="</s>")).begin == [2]
    with pytest.raises(BadInput, match="begins texts with no token"):
        CausalTextScorer(lm=of_letters()).score_texts([""], [["a"]])


def test_no_texts_and_an_empty_continuation():
    scorer = CausalTextScorer(lm=tiny_models.tiny("gpt2"))
    assert scorer.score_texts([], []) == []
    empty = Choice(choice_id="x", dataset="d", category="c", family="f", prefix="The", continuations=("", " age"))
    with pytest.raises(BadInput, match="no score of x"):
        score_choices(scorer, [empty])


def test_equal_texts_are_equally_likely_whatever_they_are_scored_with():
    scorer = CausalTextScorer(lm=tiny_models.tiny("qwen3"), batch_tokens=12)
    alone = scorer.score_texts(["The age is"], [[" 39 .", " 40 ."]])[0]
    among = scorer.score_texts(["The", "The age is", "Yes"], [[" sex"], [" 39 .", " 40 ."], [" or no"]])[1]
    np.testing.assert_allclose(among[0], alone[0], atol=1e-5)
    assert (among[1] == alone[1]).all()
