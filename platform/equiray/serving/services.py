"""What every route needs, and how an answer is recorded before it leaves."""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import Request

from equiray.serving.audit import AuditLog, Entry, IdempotencyConflict, LogUnavailable, Record
from equiray.serving.audit.chain import canonical
from equiray.serving.chat.records import Answered, Rejected
from equiray.serving.chat.records import Asked as Question
from equiray.serving.chat.routes import ChatModel
from equiray.serving.decisions.service import Asked, Decided
from equiray.serving.guard.refusals import RETRY_SOON_S, Refused


class MonitorLink(Protocol):
    """The one live monitor, wherever it runs."""

    async def document(self) -> Mapping[str, Any]: ...

    async def prometheus(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class ChatLink:
    """The model that answers in words, wherever it runs."""

    answer: Callable[[Question], Awaitable[Answered | Rejected]]
    model: Callable[[], Awaitable[ChatModel]]


@dataclass(kw_only=True)
class Services:
    """Of one process that answers requests.

    Attributes
    ----------
    log : AuditLog
    request_key : bytes
        Names requests, so that what they held cannot be guessed from the name.
    keep_rows : bool
        Whether rows and prompts themselves are recorded.
    models : async callable
        What is served: the entries of /v1/models.
    decide : async callable, optional
        Raises Refused.
    chat : ChatLink, optional
    monitor : MonitorLink, optional
    shadow : callable, optional
        Told of a request that has been answered, of its key and its record's id; returns at once.
    """

    log: AuditLog
    request_key: bytes
    keep_rows: bool
    models: Callable[[], Awaitable[list[Mapping[str, Any]]]]
    decide: Callable[[Asked], Awaitable[Decided]] | None = None
    chat: ChatLink | None = None
    monitor: MonitorLink | None = None
    shadow: Callable[[Asked, str, str], None] | None = None

    def request_sha256(self, body: Mapping[str, Any]) -> str:
        """Names a request, equal for equal bodies."""
        return hmac.new(self.request_key, canonical(body).encode(), hashlib.sha256).hexdigest()

    async def recorded(self, entry: Entry) -> Record:
        """The record of an entry, durably written.

        Raises
        ------
        Refused
            503: the log cannot be written, so nothing may be answered. 409: the idempotency key was used otherwise.
        """
        try:
            return await asyncio.wrap_future(self.log.append(entry))
        except LogUnavailable as error:
            raise _not_recorded() from error
        except IdempotencyConflict as error:
            raise conflict() from error

    async def earlier(self, key_id: str, idempotency_key: str, request_sha256: str) -> Record | None:
        """What the same request was answered before.

        Raises
        ------
        Refused
            409: the idempotency key was used for another request. 503: the log cannot be read.
        """
        try:
            found = await asyncio.to_thread(self.log.find, key_id, idempotency_key)
        except LogUnavailable as error:
            raise _not_recorded() from error
        if found is not None and found.request_sha256 != request_sha256:
            raise conflict()
        return found


async def services_of(request: Request) -> Services:  # were it no coroutine, FastAPI would send it to a thread
    """A route's dependency."""
    return request.app.state.services


def conflict() -> Refused:
    """Of an idempotency key that stands for another request."""
    message = "the idempotency key was used for another request; use a fresh one"
    return Refused(409, "idempotency_conflict", message, param="idempotency_key")


def _not_recorded() -> Refused:
    message = "the audit log cannot be written, so nothing is answered; try again"
    return Refused(503, "log_not_writable", message, retry_after=RETRY_SOON_S)
