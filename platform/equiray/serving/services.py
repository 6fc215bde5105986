"""What every route needs."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import Request

from equiray.serving.audit import AuditLog
from equiray.serving.audit.chain import canonical
from equiray.serving.chat.records import Answered, Rejected
from equiray.serving.chat.records import Asked as Question
from equiray.serving.chat.routes import ChatModel
from equiray.serving.decisions.records import Asked, Decided
from equiray.serving.recorder import Recorder


class MonitorLink(Protocol):
    """The one live monitor, wherever it runs."""

    async def document(self) -> Mapping[str, Any]: ...

    async def prometheus(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class ChatLink:
    """The model that answers in words, wherever it runs."""

    answer: Callable[[Question], Awaitable[Answered | Rejected]]
    model: ChatModel


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
    check_limits : async callable, optional
        Raises Refused while nobody can tell whether a key is within its limits.
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
    check_limits: Callable[[], Awaitable[None]] | None = None
    shadow: Callable[[Asked, str, str], None] | None = None

    def request_sha256(self, body: Mapping[str, Any]) -> str:
        """Names a request, equal for equal bodies."""
        return hmac.new(self.request_key, canonical(body).encode(), hashlib.sha256).hexdigest()

    @property
    def recorder(self) -> Recorder:
        """What writes answers down."""
        return Recorder(log=self.log)


async def services_of(request: Request) -> Services:  # were it no coroutine, FastAPI would send it to a thread
    """A route's dependency."""
    return request.app.state.services
