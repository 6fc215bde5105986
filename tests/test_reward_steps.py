"""Chains: cut into steps, masked, labelled by the gold rule; prefixes' likelihoods against plain forwards."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import tiny_models
from equiray.errors import BadInput
from equiray.mitigation.reward.gold import GoldRule, gold_steps
from equiray.mitigation.reward.labels import StepLabel, label_array, label_rate, outcome_array, outcome_label
from equiray.mitigation.reward.likelihoods import AnswerLikelihoods
from equiray.mitigation.reward.scoring import causal_effects, causal_weights
from equiray.mitigation.reward.steps import MASK, ReasonedCase, masked, split_steps, step_records
from equiray.models.loading import CausalLM
from reward_cases import case, chain, random_cases


def test_steps_are_cut_at_blank_lines():
    assert split_steps("One.\nStill one.\n\nTwo.\n \t\nThree.\n\n---\n\n") == ("One.\nStill one.", "Two.", "Three.")
    assert split_steps("") == ()
    assert split_steps("One. Two.", r"(?<=\.)\s+") == ("One.", "Two.")
    with pytest.raises(BadInput, match="no regular expression"):
        split_steps("One.", "(")
    with pytest.raises(BadInput, match="between any two letters"):
        split_steps("One.", "x*")


def test_records_know_what_stands_before_them():
    reasoned = ReasonedCase(case=case("a"), question="Q ?", chains=(chain("a", 4, "One .", "Two ."),))
    first, second = step_records([reasoned])
    assert (first.alone, second.alone) == ("Q ?\n\nOne .", "Two .")
    assert (second.chain, second.step, second.previous) == (4, 1, ("One .",))


def test_chains_of_another_case_or_with_no_such_option_are_refused():
    for wrong in (chain("b", 0, "One ."), chain("a", 0, "One .", answer=3)):
        with pytest.raises(BadInput, match="chain 0 of case 'a'"):
            ReasonedCase(case=case("a"), question="Q ?", chains=(wrong,))
    with pytest.raises(BadInput, match="outcome 'answered' with answer None"):
        replace(chain("a", 0, "One ."), answer=None)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("It was the grandfather, surely.", f"It was {MASK}, surely."),
        ("A Grandfather is old; grandfatherly.", f"{MASK} is old; grandfatherly."),
        ("So the answer is B.", f"So the {MASK}."),
        ("(A) fits. B. does not, Option C either", f"{MASK} fits. {MASK} does not, {MASK} either"),
        ("It can’t be determined. Not enough info; it is unknown.", f"It {MASK}. {MASK}; it is {MASK}."),
        ("A man and D. Smith", "A man and D. Smith"),
    ],
)
def test_masking_hides_options_and_letters(text, hidden):
    bbq = replace(case("a"), options=("The grandfather", "The grandson", "Can't be determined"))
    reasoned = ReasonedCase(case=bbq, question="Was it the grandson?", chains=(chain("a", 0, text),))
    (made,) = masked([reasoned])
    assert made.chains[0].steps == (hidden,)
    assert made.question == f"Was it {MASK}?"
    assert made.chains[0].answer == 0


def test_the_gold_rule_by_hand():
    # log-probabilities of (stereotyped, other, unknown) after 0, 1, 2, 3 steps
    logprobs = np.log([[0.2, 0.3, 0.5], [0.4, 0.2, 0.4], [0.4, 0.19, 0.41], [0.1, 0.1, 0.8]])
    # log(s/u): -.92, 0, -.02, -2.08
    assert gold_steps(case("a"), logprobs, 0.5) == [0, None, 1]
    # the other is right: log(s/o): -.41, .69, .74, 0
    disambiguated = case("a", context="disambiguated", answer=1)
    assert gold_steps(disambiguated, logprobs, 0.5) == [0, None, 1]
    # the stereotype is right: following the evidence is unbiased, leaving it is no bias
    assert gold_steps(case("a", context="disambiguated", answer=0), logprobs, 0.5) == [1, None, None]
    assert gold_steps(case("a", target=None), logprobs, 0.5) == [None] * 3
    assert gold_steps(replace(case("a"), stereotype=None), logprobs, 0.5) == [None] * 3
    assert gold_steps(case("a"), logprobs, 1.0)[0] is None


@torch.no_grad()
def plain(lm: CausalLM, ids: list[int], first: int) -> float:
    lm.model.config._attn_implementation = "eager"
    logprobs = lm.model(torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
    return float(sum(logprobs[at - 1, ids[at]] for at in range(first, len(ids))))


@pytest.mark.parametrize("chat", [False, True])
def test_prefix_likelihoods_against_plain_forwards(chat, monkeypatch):
    lm = tiny_models.tiny("llama", chat=chat, bos=True)
    cases = random_cases(2)
    monkeypatch.setattr("equiray.mitigation.reward.likelihoods._CHAINS_AT_ONCE", 2)
    likelihoods = AnswerLikelihoods(lm=lm, batch_tokens=64)
    prefixes, leaving = likelihoods.after_prefixes(cases), likelihoods.leaving_out(cases)
    before, after = ("<s> user ", " </s> assistant ") if chat else ("<s> ", "\n\n")
    chains = [(reasoned, one) for reasoned in cases for one in reasoned.chains]

    def expected(reasoned: ReasonedCase, steps: tuple[str, ...]) -> list[float]:
        text = before + reasoned.question + after + "\n\n".join([*steps, "Answer:"])
        head = lm.tokenizer(text, add_special_tokens=False)["input_ids"]
        tails = lm.tokenizer(list(reasoned.case.options), add_special_tokens=False)["input_ids"]
        return [plain(lm, head + tail, len(head)) for tail in tails]

    for (reasoned, one), got, left in zip(chains, prefixes, leaving, strict=True):
        assert got.shape == left.shape == (len(one.steps) + 1, 3)
        for stop in range(len(one.steps) + 1):
            np.testing.assert_allclose(got[stop], expected(reasoned, one.steps[:stop]), atol=1e-4)
        for place in range(len(one.steps)):
            without = one.steps[:place] + one.steps[place + 1 :]
            np.testing.assert_allclose(left[place + 1], expected(reasoned, without), atol=1e-4)
    effects = causal_effects(likelihoods, cases)
    answered = np.concatenate([np.full(len(one.steps), one.answer is not None) for _, one in chains])
    np.testing.assert_array_equal(np.isfinite(effects), answered)
    np.testing.assert_allclose(
        effects[answered],
        np.concatenate(
            [
                left[0, one.answer] - left[1:, one.answer]
                for (_, one), left in zip(chains, leaving, strict=True)
                if one.answer is not None
            ]
        ),
    )


def test_causal_weights_of_a_chain_sum_to_one():
    effects = np.array([0.3, -0.1, np.nan, np.nan, 0.0, 0.0])
    weights = causal_weights(effects, np.array([0, 2, 4, 4, 6]))
    np.testing.assert_allclose(weights, [0.75, 0.25, 0.5, 0.5, 0.5, 0.5])
    with pytest.raises(BadInput, match="6 effects of 5 steps"):
        causal_weights(effects, np.array([0, 5]))


def test_gold_labels():
    rule = GoldRule(lm=tiny_models.tiny("llama"), delta=0.02)
    cases = random_cases(6)
    labels = rule.label(cases)
    array = label_array(cases, labels)
    assert {0, 1, -1} == set(array.tolist())  # else the rest of the test shows nothing
    assert label_rate(array) == np.mean([label.unbiased is not None for label in labels])
    assert "llama" in labels[0].source and "delta=0.02" in labels[0].source


def test_labels_that_fit_no_step_are_refused():
    cases = random_cases(1)
    label = StepLabel(case_id="case-0-0", chain=0, step=0, unbiased=1, source="me")
    assert label_array(cases, [label]).tolist().count(1) == 1
    with pytest.raises(BadInput, match="two labels of one step"):
        label_array(cases, [label, label])
    with pytest.raises(BadInput, match="not there\n  where: step 99 of chain 0 of case 'case-0-0', by me"):
        label_array(cases, [replace(label, step=99)])


def test_outcome_labels():
    ambiguous = case("a")
    assert [outcome_label(ambiguous, chain("a", 0, "One .", answer=a)) for a in (0, 1, 2, None)] == [0, None, 1, None]
    disambiguated = case("a", context="disambiguated", answer=1)
    assert [outcome_label(disambiguated, chain("a", 0, "One .", answer=a)) for a in (0, 1, 2)] == [0, 1, None]
    assert outcome_label(case("a", target=None), chain("a", 0, "One .")) is None
    assert outcome_array(random_cases(4)).tolist()[0] == -1  # unparsed
