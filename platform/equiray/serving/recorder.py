"""How an answer is recorded before it leaves, and found again under its idempotency key: the same for every route."""

import asyncio
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Header

from equiray.serving.audit.records import Entry, IdempotencyConflict, LogUnavailable, Record
from equiray.serving.guard.refusals import RETRY_SOON_S, Refused

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="the same request under the same key is answered with the first one's record",
    ),
]


class Log(Protocol):
    """What an audit log does for an answer (`equiray.serving.audit.AuditLog`)."""

    def append(self, entry: Entry) -> "Future[Record]":
        """Done when the record is committed."""
        ...

    def find(self, key_id: str, idempotency_key: str) -> Record | None:
        """The record that was written under an idempotency key."""
        ...


@dataclass(frozen=True, kw_only=True)
class Recorder:
    """An audit log whose troubles are refusals."""

    log: Log

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
            raise _unavailable() from error
        except IdempotencyConflict as error:
            raise _conflict() from error

    async def earlier(self, key_id: str, idempotency_key: str | None, request_sha256: str) -> Record | None:
        """What the same request was answered before; None where it was not, or has no idempotency key.

        Raises
        ------
        Refused
            409: the idempotency key was used for another request. 503: the log cannot be read.
        """
        if idempotency_key is None:
            return None
        try:
            found = await asyncio.to_thread(self.log.find, key_id, idempotency_key)
        except LogUnavailable as error:
            raise _unavailable() from error
        if found is not None and found.request_sha256 != request_sha256:
            raise _conflict()
        return found


def _conflict() -> Refused:
    message = "the idempotency key was used for another request; send this one under a key of its own"
    return Refused(409, "idempotency_conflict", message)


def _unavailable() -> Refused:
    message = "the audit log cannot be used, and nothing is answered without a record; try again"
    return Refused(503, "log_not_writable", message, retry_after=RETRY_SOON_S)
