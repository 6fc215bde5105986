"""From a record to the document that a client gets."""

import math
from datetime import datetime
from typing import Any

from equiray.models.engines.records import Finish, ScoredToken
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
