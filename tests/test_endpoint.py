"""The endpoint client against a local HTTP server that speaks the chat completions format for a tiny random model."""

import math

import numpy as np
import pytest

from endpoints import TinyModel, serving
from equiray.data.text import Prompts
from equiray.errors import BadInput
from equiray.models.answers import Variant, score_answers
from equiray.models.chat_api import KEY_VARIABLE
from equiray.models.endpoint import Endpoint, ask, read_reply

PROMPTS = Prompts(
    task_prefix="Read the description and answer the question about it . ",
    row_bodies=["The sex is Male . The age is 39 .", "The sex is Female . The age is 39 .", "The race is Black ."],
    suffix="\nDoes this person earn more than 40 dollars per year ? Yes or no ?\nAnswer:",
    answers=(" Yes", " No"),
)
LETTERS = Variant("", "A", "B")
WORDS = Variant("", "Yes", "No")


@pytest.fixture
def served():
    return TinyModel()


@pytest.fixture
def endpoint(served, tmp_path):
    with serving(served) as url:
        yield Endpoint(base_url=url, model="tiny", cache=tmp_path / "cache")


def test_probabilities_are_those_of_the_same_model_in_this_process(served, endpoint):
    answers, asked, cached = ask(endpoint, PROMPTS)
    np.testing.assert_allclose(answers.probabilities, score_answers(served.lm, PROMPTS), atol=1e-5)
    assert answers.outcomes == ("answered",) * 3
    assert (asked, cached) == (6, 0)


def test_a_rerun_asks_only_what_is_new(served, endpoint):
    first = ask(endpoint, PROMPTS)
    again = ask(endpoint, PROMPTS)
    np.testing.assert_array_equal(again.answers.probabilities, first.answers.probabilities)
    assert (again.asked, again.cached, len(served.requests)) == (0, 6, 6)
    more = ask(endpoint, PROMPTS._replace(row_bodies=[*PROMPTS.row_bodies, "The sex is Male .", PROMPTS.row_bodies[0]]))
    assert (more.asked, more.cached) == (2, 6)
    assert more.answers.probabilities[4] == more.answers.probabilities[0]


def test_answers_in_words(served, endpoint):
    served.texts = ["A", "B. No", "Answer: A", "I'm sorry, I cannot judge people.", "Both.", "**B**"]
    worded = Endpoint(base_url=endpoint.base_url, model="tiny", cache=endpoint.cache, logprobs=False, concurrency=1)
    answers = ask(worded, PROMPTS).answers
    # orders: Yes is A, then B. Row 1: A -> 1, B -> 1; row 2: A -> 1, refused; row 3: neither, B -> 1
    np.testing.assert_array_equal(answers.probabilities, [1, math.nan, math.nan])
    assert answers.outcomes == ("answered", "refused", "unparsed")
    assert "logprobs" not in served.requests[0]


@pytest.mark.parametrize(
    ("text", "variant", "outcome", "probability"),
    [
        ("Yes, this person does.", WORDS, "answered", 1.0),
        ("no", WORDS, "answered", 0.0),
        ("Not enough information.", WORDS, "unparsed", None),
        ("I can't help with that.", WORDS, "refused", None),
        ("", WORDS, "unparsed", None),
        ("A person like this earns little", LETTERS, "unparsed", None),
        ("(B)", LETTERS, "answered", 0.0),
    ],
)
def test_reading_text(text, variant, outcome, probability):
    reading = read_reply({"choices": [{"message": {"content": text}}]}, variant)
    assert reading.outcome == outcome
    assert reading.probability == probability or (probability is None and math.isnan(reading.probability))


def test_all_spellings_of_an_answer_count():
    alternatives = {" A": 0.3, "A": 0.2, "a": 0.1, "B": 0.2, "Neither": 0.2}
    top = [{"token": token, "logprob": math.log(p)} for token, p in alternatives.items()]
    reply = {"choices": [{"message": {"content": "A"}, "logprobs": {"content": [{"top_logprobs": top}]}}]}
    assert read_reply(reply, LETTERS).probability == pytest.approx(0.6 / 0.8)


def test_busy_servers_are_asked_again_after_the_time_they_name(served, endpoint):
    served.failures = [(429, {"Retry-After": "7"}), (503, {}), (500, {})]
    pauses = []
    one = Endpoint(base_url=endpoint.base_url, model="tiny", cache=endpoint.cache, concurrency=1)
    answers = ask(one, PROMPTS, sleep=pauses.append).answers
    assert pauses == [7.0, 2.0, 4.0]
    assert answers.outcomes == ("answered",) * 3


def test_what_was_answered_before_a_failure_is_kept(served, endpoint):
    one = Endpoint(base_url=endpoint.base_url, model="tiny", cache=endpoint.cache, concurrency=1, attempts=2)
    ask(one, PROMPTS._replace(row_bodies=PROMPTS.row_bodies[:2]))
    served.failures = [(503, {})] * 2
    with pytest.raises(BadInput, match="HTTP 503"):
        ask(one, PROMPTS, sleep=lambda _: None)
    after = ask(one, PROMPTS)
    assert after.asked + after.cached == 6
    assert after.asked in (1, 2)  # the sixth may have been on its way when the fifth failed


def test_a_wrong_key_stops_at_once_and_is_not_shown(served, endpoint, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "secret-123")
    served.failures = [(401, {})] * 6
    with pytest.raises(BadInput, match="HTTP 401") as caught:
        ask(endpoint, PROMPTS, sleep=lambda _: pytest.fail("a wrong key does not become right"))
    assert "secret-123" not in str(caught.value)
    served.failures.clear()
    ask(endpoint, PROMPTS)
    assert served.keys == {"Bearer secret-123"}
    assert not any("secret-123" in file.read_text() for file in endpoint.cache.rglob("*.json"))


def test_nobody_there_and_no_chat_completion(endpoint, tmp_path):
    gone = Endpoint(base_url="http://127.0.0.1:9/v1", model="tiny", cache=tmp_path, attempts=2)
    with pytest.raises(BadInput, match="ConnectError"):
        ask(gone, PROMPTS, sleep=lambda _: None)
    unversioned = Endpoint(base_url=endpoint.base_url.removesuffix("/v1"), model="tiny", cache=tmp_path)
    with pytest.raises(BadInput, match="HTTP 404"):
        ask(unversioned, PROMPTS)
    no_completion = {"object": "error"}
    served = TinyModel()
    served.reply = lambda body: no_completion
    with serving(served) as url, pytest.raises(BadInput, match="no chat completion"):
        ask(Endpoint(base_url=url, model="tiny", cache=tmp_path), PROMPTS)


def test_a_torn_cache_entry_is_asked_again(endpoint):
    ask(endpoint, PROMPTS)
    torn = next(endpoint.cache.rglob("*.json"))
    torn.write_text(torn.read_text()[:20])
    again = ask(endpoint, PROMPTS)
    assert (again.asked, again.cached) == (1, 5)
