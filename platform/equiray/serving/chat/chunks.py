"""A reply as server-sent events: the same answer in chunks, sent when it is decided and recorded."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from equiray.serving.chat.replies import ChatCompletion, ChoiceLogprobs, TextCompletion, UsageReply

_CHARACTERS = 32
"""Of a chunk, about."""


async def chat_chunks(reply: ChatCompletion, *, usage: bool) -> AsyncIterator[str]:
    """Events of an answer to a conversation; `fairness` stands in the last chunk that has choices."""
    head = _head(reply, "chat.completion.chunk", usage)
    for choice in reply.choices:
        index = choice.index
        yield _event(head, {"index": index, "delta": {"role": "assistant", "content": ""}})
        for piece, tokens in _pieces(choice.message.content, choice.logprobs):
            logprobs = None if tokens is None else {"content": tokens, "refusal": None}
            yield _event(head, {"index": index, "delta": {"content": piece}, "logprobs": logprobs})
        end = {"index": index, "delta": {}, "finish_reason": choice.finish_reason}
        yield _event(head, end, **_fairness(reply, last=choice is reply.choices[-1]))
    for event in _ending(head, reply.usage, usage):
        yield event


async def text_chunks(reply: TextCompletion, *, usage: bool) -> AsyncIterator[str]:
    """Events of a continued prompt; `fairness` stands in the last chunk that has choices."""
    head = _head(reply, "text_completion", usage)
    for choice in reply.choices:
        for piece, _ in _pieces(choice.text, None):
            yield _event(head, {"index": choice.index, "text": piece, "logprobs": None})
        logprobs = None if choice.logprobs is None else choice.logprobs.model_dump()
        end = {"index": choice.index, "text": "", "logprobs": logprobs, "finish_reason": choice.finish_reason}
        yield _event(head, end, **_fairness(reply, last=choice is reply.choices[-1]))
    for event in _ending(head, reply.usage, usage):
        yield event


def _pieces(text: str, logprobs: ChoiceLogprobs | None) -> Iterator[tuple[str, list[dict[str, Any]] | None]]:
    """A text in parts that end behind blanks; all log-probabilities come with the last one."""
    start = 0
    while start < len(text):
        end = text.find(" ", start + _CHARACTERS) + 1 or len(text)
        whole = logprobs.content if logprobs is not None and end == len(text) else None
        yield text[start:end], None if whole is None else [token.model_dump() for token in whole]
        start = end


def _head(reply: ChatCompletion | TextCompletion, kind: str, usage: bool) -> dict[str, Any]:
    """What every chunk has; where the last one tells the usage, the others say null."""
    return {
        "id": reply.id,
        "object": kind,
        "created": reply.created,
        "model": reply.model,
        "system_fingerprint": reply.system_fingerprint,
        **({"usage": None} if usage else {}),
    }


def _fairness(reply: ChatCompletion | TextCompletion, *, last: bool) -> dict[str, Any]:
    return {"fairness": reply.fairness.model_dump()} if last else {}


def _event(head: dict[str, Any], choice: dict[str, Any], **more: Any) -> str:
    return _data({**head, "choices": [{"finish_reason": None, **choice}], **more})


def _ending(head: dict[str, Any], used: UsageReply, usage: bool) -> Iterator[str]:
    if usage:
        yield _data({**head, "choices": [], "usage": used.model_dump()})
    yield "data: [DONE]\n\n"


def _data(document: dict[str, Any]) -> str:
    return f"data: {json.dumps(document)}\n\n"
