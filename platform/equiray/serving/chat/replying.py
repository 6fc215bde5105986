"""From a record to what a client gets: a document, or the same one in chunks."""

import json
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from equiray.models.engines.records import Finish
from equiray.models.engines.token_scores import ScoredToken
from equiray.serving.audit.records import Record
from equiray.serving.chat.records import Answered, Usage
from equiray.serving.chat.replies import (
    AnswerShare,
    ChatChoice,
    ChatCompletion,
    ChoiceLogprobs,
    FairChain,
    Fairness,
    FinishReason,
    ReplyMessage,
    TextChoice,
    TextCompletion,
    TextLogprobs,
    TokenLogprob,
    TokensDetails,
    TopLogprob,
    UsageReply,
)

_FINISH: dict[Finish, FinishReason] = {"stop": "stop", "length": "length", "refusal": "content_filter"}
_CHUNK = 32
"""Characters of a chunk, about."""


def chat_completion(answered: Answered, record: Record) -> ChatCompletion:
    """The reply of ``/v1/chat/completions``."""
    choices = [
        ChatChoice(
            index=index,
            message=ReplyMessage(content=text),
            finish_reason=_FINISH[answered.vote.chains[chain].finish],
            logprobs=None if answered.words.tokens is None else _chat_logprobs(answered.words.tokens[index]),
        )
        for index, (text, chain) in enumerate(zip(answered.words.texts, answered.vote.chosen, strict=True))
    ]
    return ChatCompletion(choices=choices, **_common("chatcmpl", answered, record))


def text_completion(answered: Answered, record: Record) -> TextCompletion:
    """The reply of ``/v1/completions``."""
    choices = [
        TextChoice(
            index=index,
            text=text,
            finish_reason=_FINISH[answered.vote.chains[chain].finish],
            logprobs=None if answered.words.tokens is None else _text_logprobs(answered.words.tokens[index]),
        )
        for index, (text, chain) in enumerate(zip(answered.words.texts, answered.vote.chosen, strict=True))
    ]
    return TextCompletion(choices=choices, **_common("cmpl", answered, record))


def chat_chunks(reply: ChatCompletion, *, usage: bool) -> Iterator[str]:
    """Server-sent events of a reply; `fairness` stands in the last chunk that has choices."""
    head = {**_head(reply), "object": "chat.completion.chunk"}
    for choice in reply.choices:
        index = choice.index
        yield _event(head, usage, [{"index": index, "delta": {"role": "assistant", "content": ""}}])
        for piece, tokens in _pieces(choice.message.content, choice.logprobs):
            logprobs = None if tokens is None else {"content": tokens, "refusal": None}
            yield _event(head, usage, [{"index": index, "delta": {"content": piece}, "logprobs": logprobs}])
        last = {"fairness": reply.fairness.model_dump()} if choice is reply.choices[-1] else {}
        yield _event(head, usage, [{"index": index, "delta": {}, "finish_reason": choice.finish_reason}], **last)
    yield from _end(head, reply.usage, usage)


def text_chunks(reply: TextCompletion, *, usage: bool) -> Iterator[str]:
    """Server-sent events of a reply; `fairness` stands in the last chunk that has choices."""
    head = {**_head(reply), "object": "text_completion"}
    for choice in reply.choices:
        for piece, _ in _pieces(choice.text, None):
            yield _event(head, usage, [{"index": choice.index, "text": piece, "logprobs": None}])
        logprobs = None if choice.logprobs is None else choice.logprobs.model_dump()
        end = {"index": choice.index, "text": "", "logprobs": logprobs, "finish_reason": choice.finish_reason}
        last = {"fairness": reply.fairness.model_dump()} if choice is reply.choices[-1] else {}
        yield _event(head, usage, [end], **last)
    yield from _end(head, reply.usage, usage)


def _common(prefix: str, answered: Answered, record: Record) -> dict[str, Any]:
    return {
        "id": f"{prefix}-{record.record_id}",
        "created": int(datetime.fromisoformat(record.at).timestamp()),
        "model": answered.model,
        "system_fingerprint": answered.version,
        "usage": _usage(answered.vote.usage),
        "fairness": _fairness(answered, record.record_id),
    }


def _usage(usage: Usage) -> UsageReply:
    return UsageReply(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        completion_tokens_details=TokensDetails(reasoning_tokens=usage.unseen_tokens),
    )


def _fairness(answered: Answered, record_id: str) -> Fairness:
    vote, words = answered.vote, answered.words
    chains = [
        FairChain(
            index=index,
            outcome=chain.outcome,
            answer=None if chain.answer is None else words.answers[chain.answer],
            weight=chain.weight,
            score=chain.score,
            step_scores=list(steps),
            tokens=chain.tokens,
        )
        for index, (chain, steps) in enumerate(zip(vote.chains, vote.step_scores, strict=True))
    ]
    first = vote.chains[vote.chosen[0]].answer
    shares = zip(words.answers, vote.vote_shares, vote.answer_chains, strict=True)
    return Fairness(
        record_id=record_id,
        model_version=answered.version,
        rule=vote.rule,
        answer=None if first is None else words.answers[first],
        majority_answer=None if vote.majority is None else words.answers[vote.majority],
        majority_content=words.majority_text,
        changed=vote.majority is not None and vote.majority != first,
        vote_shares=[AnswerShare(answer=answer, share=share, chains=count) for answer, share, count in shares],
        chosen_chains=list(vote.chosen),
        chains=chains,
        chains_sampled=len(chains),
        chains_at_most=vote.most,
        stopped=vote.stopped,
        aggregator=vote.aggregator,
        tau="inf" if math.isinf(vote.tau) else vote.tau,
        seed=vote.seed,
        as_evaluated=vote.as_evaluated,
    )


def _chat_logprobs(tokens: tuple[ScoredToken, ...]) -> ChoiceLogprobs:
    content = [
        TokenLogprob(
            token=token.text,
            logprob=token.logprob,
            top_logprobs=[TopLogprob(token=other.text, logprob=other.logprob) for other in token.likeliest],
        )
        for token in tokens
    ]
    return ChoiceLogprobs(content=content)


def _text_logprobs(tokens: tuple[ScoredToken, ...]) -> TextLogprobs:
    offsets, at = [], 0
    for token in tokens:
        offsets.append(at)
        at += len(token.text)
    return TextLogprobs(
        tokens=[token.text for token in tokens],
        token_logprobs=[token.logprob for token in tokens],
        top_logprobs=[{other.text: other.logprob for other in token.likeliest} for token in tokens],
        text_offset=offsets,
    )


def _pieces(text: str, logprobs: ChoiceLogprobs | None) -> Iterator[tuple[str, list[dict[str, Any]] | None]]:
    """A text in parts that end behind blanks; all log-probabilities come with the last one."""
    start = 0
    while start < len(text):
        end = text.find(" ", start + _CHUNK) + 1 or len(text)
        last = end == len(text) and logprobs is not None
        yield text[start:end], [token.model_dump() for token in logprobs.content] if last and logprobs else None
        start = end


def _head(reply: ChatCompletion | TextCompletion) -> dict[str, Any]:
    return {
        "id": reply.id,
        "created": reply.created,
        "model": reply.model,
        "system_fingerprint": reply.system_fingerprint,
    }


def _event(head: dict[str, Any], usage: bool, choices: list[dict[str, Any]], **more: Any) -> str:
    whole = [{"finish_reason": None, **choice} for choice in choices]
    document = {**head, "choices": whole, **({"usage": None} if usage else {}), **more}
    return f"data: {json.dumps(document)}\n\n"


def _end(head: dict[str, Any], used: UsageReply, usage: bool) -> Iterator[str]:
    if usage:
        yield _event(head, False, [], usage=used.model_dump())
    yield "data: [DONE]\n\n"
