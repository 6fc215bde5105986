"""Chains from behind a local HTTP server that speaks the chat completions format."""

import threading

import pytest

from endpoints import Served, serving
from equiray.errors import BadInput
from equiray.models.chat_api import ChatServer
from equiray.models.engines.cache import CompletionCache, write_missing
from equiray.models.engines.endpoint_engine import EndpointEngine
from equiray.models.engines.records import Message, Request, Sampling

SAMPLING = Sampling(temperature=0.7, top_p=0.9, max_tokens=30, stop=("\n\n",), seed=5)


def request(name: str, text: str = "Who was it?", n: int = 4) -> Request:
    return Request(request_id=name, messages=(Message("system", "Think."), Message("user", text)), n=n)


class Chains(Served):
    """As many choices as asked for, at most `most`; `special` replaces parts of them by their number."""

    def __init__(self, most: int = 99) -> None:
        super().__init__()
        self.most = most
        self.special: dict[int, dict] = {}

    def reply(self, body: dict) -> dict:
        count = min(body["n"], self.most)
        choices = [
            {
                "index": k,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": f"{body['messages'][-1]['content']} {body['seed']} {k}"},
            }
            | self.special.get(k, {})
            for k in range(count)
        ]
        return {"choices": choices, "usage": {"completion_tokens": 7 * count}}


@pytest.fixture
def served():
    return Chains()


@pytest.fixture
def engine(served):
    with serving(served) as url:
        yield EndpointEngine(server=ChatServer(base_url=url, model="tiny"))


def test_one_call_a_request_says_all_that_was_asked(served, engine):
    found = list(engine.generate([request("a")], SAMPLING))
    (body,) = served.requests
    assert body.pop("seed") < 2**31
    assert body == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "Think."}, {"role": "user", "content": "Who was it?"}],
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 30,
        "n": 4,
        "stop": ["\n\n"],
    }
    assert [(c.request_id, c.index, c.tokens, c.finish) for c in found] == [("a", k, 7, "stop") for k in range(4)]
    assert len({c.text for c in found}) == 4


def test_refusals_and_cut_texts_are_told_apart(served, engine):
    served.special = {
        0: {"finish_reason": "content_filter", "message": {"content": None}},
        1: {"finish_reason": "length"},
        2: {"message": {"content": None, "refusal": "I cannot judge people."}},
    }
    found = list(engine.generate([request("a")], SAMPLING))
    assert [c.finish for c in found] == ["refusal", "length", "refusal", "stop"]
    assert [c.text for c in found][::2] == ["", "I cannot judge people."]


def test_a_prompt_that_a_filter_stops_is_refused_not_an_error(served, engine):
    class Filtered(Chains):
        def reply(self, body):
            return {"error": {"code": "content_filter", "message": "no"}}

    filtered = Filtered()
    with serving(filtered) as url:
        filtered.status = 400
        found = list(
            EndpointEngine(server=ChatServer(base_url=url, model="tiny")).generate([request("a", n=2)], SAMPLING)
        )
    assert [c.finish for c in found] == ["refusal", "refusal"]


def test_servers_that_write_one_at_a_time_are_asked_again(engine, served):
    served.most = 1
    found = list(engine.generate([request("a", n=3)], SAMPLING))
    assert [body["n"] for body in served.requests] == [3, 2, 1]
    assert len({body["seed"] for body in served.requests}) == 3
    assert sorted(c.index for c in found) == [0, 1, 2]


def test_requests_are_in_flight_together():
    together = threading.Barrier(4, timeout=20)
    server = ChatServer(base_url="http://127.0.0.1:9/v1", model="tiny", concurrency=4)
    assert sorted(server.each(lambda _: together.wait(), range(4))) == [0, 1, 2, 3]


def test_more_completions_are_asked_for_and_none_again(served, engine, tmp_path):
    asked = [request(name, f"Who is {name}?", 2) for name in "abcd"]
    cache = CompletionCache(tmp_path, engine.identity)
    first = {(c.request_id, c.index): c for c in write_missing(engine, cache, asked, SAMPLING)}
    assert len(first) == 8
    served.requests.clear()
    more = [request(name, f"Who is {name}?", 5) for name in "abcd"]
    list(write_missing(engine, CompletionCache(tmp_path, engine.identity), more, SAMPLING))
    assert [body["n"] for body in served.requests] == [3] * 4
    assert [chains[:2] for chains in cache.completions(more, SAMPLING)] == [
        (first[name, 0], first[name, 1]) for name in "abcd"
    ]


def test_a_wrong_model_name_is_said(engine, served):
    served.failures = [(404, {})]
    with pytest.raises(BadInput, match=r"HTTP 404[\s\S]*model 'tiny'"):
        list(engine.generate([request("a")], SAMPLING))
