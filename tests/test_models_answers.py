"""Zero-shot answers: against plain forwards over the same words, both orders, chat templates, twins."""

import numpy as np
import pytest
import torch

import tiny_models
from equiray.data.text import Prompts
from equiray.models.answers import Answers, average_with_twins, prompt_frame, score_answers, variants
from equiray.models.loading import CausalLM

PROMPTS = Prompts(
    task_prefix="Read the description and answer the question about it . ",
    row_bodies=["The sex is Male . The age is 39 .", "The sex is Female . The age is 39 .", "The race is Black ."],
    suffix="\nDoes this person earn more than 40 dollars per year ? Yes or no ?\nAnswer:",
    answers=(" Yes", " No"),
)
QUESTION = "\nDoes this person earn more than 40 dollars per year ? Yes or no ?\n"


@torch.no_grad()
def answer_probability(lm: CausalLM, text: str, positive: str, negative: str, *, special: bool) -> float:
    ids = lm.tokenizer(text, add_special_tokens=special)["input_ids"]
    lm.model.config._attn_implementation = "eager"
    p = lm.model(torch.tensor([ids])).logits[0, -1].double().softmax(dim=-1)
    yes, no = (p[lm.tokenizer.convert_tokens_to_ids(word)] for word in (positive, negative))
    return float(yes / (yes + no))


@pytest.mark.parametrize("architecture", sorted(tiny_models.CONFIGS))
@pytest.mark.parametrize("bos", [False, True])
def test_both_orders_are_asked_and_averaged(architecture, bos):
    lm = tiny_models.tiny(architecture, bos=bos)
    expected = []
    for body in PROMPTS.row_bodies:
        start = PROMPTS.task_prefix + body + QUESTION
        one = answer_probability(lm, start + "A. Yes\nB. No\nAnswer:", "A", "B", special=True)
        other = answer_probability(lm, start + "A. No\nB. Yes\nAnswer:", "B", "A", special=True)
        assert abs(one - other) > 1e-5  # a model without position bias would not tell the orders apart
        expected.append((one + other) / 2)
    np.testing.assert_allclose(score_answers(lm, PROMPTS), expected, atol=1e-5)


def test_a_chat_template_stands_around_the_question():
    lm = tiny_models.tiny("qwen3", chat=True, bos=True)
    expected = []
    for body in PROMPTS.row_bodies:
        start = f"<s> user {PROMPTS.task_prefix + body + QUESTION}"
        one = answer_probability(lm, f"{start}A. Yes\nB. No\nAnswer: </s> assistant ", "A", "B", special=False)
        other = answer_probability(lm, f"{start}A. No\nB. Yes\nAnswer: </s> assistant ", "B", "A", special=False)
        expected.append((one + other) / 2)
    np.testing.assert_allclose(score_answers(lm, PROMPTS), expected, atol=1e-5)
    frame = prompt_frame(lm)
    assert (frame.before, frame.after) == ("<s> user ", " </s> assistant ")
    assert not frame.add_special_tokens  # the template writes <s>; the tokenizer must not write it again


def test_what_differs_between_the_orders_comes_last():
    first, second = variants(PROMPTS)
    assert first.tail == QUESTION + "A. Yes\nB. No\nAnswer:"
    assert second.tail == QUESTION + "A. No\nB. Yes\nAnswer:"
    assert (first.positive, first.negative, second.positive, second.negative) == ("A", "B", "B", "A")


def test_no_rows():
    assert score_answers(tiny_models.tiny("llama"), PROMPTS._replace(row_bodies=[])).shape == (0,)


def test_decisions_averaged_over_twins_do_not_see_the_attribute():
    own = Answers.complete(np.array([0.2, 0.6, 0.9]))
    averaged = average_with_twins(own, Answers.complete(np.array([0.4, 0.1, 0.8, 0.3])), [0, 2, 2, 2])
    np.testing.assert_allclose(averaged.probabilities, [0.3, 0.6, (0.9 + 0.1 + 0.8 + 0.3) / 4])
    assert averaged.outcomes == ("answered",) * 3
    swapped = average_with_twins(Answers.complete(np.array([0.4])), Answers.complete(np.array([0.2])), [0])
    assert swapped.probabilities[0] == pytest.approx(averaged.probabilities[0])
    assert own.probabilities.tolist() == [0.2, 0.6, 0.9]


def test_a_twin_without_an_answer_leaves_its_row_without_one():
    own = Answers(np.array([0.2, 0.6, np.nan, 0.1]), ("answered", "answered", "unparsed", "answered"))
    twins = Answers(np.array([np.nan, np.nan, 0.5]), ("unparsed", "refused", "answered"))
    averaged = average_with_twins(own, twins, [0, 2, 1])
    np.testing.assert_allclose(averaged.probabilities, [np.nan, 0.55, np.nan, 0.1])
    assert averaged.outcomes == ("unparsed", "answered", "refused", "answered")
