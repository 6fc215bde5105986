"""The transformers engine on tiny random models: against a plain loop of whole forwards, and under other batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import tiny_models
from equiray.errors import BadInput
from equiray.models.engines.drawing import draw, uniforms
from equiray.models.engines.prompts import encode_conversations
from equiray.models.engines.records import Completion, Message, Request, Sampling
from equiray.models.engines.transformers_engine import TransformersEngine

every_architecture = pytest.mark.parametrize("architecture", sorted(tiny_models.CONFIGS))
SAMPLING = Sampling(temperature=1.0, max_tokens=12, seed=3)


def request(name: str, text: str, n: int = 4) -> Request:
    return Request(request_id=name, messages=(Message("user", text),), n=n)


REQUESTS = [
    request("a", "The sex is Male . The age is 39 .", 5),
    request("b", "The sex is Male . The age is 41 . Answer :", 3),
    request("c", "race", 1),
    request("d", "Does this person earn more than 40 dollars per year ?", 4),
]


def written(engine: TransformersEngine, requests: list[Request], sampling: Sampling) -> dict:
    found = list(engine.generate(requests, sampling))
    named = {(c.request_id, c.index): c for c in found}
    assert len(named) == len(found)
    return named


@torch.no_grad()
def naive(lm, request: Request, index: int, sampling: Sampling) -> Completion:
    """One whole forward a token, no cache, no batch; its inverse distribution function in numpy."""
    lm.model.config._attn_implementation = "eager"
    prompt = encode_conversations(lm.tokenizer, [request.messages])[0]
    numbers, tokens, finish = uniforms(request, sampling, index), [], "length"
    for number in numbers:
        logits = lm.model(torch.tensor([prompt + tokens])).logits[0, -1].double().numpy() / sampling.temperature
        share = np.exp(logits - logits.max())
        tokens.append(int(np.searchsorted(share.cumsum() / share.sum(), number, side="right")))
        if tokens[-1] == lm.tokenizer.eos_token_id:
            finish = "stop"
            break
    text = lm.tokenizer.decode(tokens, skip_special_tokens=True)
    return Completion(request_id=request.request_id, index=index, text=text, tokens=len(tokens), finish=finish)


@every_architecture
@pytest.mark.parametrize("chat", [False, True])
def test_tokens_are_those_of_whole_forwards(architecture, chat):
    lm = tiny_models.tiny(architecture, chat=chat)
    found = written(TransformersEngine(lm=lm, live_chains=3, batch_tokens=30), REQUESTS, SAMPLING)
    assert set(found) == {(r.request_id, k) for r in REQUESTS for k in range(r.n)}
    for (name, index), completion in found.items():
        (asked,) = (r for r in REQUESTS if r.request_id == name)
        assert completion == naive(lm, asked, index, SAMPLING)


def test_both_ends_occur():
    found = written(TransformersEngine(lm=tiny_models.tiny("llama")), [request("a", "The age is", 40)], SAMPLING)
    assert {c.finish for c in found.values()} == {"stop", "length"}
    assert all((c.tokens == SAMPLING.max_tokens) or c.finish == "stop" for c in found.values())


@pytest.mark.parametrize(("live", "tokens"), [(1, 8), (3, 40), (64, 2048)])
def test_a_completion_does_not_depend_on_what_is_beside_it(live, tokens):
    lm = tiny_models.tiny("llama", chat=True)
    alone = written(TransformersEngine(lm=lm, live_chains=1), [REQUESTS[1]], SAMPLING)
    beside = written(TransformersEngine(lm=lm, live_chains=live, batch_tokens=tokens), REQUESTS[::-1], SAMPLING)
    assert alone.items() <= beside.items()


def test_more_completions_are_more_of_the_same():
    engine = TransformersEngine(lm=tiny_models.tiny("llama"))
    few = written(engine, [request("a", "The age is", 3)], SAMPLING)
    many = written(engine, [request("a", "The age is", 8)], SAMPLING)
    rest = written(engine, [replace(request("a", "The age is", 8), skip=frozenset({0, 1, 2}))], SAMPLING)
    assert many == few | rest and not few.keys() & rest.keys()
    assert len({c.text for c in many.values()}) > 4


def test_draws_depend_on_seed_and_content_not_on_the_name():
    engine = TransformersEngine(lm=tiny_models.tiny("llama"))
    base = [c.text for c in written(engine, [request("a", "The age is")], SAMPLING).values()]
    renamed = [c.text for c in written(engine, [request("z", "The age is")], SAMPLING).values()]
    reseeded = [c.text for c in written(engine, [request("a", "The age is")], replace(SAMPLING, seed=4)).values()]
    assert base == renamed != reseeded


def test_drawn_tokens_follow_the_distribution():
    logits = torch.tensor([[0.0, 2.0, -1.0, 1.0, -torch.inf]])
    numbers = np.random.default_rng(0).random(40_000)
    for temperature in (0.5, 1.0, 2.0):
        drawn = draw(logits.expand(len(numbers), -1), numbers, Sampling(temperature=temperature))
        expected = torch.softmax(logits[0].double() / temperature, 0).numpy()
        np.testing.assert_allclose(np.bincount(drawn, minlength=5) / len(numbers), expected, atol=0.01)


def test_nucleus_keeps_the_fewest_that_reach_the_share():
    logits = torch.log(torch.tensor([[0.1, 0.5, 0.05, 0.35]]))
    numbers = np.linspace(0, 1, 2000, endpoint=False)
    for top_p, kept in ((0.4, {1}), (0.6, {1, 3}), (0.9, {0, 1, 3}), (1.0, {0, 1, 2, 3})):
        drawn = draw(logits.expand(len(numbers), -1), numbers, Sampling(temperature=1.0, top_p=top_p))
        assert set(drawn.tolist()) == kept


def test_no_draw_falls_on_an_impossible_token():
    logits = torch.full((2, 1000), -torch.inf)
    logits[:, 100:900] = torch.randn(2, 800, generator=torch.Generator().manual_seed(0))
    drawn = draw(logits, np.array([0.0, np.nextafter(1.0, 0.0)]), Sampling(temperature=1.0)).tolist()
    assert drawn == [100, 899]


def test_temperature_zero_takes_the_likeliest():
    lm = tiny_models.tiny("qwen2")
    texts = {c.text for c in written(TransformersEngine(lm=lm), [REQUESTS[0]], Sampling(temperature=0)).values()}
    assert len(texts) == 1


def test_stop_strings_cut_the_text_and_end_the_chain():
    lm = tiny_models.tiny("llama")
    engine, sampling = TransformersEngine(lm=lm, live_chains=4), replace(SAMPLING, max_tokens=40)
    free = written(engine, REQUESTS, sampling)
    stopped = written(engine, REQUESTS, replace(sampling, stop=("White Black", "age", "is")))
    cut = 0
    for key, whole in free.items():
        found = [at for stop in ("White Black", "age", "is") if (at := whole.text.find(stop)) >= 0]
        if not found:
            assert stopped[key] == whole
            continue
        cut += 1
        assert stopped[key].text == whole.text[: min(found)]
        assert stopped[key].finish == "stop" and stopped[key].tokens < whole.tokens
    assert cut >= 3


def test_a_prompt_without_room_is_refused_and_one_with_little_ends():
    engine = TransformersEngine(lm=tiny_models.tiny("llama"))  # reads 512 tokens
    with pytest.raises(BadInput, match=r"a prompt of 512 tokens, where the model reads 512 .*\n.*'long'"):
        list(engine.generate([request("long", "age " * 512)], SAMPLING))
    (short,) = engine.generate([request("long", "age " * 509, 1)], SAMPLING)
    assert short.tokens <= 3


@every_architecture
def test_scores_are_those_of_plain_forwards(architecture):
    lm = tiny_models.tiny(architecture, chat=True)
    prefixes = [(Message("user", "The sex is"),), (Message("user", "age"), Message("assistant", "The age is"))]
    texts = [["Male", "Female worked ."], ["39"]]
    lm.model.config._attn_implementation = "eager"
    for prefix, group, scores in zip(prefixes, texts, TransformersEngine(lm=lm).score(prefixes, texts), strict=True):
        head = encode_conversations(lm.tokenizer, [prefix])[0]
        for text, logprob, count in zip(group, *scores, strict=True):
            ids = head + lm.tokenizer(text, add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                plain = lm.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
            own = sum(plain[at - 1, ids[at]] for at in range(len(head), len(ids)))
            assert logprob == pytest.approx(float(own), abs=1e-4)
            assert count == len(ids) - len(head)


def test_a_begun_answer_stays_open():
    lm = tiny_models.tiny("llama", chat=True)
    begun = (Message("user", "age"), Message("assistant", "The age is"))
    (tokens,) = encode_conversations(lm.tokenizer, [begun])
    assert lm.tokenizer.decode(tokens[-3:]) == "The age is"
    (opened,) = encode_conversations(lm.tokenizer, [begun[:1]])
    assert lm.tokenizer.decode(opened[-1:]) == "assistant"
