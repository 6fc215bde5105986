"""Bodies: how large one may be, and what counts as JSON.

Notable: the limit counts the bytes that arrive, for a chunked body states no length and a stated one may lie. JSON is
read strictly and once: nothing that only Python's reader would take (NaN, a lone surrogate), nothing that a later stage
would choke on (a number beyond 64 bits, a NUL, which PostgreSQL stores in no text).
"""

import math
from collections.abc import Callable, Coroutine
from typing import Any

import pydantic_core
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from equiray.serving.guard.errors import refusal_response
from equiray.serving.guard.refusals import Refused

BODY_BYTES = 8 * 2**20
HEADER_BYTES = 16 * 2**10
JSON_DEPTH = 200
"""Arrays and objects within each other, at most: the bound of pydantic's parser."""

# Most bodies have none of these once every digit is a 0 and every + is gone, and are not walked after parsing. (By a
# regular expression the same takes ten times longer.)
_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_SUSPECT = (b"0" * 19, b"e000")
_LARGEST = 2**63 - 1


class BodyLimit:
    """Middleware: 413 for a body of more than `limit` bytes, 400 for headers that are too large together."""

    def __init__(self, app: ASGIApp, *, limit: int = BODY_BYTES) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        refused = self._by_headers(scope)
        if refused is not None:
            return await refusal_response(refused)(scope, receive, send)
        counted = _Counted(receive, send, self._limit)
        try:
            await self._app(scope, counted.receive, counted.send)
        except Refused:
            if not counted.exceeded:
                raise
        if counted.exceeded and not counted.started:
            await refusal_response(self._too_large())(scope, receive, send)
        return None

    def _by_headers(self, scope: Scope) -> Refused | None:
        headers = scope["headers"]
        if sum(len(name) + len(value) for name, value in headers) > HEADER_BYTES:
            return Refused(400, "headers_too_large", f"the headers have more than {HEADER_BYTES} bytes together")
        lengths = [value for name, value in headers if name == b"content-length"]
        if lengths and not all(value.isdigit() for value in lengths):
            return Refused(400, "invalid_content_length", "Content-Length is no number of bytes")
        # the digits first: Python refuses to read a number of thousands of them
        if any(len(value) > 15 or int(value) > self._limit for value in lengths):
            return self._too_large()
        return None

    def _too_large(self) -> Refused:
        return Refused(413, "body_too_large", f"the body has more than {self._limit} bytes; send fewer rows at once")


class _Counted:
    """The two ends of one request; once the body is too large, nothing of the app's answer leaves."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive, self._send, self._left = receive, send, limit
        self.exceeded = self.started = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.exceeded = True
                raise Refused(413, "body_too_large", "the body is too large")
        return message

    async def send(self, message: Message) -> None:
        if self.exceeded and not self.started:
            return  # however the app took the error: the answer is the 413
        self.started = True
        await self._send(message)


def parse_json(body: bytes) -> Any:
    """JSON (RFC 8259) in UTF-8, at most `JSON_DEPTH` deep.

    Raises
    ------
    Refused
        400: it is none, or it has a number beyond 64 bits or a NUL.
    """
    try:
        value = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:  # its text gives line and column, and repeats nothing of the body
        raise Refused(400, "invalid_json", f"the body is not JSON (RFC 8259) in UTF-8: {error}") from error
    alike = body.translate(_DIGITS, b"+")
    if rb"\u0000" in body or any(sign in alike for sign in _SUSPECT):
        _check_values(value)
    return value


def _check_values(value: Any) -> None:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += one.keys()
            left += one.values()
        elif isinstance(one, list):
            left += one
        elif isinstance(one, str) and "\0" in one:
            raise Refused(400, "invalid_text", "a text has the character NUL (\\u0000)")
        elif (isinstance(one, float) and not math.isfinite(one)) or (isinstance(one, int) and abs(one) > _LARGEST):
            raise Refused(400, "number_out_of_range", "a number does not fit into 64 bits")


class _StrictRequest(Request):
    async def json(self) -> Any:
        return parse_json(await self.body())


class StrictRoute(APIRoute):
    """A route whose body is read by `parse_json`: `APIRouter(route_class=StrictRoute)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, with the strict reader."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(_StrictRequest(request.scope, request.receive))

        return strict
