"""The official OpenAI client against a real server: what it sends is understood, what it gets it can read."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import openai
import pytest
import torch

from chat_made import Served, loaded, served
from equiray.bundles.bundle import Bundle
from equiray.models.engines.prompts import encode_conversations
from equiray.models.engines.records import Message
from equiray.models.loading import CausalLM
from equiray.serving.chat.answering import ChatAnswerer
from equiray.serving.chat.replies import ChatCompletion, Fairness, TextCompletion

QUESTION = "Does this person earn more than 40 dollars ?"
ASK: list[Any] = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return loaded(tmp_path_factory.mktemp("chat"))


@pytest.fixture(scope="module")
def server(bundle: Bundle) -> Iterator[Served]:
    with closing(ChatAnswerer(bundle)) as answerer, served(answerer, bundle.path, bundle.path.parent) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url, api_key=server.secret, max_retries=0)


def fairness_of(found: Any) -> Fairness:
    return Fairness.model_validate(found.fairness)


def test_a_chat_is_answered_by_the_weighted_vote(client: openai.OpenAI, server: Served):
    found = client.chat.completions.create(model="tiny", messages=ASK, seed=3)
    assert found.object == "chat.completion" and found.model == "tiny" and found.id.startswith("chatcmpl-")
    fairness = fairness_of(found)
    assert found.choices[0].message.content and found.choices[0].finish_reason in ("stop", "length")
    assert sum(each.share for each in fairness.vote_shares) == pytest.approx(1)
    assert fairness.chains_sampled == len(fairness.chains) <= fairness.chains_at_most == 6
    assert found.usage is not None and found.usage.completion_tokens_details is not None
    assert found.usage.completion_tokens == sum(chain.tokens for chain in fairness.chains)
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
    (chosen,) = fairness.chosen_chains
    unseen = found.usage.completion_tokens_details.reasoning_tokens
    assert unseen == found.usage.completion_tokens - fairness.chains[chosen].tokens
    record = server.log.by_id(fairness.record_id)
    assert record is not None and record.payload is not None
    assert record.kind == "chat" and record.payload["answer"] == found.choices[0].message.content
    assert record.model_version == found.system_fingerprint == fairness.model_version


def test_the_record_has_numbers_in_its_body_and_words_in_its_payload(client: openai.OpenAI, server: Served):
    found = client.chat.completions.create(model="tiny", messages=ASK, seed=8)
    record = server.log.by_id(fairness_of(found).record_id)
    assert record is not None and record.payload is not None

    def texts(of: Any) -> Iterator[str]:
        if isinstance(of, str):
            yield of
        elif isinstance(of, dict):
            yield from (text for value in of.values() for text in texts(value))
        elif isinstance(of, list):
            yield from (text for value in of for text in texts(value))

    assert set(texts(dict(record.body))) <= {
        *("chat", "tiny", "low", "options", "final_answer", "best_chain"),
        *("settled", "all_sampled", "answered", "unparsed", "refused", "stop", "length"),
    }
    assert {"vote_shares", "step_scores", "chains", "usage"} <= record.body.keys()
    assert "prompt" not in record.payload and len(record.payload["prompt_sha256"]) == 64


def test_a_prompt_is_continued_as_it_stands(client: openai.OpenAI, bundle: Bundle):
    found = client.completions.create(model="tiny", prompt=QUESTION, seed=3, max_tokens=5)
    assert found.object == "text_completion" and found.id.startswith("cmpl-")
    lm = bundle.language_model
    assert lm is not None and found.usage is not None
    assert found.usage.prompt_tokens == len(lm.tokenizer(QUESTION)["input_ids"])  # no template around it
    assert not fairness_of(found).as_evaluated
    assert (
        found.choices[0].text
        == client.completions.create(model="tiny", prompt=[QUESTION], seed=3, max_tokens=5).choices[0].text
    )


def test_a_seed_gives_equal_answers(client: openai.OpenAI):
    one, same, other = (client.chat.completions.create(model="tiny", messages=ASK, seed=seed) for seed in (1, 1, 2))
    assert one.choices == same.choices and one.choices != other.choices
    drop = {"record_id"}
    assert fairness_of(one).model_dump(exclude=drop) == fairness_of(same).model_dump(exclude=drop)
    drawn = fairness_of(client.chat.completions.create(model="tiny", messages=ASK))
    again = client.chat.completions.create(model="tiny", messages=ASK, seed=drawn.seed)
    assert fairness_of(again).chains == drawn.chains


def test_n_gives_the_best_distinct_answers_by_weight(client: openai.OpenAI):
    found = client.chat.completions.create(model="tiny", messages=ASK, seed=5, n=3)
    fairness = fairness_of(found)
    contents = [choice.message.content for choice in found.choices]
    assert len(contents) == 3 == len(set(contents)) and [choice.index for choice in found.choices] == [0, 1, 2]
    shares = [each.share for each in fairness.vote_shares]
    assert shares == sorted(shares, reverse=True) and fairness.chains_sampled == 6
    told = [fairness.chains[chain].answer for chain in fairness.chosen_chains]
    assert told == [each.answer for each in fairness.vote_shares[:3]]


@pytest.mark.parametrize("n", [1, 2])
def test_a_stream_is_the_same_answer_in_chunks(client: openai.OpenAI, n: int):
    whole = client.chat.completions.create(model="tiny", messages=ASK, seed=3, n=n)
    options: Any = {"include_usage": True}
    chunks = [*client.chat.completions.create(
        model="tiny", messages=ASK, seed=3, n=n, stream=True, stream_options=options
    )]  # fmt: skip
    for choice in whole.choices:
        mine = [each for chunk in chunks for each in chunk.choices if each.index == choice.index]
        assert mine[0].delta.role == "assistant"
        assert "".join(each.delta.content or "" for each in mine) == choice.message.content
        assert [each.finish_reason for each in mine if each.finish_reason] == [choice.finish_reason]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"} and len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].usage == whole.usage and not chunks[-1].choices
    told = [chunk.fairness for chunk in chunks if hasattr(chunk, "fairness")]  # pyright: ignore
    assert len(told) == 1 and Fairness.model_validate(told[0]).vote_shares == fairness_of(whole).vote_shares


def test_a_stream_of_a_prompt(client: openai.OpenAI):
    whole = client.completions.create(model="tiny", prompt=QUESTION, seed=3, logprobs=1)
    chunks = [*client.completions.create(model="tiny", prompt=QUESTION, seed=3, logprobs=1, stream=True)]
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].choices[0].logprobs == whole.choices[0].logprobs and chunks[-1].usage is None


def test_a_stream_is_recorded_before_its_first_byte(server: Served):
    before = server.log.head().length
    body = {"model": "tiny", "messages": ASK, "stream": True}
    headers = {"Authorization": f"Bearer {server.secret}"}
    with httpx.stream("POST", f"{server.url}/chat/completions", json=body, headers=headers) as response:
        assert server.log.head().length == before + 1
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    first = json.loads(lines[0].removeprefix("data: "))
    record = server.log.records(after=before)[0]
    assert first["id"] == f"chatcmpl-{record.record_id}"


def logprobs_by_hand(lm: CausalLM, prompt: list[int], text: str) -> tuple[list[float], list[list[float]]]:
    """A plain forward pass: each token's log-probability, and the two largest at its place."""
    tail = lm.tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = lm.model(torch.tensor([prompt + tail])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    own = logits[torch.arange(len(tail)), torch.tensor(tail)]
    return own.tolist(), logits.topk(2).values.tolist()


def test_logprobs_are_those_of_the_chosen_chain(client: openai.OpenAI, bundle: Bundle):
    found = client.chat.completions.create(model="tiny", messages=ASK, seed=3, logprobs=True, top_logprobs=2)
    choice, lm = found.choices[0], bundle.language_model
    assert lm is not None and choice.logprobs is not None and choice.logprobs.content and choice.message.content
    (prompt,) = encode_conversations(lm.tokenizer, [(Message("user", QUESTION),)])
    own, top = logprobs_by_hand(lm, prompt, choice.message.content)
    assert [each.logprob for each in choice.logprobs.content] == pytest.approx(own, abs=1e-4)
    for each, two in zip(choice.logprobs.content, top, strict=True):
        assert [other.logprob for other in each.top_logprobs] == pytest.approx(two, abs=1e-4)
    words = [each.token for each in choice.logprobs.content]
    assert "".join(words) == choice.message.content.replace(" ", "")
    plain = client.chat.completions.create(model="tiny", messages=ASK, seed=3, logprobs=True)
    assert plain.choices[0].logprobs is not None and plain.choices[0].logprobs.content is not None
    assert plain.choices[0].logprobs.content[0].top_logprobs == []


def test_logprobs_of_a_continued_prompt(client: openai.OpenAI, bundle: Bundle):
    found = client.completions.create(model="tiny", prompt=QUESTION, seed=3, logprobs=2)
    choice, lm = found.choices[0], bundle.language_model
    assert lm is not None and choice.logprobs is not None and choice.logprobs.top_logprobs is not None
    own, top = logprobs_by_hand(lm, lm.tokenizer(QUESTION)["input_ids"], choice.text)
    assert choice.logprobs.token_logprobs == pytest.approx(own, abs=1e-4)
    for each, two in zip(choice.logprobs.top_logprobs, top, strict=True):
        assert sorted(each.values(), reverse=True) == pytest.approx(two, abs=1e-4)
    assert choice.logprobs.text_offset is not None and choice.logprobs.text_offset[0] == 0


def test_stop_ends_a_chain_before_it(client: openai.OpenAI):
    whole = client.chat.completions.create(model="tiny", messages=ASK, seed=3)
    words = (whole.choices[0].message.content or "").split()
    cut = client.chat.completions.create(model="tiny", messages=ASK, seed=3, stop=[words[1]], max_tokens=12)
    assert all(words[1] not in (choice.message.content or "") for choice in cut.choices)
    assert not fairness_of(cut).as_evaluated
    same = client.chat.completions.create(model="tiny", messages=ASK, seed=3, max_completion_tokens=12)
    assert same.choices == whole.choices and fairness_of(same).as_evaluated


def test_what_a_client_says_of_itself_changes_nothing(client: openai.OpenAI):
    plain = client.chat.completions.create(model="tiny", messages=ASK, seed=3)
    parts: Any = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]
    told = client.chat.completions.create(
        model="tiny",
        messages=parts,
        seed=3,
        user="somebody",
        metadata={"a": "b"},
        frequency_penalty=0,
        response_format={"type": "text"},
        store=False,
        logit_bias={},
    )
    assert told.choices == plain.choices


def test_an_answer_may_be_sent_back_as_it_came(client: openai.OpenAI):
    first = client.chat.completions.create(model="tiny", messages=ASK, seed=3)
    turns: Any = [*ASK, first.choices[0].message.model_dump(), {"role": "user", "content": "Yes or No ?"}]
    assert client.chat.completions.create(model="tiny", messages=turns).choices[0].message.content is not None


def test_tokens_are_taken_ahead_and_given_back(client: openai.OpenAI, server: Served):
    before = server.limiter.tokens
    found = client.chat.completions.create(model="tiny", messages=ASK, seed=3)
    assert found.usage is not None
    assert server.limiter.tokens - before == found.usage.total_tokens
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="tiny", messages=ASK, n=7)
    assert server.limiter.tokens - before == found.usage.total_tokens


def test_replies_have_no_field_that_the_document_does_not_name(server: Served):
    headers = {"Authorization": f"Bearer {server.secret}"}
    for path, body, model in (
        ("chat/completions", {"messages": ASK, "logprobs": True, "top_logprobs": 1}, ChatCompletion),
        ("completions", {"prompt": QUESTION, "logprobs": 1}, TextCompletion),
    ):
        found = httpx.post(f"{server.url}/{path}", json={"model": "tiny", **body}, headers=headers).json()
        assert model.model_validate(found, extra="forbid").model_dump(mode="json") == found
