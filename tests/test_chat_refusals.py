"""What the chat endpoints refuse, each by its name and in OpenAI's shape; and answers that have no record."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from chat_made import Served, loaded, scripted, served
from equiray.bundles.bundle import Bundle
from equiray.serving.audit import Entry, LogNotReadable, LogNotWritable, Record, verify_log
from equiray.serving.chat.answering import ChatAnswerer
from equiray.serving.chat.bodies import ChatCompletionRequest, CompletionRequest
from equiray.serving.guard.errors import ErrorDocument

ASK: list[Any] = [{"role": "user", "content": "Yes or No ?"}]
CHAT: dict[str, Any] = {"model": "tiny", "messages": ASK}
TEXT: dict[str, Any] = {"model": "tiny", "prompt": "Yes or No ?"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return loaded(tmp_path_factory.mktemp("chat"))


@pytest.fixture(scope="module")
def answerer(bundle: Bundle) -> Iterator[ChatAnswerer]:
    with closing(ChatAnswerer(bundle)) as made:
        yield made


@pytest.fixture(scope="module")
def server(answerer: ChatAnswerer, bundle: Bundle) -> Iterator[Served]:
    with served(answerer, bundle.path, bundle.path.parent) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url, api_key=server.secret, max_retries=0)


def post(server: Served, path: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Authorization": f"Bearer {server.secret}", "Content-Type": "application/json", **headers}
    return httpx.post(f"{server.url}/{path}", content=content, headers=sent)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": -1}, "presence_penalty"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"modalities": ["audio"]}, "modalities.0"),
        ({"store": True}, "store"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"n": 0}, "n"),
        ({"n": 7}, "n"),
        ({"n": "2"}, "n"),
        ({"n": True}, "n"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 4096}, "max_tokens"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"seed": 2**63}, None),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"messages": []}, "messages"),
        ({"messages": "Yes?"}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x", "name": "Ann"}]}, "messages.0.name"),
        ({"messages": [*ASK, {"role": "assistant", "content": "No"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "Yes " * 600}]}, "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]},
            "messages.0.content",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_its_name(
    client: openai.OpenAI, changes: dict[str, Any], param: str | None
):
    with pytest.raises(openai.BadRequestError) as refused:
        client.post("/chat/completions", body=CHAT | changes, cast_to=object)
    assert refused.value.param is None if param is None else (refused.value.param or "").startswith(param)
    assert refused.value.type == "invalid_request_error" and refused.value.code
    if param is not None:
        assert param.split(".")[0] in json.dumps(refused.value.body)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"best_of": 3}, "best_of"),
        ({"echo": True}, "echo"),
        ({"suffix": "x"}, "suffix"),
        ({"logprobs": 6}, "logprobs"),
        ({"prompt": ["one", "two"]}, "prompt"),
        ({"prompt": [1, 2, 3]}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"messages": ASK}, "messages"),
    ],
)
def test_what_completions_do_not_support_is_refused(client: openai.OpenAI, changes: dict[str, Any], param: str):
    with pytest.raises(openai.BadRequestError) as refused:
        client.post("/completions", body=TEXT | changes, cast_to=object)
    assert (refused.value.param or "").startswith(param)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b'{"model": NaN}', b'{"model": "\\ud800", "messages": []}', b"\xff", b"[" * 5000]
)
@pytest.mark.parametrize("path", ["chat/completions", "completions"])
def test_what_is_no_request_is_a_400(server: Served, path: str, body: bytes):
    found = post(server, path, body)
    assert found.status_code == 400 and ErrorDocument.model_validate(found.json(), extra="forbid")


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [("chat/completions", CHAT, ChatCompletionRequest), ("completions", TEXT, CompletionRequest)],
)
def test_null_is_as_if_it_were_left_out(server: Served, path: str, body: dict[str, Any], model: type[BaseModel]):
    optional = [name for name, field in model.model_fields.items() if not field.is_required()]
    assert len(optional) > 10
    found = post(server, path, body | dict.fromkeys(optional) | {"seed": 3})
    assert found.status_code == 200, found.text
    assert found.json()["choices"] == post(server, path, body | {"seed": 3}).json()["choices"]


def test_an_unknown_model_is_a_404(client: openai.OpenAI, answerer: ChatAnswerer):
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="gpt-4", messages=ASK)
    assert refused.value.code == "model_not_found" and refused.value.param == "model"
    assert client.chat.completions.create(model=answerer.version, messages=ASK).model == "tiny"


def test_who_has_no_key_or_no_scope_gets_nothing(server: Served):
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=server.url, api_key="eqr_nobody").chat.completions.create(model="tiny", messages=ASK)
    _, secret = server.store.create(name="deciding", scopes=["decide"])
    other = openai.OpenAI(base_url=server.url, api_key=secret, max_retries=3)
    with pytest.raises((openai.PermissionDeniedError, openai.AuthenticationError)) as refused:
        other.chat.completions.create(model="tiny", messages=ASK)
    assert refused.value.status_code in (401, 403)


def test_an_idempotency_key_returns_the_first_record(client: openai.OpenAI, server: Served):
    headers = {"Idempotency-Key": "one"}
    first = client.chat.completions.create(model="tiny", messages=ASK, extra_headers=headers)
    taken, length = server.limiter.taken, server.log.head().length
    again = client.chat.completions.create(model="tiny", messages=ASK, extra_headers=headers)
    assert again == first and server.log.head().length == length and server.limiter.taken == taken
    chunks = [*client.chat.completions.create(model="tiny", messages=ASK, stream=True, extra_headers=headers)]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == first.choices[0].message.content
    with pytest.raises(openai.ConflictError) as refused:
        client.chat.completions.create(model="tiny", messages=ASK, seed=1, extra_headers=headers)
    assert refused.value.code == "idempotency_conflict"
    with pytest.raises(openai.ConflictError):
        client.completions.create(model="tiny", prompt="Yes or No ?", extra_headers=headers)


def test_one_idempotency_key_sent_often_at_once_makes_one_record(client: openai.OpenAI, server: Served):
    length = server.log.head().length
    headers = {"Idempotency-Key": "at-once"}
    with ThreadPoolExecutor(6) as threads:
        calls = [
            threads.submit(client.chat.completions.create, model="tiny", messages=ASK, extra_headers=headers)
            for _ in range(6)
        ]
        found = [call.result() for call in calls]
    assert all(one == found[0] for one in found)
    assert server.log.head().length == length + 1


@pytest.mark.parametrize("key", ["", "has blanks", "x" * 201])
def test_an_idempotency_key_is_of_visible_characters(server: Served, key: str):
    assert post(server, "chat/completions", CHAT, **{"Idempotency-Key": key}).status_code == 400


class Broken:
    """A log that cannot be used."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def append(self, entry: Entry) -> "Future[Record]":
        found: Future[Record] = Future()
        found.set_exception(self.error)
        return found

    def find(self, key_id: str, idempotency_key: str) -> Record | None:
        raise self.error


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("error", [LogNotWritable("disk full"), LogNotReadable("gone")])
def test_without_its_record_no_answer_leaves(
    answerer: ChatAnswerer, bundle: Bundle, tmp_path: Path, error: Exception, stream: bool
):
    with served(answerer, bundle.path, tmp_path, log=Broken(error)) as server:
        found = post(server, "chat/completions", CHAT | {"stream": stream})
        again = post(server, "chat/completions", CHAT, **{"Idempotency-Key": "k"})
    for each in (found, again):
        assert each.status_code == 503 and int(each.headers["Retry-After"]) >= 1
        assert "disk full" not in each.text and each.json()["error"]["code"] == "log_not_writable"


def test_prompts_are_kept_by_policy_alone(answerer: ChatAnswerer, bundle: Bundle, tmp_path: Path):
    with served(answerer, bundle.path, tmp_path, plain_prompts=True) as server:
        assert post(server, "chat/completions", CHAT).status_code == 200
        (record,) = server.log.records()
    assert record.payload is not None and record.payload["prompt"] == ASK
    assert verify_log(f"sqlite:///{tmp_path}/audit.db", key=b"k" * 32).problems == ()


def test_an_engine_that_reads_conversations_alone_says_so(tmp_path: Path):
    bundle = loaded(tmp_path)
    engine = scripted(bundle, ["Yes ."] * 6)
    with closing(ChatAnswerer(bundle, engine=engine)) as answerer, served(answerer, bundle.path, tmp_path) as server:
        plain = post(server, "completions", TEXT)
        scored = post(server, "chat/completions", CHAT | {"logprobs": True})
        told = post(server, "chat/completions", CHAT)
    assert (plain.status_code, plain.json()["error"]["param"]) == (400, "prompt")
    assert (scored.status_code, scored.json()["error"]["param"]) == (400, "logprobs")
    assert told.json()["choices"][0]["message"]["content"] == "Yes ."


def test_a_record_s_name_of_its_request_cannot_be_guessed(answerer: ChatAnswerer, bundle: Bundle, tmp_path: Path):
    names = []
    for place, key in enumerate((b"one", b"two", b"two")):
        (tmp_path / str(place)).mkdir()
        with served(answerer, bundle.path, tmp_path / str(place), request_key=key) as server:
            assert post(server, "chat/completions", CHAT, **{"Idempotency-Key": "k"}).status_code == 200
            assert post(server, "chat/completions", CHAT).status_code == 200
            first, other = server.log.records()
        names.append(first.request_sha256)
        assert other.request_sha256 == ""
    assert names[0] != names[1] == names[2]
