"""10,000 bad bodies and headers: each is refused in the one shape, none leaks, none is a 5xx but 503."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from equiray.serving.guard.keys import KeyStore
from guarded_app import NoLimits, make_app

LEAKS = (
    b"Traceback",
    b'File "',
    b".py",
    b"Error(",
    b"Exception",
    b"0x7f",
    b"site-packages",
    b"pydantic",
    b"sqlalchemy",
)
GOOD = json.dumps({"task": "german", "rows": [{"age": 33, "job": "skilled", "sex": "female"}] * 3}).encode()
ODD = [None, True, -1, 0.5, 10**30, 1e308, "", "\0", "\ud800", "ñ" * 50, [], {}, [[]], {"": {}}, "A" * 300]


def bodies(seed: int) -> Iterator[bytes]:
    """Bodies broken in every way that we know of; the seed decides which."""
    draw = random.Random(seed)
    while True:
        yield draw.choice(WAYS)(draw)


def _noise(draw: random.Random) -> bytes:
    return draw.randbytes(draw.randrange(200))


def _cut(draw: random.Random) -> bytes:
    return GOOD[: draw.randrange(len(GOOD))]


def _flipped(draw: random.Random) -> bytes:
    body = bytearray(GOOD)
    for _ in range(draw.randint(1, 5)):
        body[draw.randrange(len(body))] = draw.randrange(256)
    return bytes(body)


def _spliced(draw: random.Random) -> bytes:
    at = draw.randrange(len(GOOD))
    piece = draw.choice(
        [b"NaN", b"Infinity", b"\x00", b"\xff", b'\\u0000"', b"1e999", b"9" * 400, b"{" * 50, b"/**/", b","]
    )
    return GOOD[:at] + piece + GOOD[at:]


def _deep(draw: random.Random) -> bytes:
    depth = draw.choice([199, 201, 1_000, 3_000])
    opening = draw.choice([b"[", b'{"a":', b'[{"a":'])
    return b'{"task":"t","rows":' + opening * depth + b"1" * draw.randrange(2)


def _odd_value(draw: random.Random) -> bytes:
    document: dict[str, Any] = {"task": "t", "rows": [{"age": 1}]}
    where = draw.choice(["task", "rows", "row", "value", "key", "extra", "whole"])
    odd = draw.choice(ODD)
    if where in ("task", "rows", "extra"):
        document[where] = odd
    elif where == "row":
        document["rows"] = [odd, odd]
    elif where == "value":
        document["rows"] = [{"age": odd}]
    elif where == "key":
        document["rows"] = [{str(odd): 1}]
    else:
        return json.dumps(odd).encode()
    return json.dumps(document).encode()


def _large(draw: random.Random) -> bytes:
    return GOOD.ljust(draw.choice([9_999, 10_000, 10_001, 50_000]))


def _encoded(draw: random.Random) -> bytes:
    return GOOD.decode().encode(draw.choice(["utf-16", "utf-32", "utf-8-sig", "utf-7", "cp500"]))


WAYS = [_noise, _cut, _flipped, _spliced, _deep, _odd_value, _large, _encoded]
TYPES = [
    b"application/json",
    b"application/json; charset=utf-16",
    b"text/plain",
    b"multipart/form-data",
    b"\xff\xfe",
    b"",
]


class Door:
    """The app called as a server calls it, without a socket: fast enough for thousands."""

    def __init__(self, app: Any, secret: str) -> None:
        self.app, self.secret = app, secret.encode()

    async def post(self, body: bytes, draw: random.Random) -> tuple[int, dict[bytes, bytes], bytes]:
        headers = [(b"authorization", b"Bearer " + self.secret), (b"content-type", draw.choice(TYPES))]
        if draw.random() < 0.1:
            headers.append((b"content-length", draw.choice([b"-5", b"x", b"9" * 30, b"\xff", str(len(body)).encode()])))
        if draw.random() < 0.05:
            headers.append((b"x-odd", draw.randbytes(draw.choice([10, 20_000]))))
        if draw.random() < 0.05:
            headers[0] = (b"authorization", b"Bearer " + draw.randbytes(draw.choice([3, 85])))
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": "/decide", "raw_path": b"/decide", "query_string": draw.randbytes(draw.choice([0, 0, 9])),
            "root_path": "", "headers": headers, "client": None, "server": None,
        }  # fmt: skip
        cut = draw.randrange(len(body) + 1)
        parts = [body[:cut], body[cut:]]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        starts = [message for message in sent if message["type"] == "http.response.start"]
        assert len(starts) == 1
        content = b"".join(message.get("body", b"") for message in sent)
        return starts[0]["status"], dict(starts[0]["headers"]), content


@pytest.mark.parametrize("seed", [1, 2])
def test_bad_bodies_are_refused_in_one_shape(tmp_path: Path, seed: int):
    store = KeyStore.open(f"sqlite:///{tmp_path}/store.db")
    _, secret = store.create(name="x", scopes=["decide"])
    door, draw, statuses = Door(make_app(store, NoLimits()), secret), random.Random(seed), Counter()

    async def all_of_them() -> None:
        for body, _ in zip(bodies(seed), range(5_000), strict=False):
            status, headers, content = await door.post(body, draw)
            statuses[status] += 1
            if status == 200:
                continue  # some ways leave a good body
            error = json.loads(content)["error"]
            assert set(error) == {"message", "type", "param", "code"}, body
            assert status < 500 or (status == 503 and b"retry-after" in headers), body
            assert not any(leak in content for leak in LEAKS), content

    asyncio.run(all_of_them())
    store.close()
    assert set(statuses) == {200, 400, 401, 413, 422}, "every kind of refusal was met, and no error of ours"
    assert min(statuses.values()) > 50
    assert statuses[200] < 1_500
