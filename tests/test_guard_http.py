"""The guard over HTTP, on a real server on loopback: every code, what it says, and what it does not."""

import http.client
import json
import logging
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from fastapi.testclient import TestClient

from equiray.serving import guard
from equiray.serving.guard.bodies import HEADER_BYTES, JSON_DEPTH
from equiray.serving.guard.keys import KeyStore
from equiray.serving.guard.refusals import Refused
from guarded_app import NoLimits, make_app, serving

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 503: "service_unavailable"}
JSON = {"content-type": "application/json"}


class Served:
    """A server with the guard; `key` opens `decide`."""

    def __init__(self, url: str, store: KeyStore, limiter: NoLimits, key: str) -> None:
        self.url, self.store, self.limiter, self.key = url, store, limiter, key
        self.open = httpx.Client(base_url=url, timeout=30)
        self.http = httpx.Client(base_url=url, timeout=30, headers={"Authorization": f"Bearer {key}"})


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("store")
    store, limiter = KeyStore.open(f"sqlite:///{folder}/store.db", refresh_s=0.05), NoLimits()
    _, secret = store.create(name="x", scopes=["decide"])
    with serving(make_app(store, limiter, timeout_s=1)) as url:
        yield Served(url, store, limiter, secret)
    store.close()


def error_of(answer: httpx.Response, status: int, code: str) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    document = answer.json()
    assert set(document) == {"error"}
    error = document["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert error["type"] == TYPES.get(status, "invalid_request_error")
    assert ("retry-after" in answer.headers) == (status in (429, 503))
    assert ("www-authenticate" in answer.headers) == (status == 401)
    return error


def test_a_good_request(served: Served):
    answer = served.http.post("/decide", json={"task": "t", "rows": [{"age": 3}]})
    assert (answer.status_code, answer.json()["n"]) == (200, 1)
    key_id = served.key.split("_")[1]
    assert served.limiter.taken[-2:] == [(key_id, 1, 0, 0), (key_id, 0, 1, 0)]


def test_open_paths_need_no_key_and_nothing_else_does_without(served: Served):
    assert served.open.get("/healthz").status_code == 200
    for path in ("/any", "/forgotten", "/no/such/path", "/openapi.json", "/docs", "/healthz/", "//healthz", "/HEALTHZ"):
        error_of(served.open.get(path), 401, "missing_api_key")
    assert served.http.get("/any").status_code == 200
    error_of(served.http.get("/no/such/path"), 404, "not_found")
    wrong = served.http.put("/decide")
    error_of(wrong, 405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (None, "missing_api_key"),
        ("", "missing_api_key"),
        ("Bearer", "missing_api_key"),
        ("Basic eDp5", "missing_api_key"),
        ("Bearer nonsense", "invalid_api_key"),
        (b"Bearer eqr_\xff\xfe", "invalid_api_key"),
        ("Bearer eqr_" + "0" * 12 + "_" + "0" * 64, "invalid_api_key"),
    ],
)
def test_401(served: Served, sent, code: str):
    headers = {} if sent is None else {"Authorization": sent}
    answer = served.open.get("/any", headers=headers)
    error_of(answer, 401, code)
    wants = 'Bearer realm="equiray"'
    assert answer.headers["www-authenticate"] == (
        wants if code == "missing_api_key" else f'{wants}, error="invalid_token"'
    )


def test_the_scheme_is_read_in_any_case_and_two_keys_are_none(served: Served):
    assert served.open.get("/any", headers={"authorization": f"bearer {served.key}"}).status_code == 200
    twice = [("Authorization", f"Bearer {served.key}")] * 2
    error_of(served.open.get("/any", headers=twice), 401, "missing_api_key")


def test_a_revoked_key_is_refused_while_its_connection_stays_open(served: Served):
    key, secret = served.store.create(name="y", scopes=["decide"])
    time.sleep(0.2)
    with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {secret}"}) as theirs:
        assert theirs.get("/any").status_code == 200
        served.store.revoke(key.key_id)
        time.sleep(0.3)
        error_of(theirs.get("/any"), 401, "revoked_api_key")


def test_403_names_the_scope(served: Served):
    error = error_of(served.http.post("/chat"), 403, "scope_missing")
    assert "scope chat" in error["message"]


def test_413_of_a_body_that_says_its_length_is_answered_before_it_comes(served: Served):
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        head = f"POST /decide HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.key}\r\n"
        connection.sendall(f"{head}Content-Length: 99999999\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("key", [True, False])
def test_413_of_a_body_that_hides_its_length(served: Served, key: bool):
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100_000):
            sent += 1_000
            yield b" " * 1_000

    client = served.http if key else served.open
    try:
        answer = client.post("/decide", content=chunks(), headers=JSON)
    except httpx.WriteError:  # the server answered and closed while we were sending
        assert sent < 10_000_000
        return
    assert sent < 10_000_000, "the rest was not read"
    error_of(answer, *((413, "body_too_large") if key else (401, "missing_api_key")))


def test_a_body_at_the_limit_passes(served: Served):
    body = json.dumps({"task": "t"}).encode()
    for client_bytes, status in ((body.ljust(10_000), 200), (body.ljust(10_001), 413)):
        assert served.http.post("/decide", content=client_bytes, headers=JSON).status_code == status
        chunked = iter([client_bytes[:5_000], client_bytes[5_000:]])
        assert served.http.post("/decide", content=chunked, headers=JSON).status_code == status


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "9" * 5_000, "٣"])
def test_a_length_that_is_none(served: Served, length: str):
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=5)
    connection.putrequest("POST", "/decide")
    connection.putheader("Content-Length", length.encode())
    connection.putheader("Authorization", f"Bearer {served.key}")
    connection.endheaders()
    assert connection.getresponse().status in (400, 413)
    connection.close()


def test_headers_that_are_too_large(served: Served):
    error_of(served.http.get("/any", headers={"x": "a" * HEADER_BYTES}), 400, "headers_too_large")
    error_of(served.http.get("/any", headers={f"x{i}": "" for i in range(5_000)}), 400, "headers_too_large")


def test_413_of_rows(served: Served):
    error = error_of(served.http.post("/decide", json={"task": "t", "rows": [{}] * 101}), 413, "too_many_rows")
    assert error["param"] == "rows"
    assert "101 rows" in error["message"]
    assert "100" in error["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"", "invalid_value"),
        (b"\xff\xfe", "invalid_json"),
        (b'{"task": "\xc3\x28"}', "invalid_json"),
        ('{"task": "x"}'.encode("utf-16"), "invalid_json"),
        (b'{"task": NaN}', "invalid_json"),
        (b'{"task": "\\ud800"}', "invalid_json"),
        (b'{"task": "t", "rows": [{"age": 1e999}]}', "number_out_of_range"),
        (b'{"task": "t", "rows": [{"age": -99999999999999999999}]}', "number_out_of_range"),
        (b'{"task": "t", "rows": [{"age": ' + b"9" * 5_000 + b"}]}", "invalid_json"),
        (b'{"task": "a\\u0000b"}', "invalid_text"),
        (b'{"task": "t", "rows": [{"a\\u0000": 1}]}', "invalid_text"),
        (b"[" * 9_000, "invalid_json"),
        (b'{"a":' * 1_900 + b"1" + b"}" * 400, "invalid_json"),
        (b'{"task": "t", "extra": 1}', "invalid_value"),
        (b'{"task": 5}', "invalid_value"),
        (b"[1, 2]", "invalid_value"),
        (b"null", "invalid_value"),
    ],
)
def test_bodies_that_are_none(served: Served, body: bytes, code: str):
    answer = served.http.post("/decide", content=body, headers=JSON)
    error_of(answer, 422 if code == "invalid_value" else 400, code)


@pytest.mark.parametrize(
    "body",
    [
        b'{"task": "t", "rows": [{"age": 9223372036854775807, "x": 1e308, "y": 0.12345678901234567890}]}',
        '{"task": "ñ \\ud83d\\ude00 😀", "rows": [{"text": "1e999 and \\\\u0000 as text"}]}'.encode(),
        b'{"task": "t", "rows": [{"a": ' + b"[" * (JSON_DEPTH - 3) + b"]" * (JSON_DEPTH - 3) + b"}]}",
    ],
)
def test_bodies_at_the_edge_pass(served: Served, body: bytes):
    answer = served.http.post("/decide", content=body, headers=JSON)
    assert answer.status_code == 200, answer.text


def test_422_names_the_place_and_repeats_no_value(served: Served):
    answer = served.http.post("/decide", json={"task": {"secret": "of a person"}, "rows": [1, 2, 3, 4, 5]})
    error = error_of(answer, 422, "invalid_value")
    assert error["param"] == "task"
    assert "rows.0" in error["message"]
    assert "and 3 more" in error["message"]
    assert "person" not in answer.text


def test_503_of_a_request_that_takes_too_long(served: Served):
    began = time.monotonic()
    error = error_of(served.http.get("/slow"), 503, "timeout")
    assert time.monotonic() - began < 5
    assert "1 s" in error["message"]


def test_503_of_a_body_that_never_ends(served: Served):
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"POST /decide HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.key}\r\n"
        connection.sendall((head + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{").encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 503 ")


def test_503_of_an_error_that_nobody_foresaw_says_where_to_look(served: Served, caplog):
    with caplog.at_level(logging.ERROR, logger="equiray.serving.guard.errors"):
        answer = served.http.get("/broken")
    error = error_of(answer, 503, "internal_error")
    for leak in ("hunter2", "Traceback", "KeyError", ".py", "password"):
        assert leak not in answer.text
    error_id = error["message"].split()[-1]
    (logged,) = [record for record in caplog.records if error_id in record.getMessage()]
    assert logged.exc_info is not None
    assert "hunter2" in str(logged.exc_info[1]), "whoever runs the server can find it"


def test_a_stream_that_breaks_is_cut_not_ended(served: Served):
    with served.http.stream("GET", "/stream") as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()


def test_an_answer_that_has_begun_is_no_other_one_later(served: Served):
    app = make_app(served.store, NoLimits())
    with pytest.raises(RuntimeError, match="hunter2"):  # the server sees the error, and cuts
        TestClient(app).get("/stream", headers={"Authorization": f"Bearer {served.key}"})


def test_429_and_503_of_the_limiter_pass_through(tmp_path: Path):
    class Refuses(NoLimits):
        refused = Refused(429, "rate_limit_exceeded", "slow down", retry_after=7)

        async def take(self, *_: object, **amounts: int) -> int:
            raise self.refused

    store, limiter = KeyStore.open(f"sqlite:///{tmp_path}/store.db"), Refuses()
    _, secret = store.create(name="x", scopes=["decide", "chat"])
    with serving(make_app(store, limiter)) as url:
        client = openai.OpenAI(base_url=url, api_key=secret, max_retries=0)
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="m", messages=[])
        assert caught.value.response.headers["retry-after"] == "7"
        assert caught.value.code == "rate_limit_exceeded"
        limiter.refused = Refused(503, "limiter_unavailable", "later", retry_after=1)
        answer = httpx.get(f"{url}/any", headers={"Authorization": f"Bearer {secret}"})
        error_of(answer, 503, "limiter_unavailable")
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=url, api_key="sk-x", max_retries=0).models.list()
    store.close()


def test_keys_that_cannot_be_read_refuse_all(tmp_path: Path):
    store = KeyStore.open(f"sqlite:///{tmp_path}/store.db")
    _, secret = store.create(name="x", scopes=["decide"])
    for file in tmp_path.iterdir():
        file.unlink()
    (tmp_path / "store.db").mkdir()
    store._engine.dispose()
    client = TestClient(make_app(store, NoLimits()), raise_server_exceptions=False)
    error_of(client.get("/any", headers={"Authorization": f"Bearer {secret}"}), 503, "keys_unavailable")
    assert client.get("/healthz").status_code == 200
    store.close()


def test_the_openapi_document_names_the_key(served: Served):
    document = served.http.get("/openapi.json").json()
    assert document["paths"]["/decide"]["post"]["security"] == [{"key": []}]
    assert "security" not in document["paths"]["/healthz"]["get"]
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_the_contract_lists_every_refusal_of_the_guard():
    rooms = Path(guard.__file__).parent.glob("*.py")
    source = "".join(room.read_text() for room in rooms)
    raised = set(re.findall(r'Refused\(\s*(\d{3}),\s*"(\w+)"', source))
    raised |= set(re.findall(r'(\d{3}): \("(\w+)", "', source))  # of the framework's own errors
    raised |= {("401", f"{status}_api_key") for status in ("expired", "revoked")}
    raised |= {("413", f"too_many_{unit}") for unit in ("rows", "tokens")}
    contract = (Path(__file__).parents[1] / "docs" / "contracts" / "guard.md").read_text()
    assert set(re.findall(r"^\| (\d{3}) \| `(\w+)` \|", contract, re.MULTILINE)) == raised


def test_every_refusal_of_a_route_is_written_down():
    contracts = Path(__file__).parents[1] / "docs" / "contracts"
    said = (contracts / "guard.md").read_text() + (contracts / "chat.md").read_text()
    rooms = Path(guard.__file__).parents[1].rglob("*.py")
    raised = {code for room in rooms for code in re.findall(r'Refused\(\s*\d{3},\s*"(\w+)"', room.read_text())}
    assert [code for code in sorted(raised) if f"`{code}`" not in said] == []
