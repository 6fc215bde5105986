"""What the audit log keeps of an answer; a reply is made of the record, so what a client got is what was recorded.

Numbers stand in the record's body, which stays for ever. Words stand in its payload, which can be erased: the answers,
and of the prompt a hash, or the prompt itself where the operator's policy says so.
"""

import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from equiray.serving.audit.records import Entry, Record
from equiray.serving.chat.records import Answered, Asked, Vote, Words

Endpoint = Literal["chat", "text"]

_VOTE, _WORDS, _ASKED = TypeAdapter(Vote), TypeAdapter(Words), TypeAdapter(Asked)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """On whose behalf an answer was given, and what was asked.

    Attributes
    ----------
    key_id : str
    endpoint : {"chat", "text"}
    asked : Asked
    idempotency_key : str or None
    request_sha256 : str
        Names the request; empty without an idempotency key, for which alone it is needed.
    """

    key_id: str
    endpoint: Endpoint
    asked: Asked
    idempotency_key: str | None = None
    request_sha256: str = ""


def entry_of(answered: Answered, origin: Origin, *, plain_prompts: bool) -> Entry:
    """The entry of an answer.

    Parameters
    ----------
    answered : Answered
    origin : Origin
    plain_prompts : bool
        Whether the prompt is kept itself, not its hash alone.
    """
    messages = [asdict(message) for message in origin.asked.messages]
    words = _WORDS.dump_python(answered.words, mode="json")
    text, *others = words.pop("texts")
    payload: dict[str, Any] = {
        "answer": text,
        "majority_answer": words.pop("majority_text"),
        "other_answers": others,
        **words,
        "prompt_sha256": hashlib.sha256(json.dumps(messages, ensure_ascii=False).encode()).hexdigest(),
    }
    return Entry(
        kind="chat",
        key_id=origin.key_id,
        model_version=answered.version,
        body={
            "endpoint": origin.endpoint,
            "model": answered.model,
            **_VOTE.dump_python(answered.vote, mode="json"),
        },
        payload=payload | ({"prompt": messages} if plain_prompts else {}),
        idempotency_key=origin.idempotency_key,
        request_sha256=origin.request_sha256,
    )


def answered_of(record: Record) -> Answered | None:
    """The answer of a record; None where its words were erased."""
    if record.payload is None:
        return None
    body = {name: value for name, value in record.body.items() if name not in ("endpoint", "model")}
    kept = record.payload
    words = _WORDS.validate_python(
        {
            "answers": kept["answers"],
            "texts": [kept["answer"], *kept["other_answers"]],
            "majority_text": kept["majority_answer"],
            "tokens": kept["tokens"],
        }
    )
    vote = _VOTE.validate_python(body)
    return Answered(model=record.body["model"], version=record.model_version, vote=vote, words=words)


def request_sha256(endpoint: Endpoint, asked: Asked, model: str, *, key: bytes) -> str:
    """Names a request: equal ones, streamed or not, have one name, from which nobody without the key can guess them."""
    document = [endpoint, model, _ASKED.dump_python(asked, mode="json")]
    return hmac.digest(key, json.dumps(document, sort_keys=True).encode(), "sha256").hex()
