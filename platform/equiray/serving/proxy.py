"""What Ray Serve's proxy says where no replica answers: 503 with Retry-After in the one error document.

Left to itself it sends a bare 500 when a replica dies under a request, and a 404 as long as it knows no route, as after
its own start. It runs in Ray's process: `CALLBACK` names `middlewares` to it.
"""

from collections.abc import Iterable

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from equiray.serving.guard.errors import refusal_response
from equiray.serving.guard.refusals import RETRY_SOON_S, Refused

CALLBACK = {"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "equiray.serving.proxy:middlewares"}
"""For the environment of the nodes that run proxies, before Ray starts there."""


def middlewares() -> list[Middleware]:
    """What Ray Serve puts around its proxy."""
    return [Middleware(Unreachable)]


class Unreachable:
    """Middleware: what is not an answer of the application becomes a 503."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started = replaced = False

        async def watched(message: Message) -> None:
            nonlocal started, replaced
            if message["type"] == "http.response.start":
                replaced = _is_the_proxys(message)
                started = not replaced
            if not replaced:
                await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            if started:
                raise
        if not started:
            message = "the service cannot be reached now; try again"
            refused = Refused(503, "unavailable", message, retry_after=RETRY_SOON_S)
            await refusal_response(refused)(scope, receive, send)
        return None


def _is_the_proxys(start: Message) -> bool:
    headers: Iterable[tuple[bytes, bytes]] = start.get("headers", ())
    said = {name.lower(): value for name, value in headers}
    if start["status"] == 404:  # the application's own is JSON
        return said.get(b"content-type", b"").startswith(b"text/plain")
    return start["status"] >= 500 and b"retry-after" not in said
