"""What goes into the log, what comes out of it, and why it sometimes cannot."""

import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from equiray.errors import EquirayError

Kind = Literal["decision", "shadow", "chat", "outcome", "admin"]


def new_record_id() -> str:
    """A UUID of version 7 (RFC 9562, 5.7): ids of neighbouring times lie beside each other in an index."""
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | (random >> 62) << 64 | 2 << 62 | random & (1 << 62) - 1))


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What shall be recorded.

    Parameters
    ----------
    kind, key_id, model_version : str
        What it is, on whose behalf, by which bundle.
    body : Mapping
        JSON. It stays in the chain for ever: nothing personal may be in it.
    payload : Mapping, optional
        JSON, personal. It is stored beside the chain, which holds a salted commitment to it, and can be erased.
    idempotency_key : str, optional
        Unique together with `key_id`: a second entry under it is answered with the first one's record.
    request_sha256 : str
        What the idempotency key was used for: another request under it is a conflict.
    record_id : str
        Unique. An entry whose id is in the log already is answered with that record.
    """

    kind: Kind
    key_id: str
    model_version: str
    body: Mapping[str, Any]
    payload: Mapping[str, Any] | None = None
    idempotency_key: str | None = None
    request_sha256: str = ""
    record_id: str = field(default_factory=new_record_id)


@dataclass(frozen=True, kw_only=True)
class Record:
    """An entry in its place in the log.

    Parameters
    ----------
    seq : int
        1, 2, ... without gaps.
    at : str
        UTC, ISO 8601, microseconds: when the record was written, by the writer's clock.
    commitment : str or None
        HMAC-SHA256 of the payload under its salt; None where there never was a payload.
    prev, mac : str
        The mac of the record before (the log's id for the first one), and this record's own.
    payload : Mapping or None
        None where there was none, or where it was erased (then `commitment` is not None).
    repeated : bool
        The record is an earlier one, found under the idempotency key.
    """

    seq: int
    record_id: str
    at: str
    kind: Kind
    key_id: str
    model_version: str
    body: Mapping[str, Any]
    idempotency_key: str | None
    request_sha256: str
    commitment: str | None
    prev: str
    mac: str
    payload: Mapping[str, Any] | None = None
    repeated: bool = False


class Head(NamedTuple):
    """Where the log ends: how many records it has, and the mac of the last one (the log's id where it has none)."""

    length: int
    mac: str


class LogUnavailable(EquirayError):
    """The log's database does not do what it is asked: a service answers 503."""

    exit_code = 3


class LogNotWritable(LogUnavailable):
    """The entry is not known to be in the log: what it is about must not be answered."""


class LogNotReadable(LogUnavailable):
    """A record could not be looked up."""


class IdempotencyConflict(EquirayError):
    """The idempotency key was used for another request: a service answers 409."""

    exit_code = 3
