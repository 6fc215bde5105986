"""What a mac covers.

Notable: a record's mac is HMAC-SHA256 over the canonical JSON of the whole record but the mac itself, the mac of the
record before included. A body is stored as the text that the mac covers, so nobody has to write a number the same way
twice: a verifier puts texts together and computes no JSON.
"""

import hmac
import json
import secrets
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, NamedTuple, get_args

from equiray.errors import BadInput
from equiray.serving.audit.records import Entry, Kind

MAX_TEXT = 256
"""Characters of an id, a key or a version: what every database can index."""
KINDS: tuple[str, ...] = get_args(Kind)

# A circle would be found by the recursion's end, too: looking out for one takes a fifth of the time.
_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True, check_circular=False
).encode


class Sealed(NamedTuple):
    """An entry as the texts that are stored."""

    entry: Entry
    body: str
    payload: str | None
    salt: str | None
    commitment: str | None


def canonical(value: Mapping[str, Any]) -> str:
    """JSON with sorted keys, without spaces, ASCII only, numbers as Python's shortest text that reads back the same.

    Raises
    ------
    ValueError, TypeError, RecursionError
        It is no JSON: NaN, an infinity, a set, a date, itself inside itself, ...
    """
    return _encode(value if type(value) is dict else dict(value))


def seal(entry: Entry) -> Sealed:
    """Turn an entry into texts, with a fresh salt for its payload.

    Raises
    ------
    BadInput
        The body or the payload is no JSON, or a name is too long or no text that a database can keep.
    """
    for name in ("kind", "key_id", "model_version", "request_sha256", "record_id", "idempotency_key"):
        _check_text(name, getattr(entry, name))
    if entry.kind not in KINDS:
        raise BadInput(f"{entry.kind!r} is no kind", place="audit entry, kind", fix=f"use one of {', '.join(KINDS)}")
    body = _json_of(entry.body, "body")
    if entry.payload is None:
        return Sealed(entry, body, None, None, None)
    payload, salt = _json_of(entry.payload, "payload"), secrets.token_hex(16)
    return Sealed(entry, body, payload, salt, commitment(salt, payload))


def commitment(salt: str, payload: str) -> str:
    """HMAC-SHA256 of the payload's text under its salt: without the salt it says nothing about a payload, however few
    its possible values.
    """
    return hmac.digest(salt.encode(), payload.encode(), "sha256").hex()


def record_text(
    seq: int,
    record_id: str,
    at: str,
    kind: str,
    key_id: str,
    model_version: str,
    body: str,
    idempotency_key: str | None,
    request_sha256: str,
    commitment: str | None,
    prev: str,
) -> str:
    """The canonical JSON of a record without its mac; `body` is canonical JSON already.

    Two different records never have the same text: every other field is quoted, and a body is one JSON object.
    """
    return (
        f'{{"at":{quoted(at)},"body":{body},"commitment":{_or_null(commitment)}'
        f',"idempotency_key":{_or_null(idempotency_key)},"key_id":{quoted(key_id)},"kind":{quoted(kind)}'
        f',"model_version":{quoted(model_version)},"prev":{quoted(prev)},"record_id":{quoted(record_id)}'
        f',"request_sha256":{quoted(request_sha256)},"seq":{seq}}}'
    )


def mac_of(key: bytes, text: str) -> str:
    """HMAC-SHA256 under the chain's key, as 64 hexadecimal digits."""
    return hmac.digest(key, text.encode(), "sha256").hex()


def key_check(key: bytes, log_id: str) -> str:
    """What the log keeps of its key, so that another key is told from altered records."""
    return mac_of(key, f"equiray.audit key of log {log_id}")


def _or_null(text: str | None) -> str:
    return "null" if text is None else quoted(text)


def _json_of(value: Mapping[str, Any], name: str) -> str:
    try:
        return canonical(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(
            f"no JSON: {error}",
            place=f"audit entry, {name}",
            fix="use dicts with text keys, lists, text, numbers, null",
        ) from error


def _check_text(name: str, value: str | None) -> None:
    if value is None and name == "idempotency_key":
        return
    problem = None
    if not isinstance(value, str):
        problem = f"{value!r} is no text"
    elif len(value) > MAX_TEXT:
        problem = f"{len(value):,} characters"
    elif not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        problem = f"{value!r} holds half a character"
    elif "\0" in value:
        problem = f"{value!r} holds a zero character"
    if problem is not None:
        raise BadInput(problem, place=f"audit entry, {name}", fix=f"use text of at most {MAX_TEXT} characters")
