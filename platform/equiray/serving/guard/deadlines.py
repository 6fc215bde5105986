"""The outermost guard: every request gets an answer in time, and none of them is a stack trace."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from equiray.serving.guard.errors import refusal_response, unexpected
from equiray.serving.guard.refusals import RETRY_SOON_S, Refused


class Deadline:
    """Middleware: 503 for a request that takes longer than `timeout_s`, or that fails as nobody foresaw.

    An answer that has begun cannot become another one: the connection is cut, so that a client does not take a part
    for the whole.
    """

    def __init__(self, app: ASGIApp, *, timeout_s: float = 60) -> None:
        self._app, self._timeout_s = app, timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        deadline = asyncio.timeout(self._timeout_s)
        try:
            async with deadline:
                return await self._app(scope, receive, watched)
        except Exception as error:
            if started:
                raise
            refused = self._too_slow() if deadline.expired() else unexpected(error)
        return await refusal_response(refused)(scope, receive, send)

    def _too_slow(self) -> Refused:
        message = f"no answer within {self._timeout_s:g} s; send fewer rows at once, or try again later"
        return Refused(503, "timeout", message, retry_after=RETRY_SOON_S)
