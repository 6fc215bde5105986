"""What clients get, in OpenAI's shape, with `fairness` beside it: how the answer was voted for."""

from typing import Literal

from pydantic import BaseModel, Field

from equiray.serving.chat.records import Outcome, Rule, Stopped

FinishReason = Literal["stop", "length", "content_filter"]


class AnswerShare(BaseModel):
    """One answer: its part of the weight, and the chains that give it."""

    answer: str
    share: float
    chains: int


class FairChain(BaseModel):
    """One chain, in the order in which they were drawn."""

    index: int
    outcome: Outcome
    answer: str | None = Field(description="null: it has no answer, and no vote")
    weight: float
    score: float | None = Field(description="of its steps; null: it has none")
    step_scores: list[float] = Field(description="of each step, the probability that it is unbiased")
    tokens: int


class Fairness(BaseModel):
    """How the answer was decided."""

    record_id: str = Field(description="of the audit log")
    model_version: str
    rule: Rule = Field(
        description="options: by the listed option that a chain answers; final_answer: by the answer that it states; "
        "best_chain: no chain states one, the best-scored is returned"
    )
    answer: str | None = Field(description="that was chosen; null: no chain states one")
    majority_answer: str | None = Field(description="that the most chains give")
    majority_content: str | None = Field(description="the first chain that gives it")
    changed: bool = Field(description="whether the weighted vote decides otherwise than the majority")
    vote_shares: list[AnswerShare]
    chosen_chains: list[int] = Field(description="the chain that each choice is")
    chains: list[FairChain]
    chains_sampled: int
    chains_at_most: int
    stopped: Stopped = Field(
        description="settled: chains to come could not change which answer wins; budget: they would be late; "
        "deterministic: at temperature 0 there is one"
    )
    aggregator: str
    tau: float | Literal["inf"]
    seed: int = Field(description="that gives the same chains again")
    as_evaluated: bool = Field(description="whether chains were drawn and weighed as the bundle was evaluated")


class TokensDetails(BaseModel):
    """Of completion_tokens, those of chains that were drawn and not returned."""

    reasoning_tokens: int


class UsageReply(BaseModel):
    """Tokens; all chains are counted."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    completion_tokens_details: TokensDetails


class TopLogprob(BaseModel):
    """A token and its log-probability, nats."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(TopLogprob):
    """A token that was written, with the likeliest at its place."""

    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(BaseModel):
    """Of a choice's tokens."""

    content: list[TokenLogprob]
    refusal: None = None


class ReplyMessage(BaseModel):
    """The assistant's turn."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    """One answer."""

    index: int
    message: ReplyMessage
    logprobs: ChoiceLogprobs | None = None
    finish_reason: FinishReason


class _Reply(BaseModel):
    id: str
    created: int
    model: str
    system_fingerprint: str
    usage: UsageReply
    fairness: Fairness


class ChatCompletion(_Reply):
    """An answer to a conversation."""

    object: Literal["chat.completion"] = "chat.completion"
    choices: list[ChatChoice]


class TextLogprobs(BaseModel):
    """Of a choice's tokens, as lists."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(BaseModel):
    """One continuation."""

    index: int
    text: str
    logprobs: TextLogprobs | None = None
    finish_reason: FinishReason


class TextCompletion(_Reply):
    """A continued prompt."""

    object: Literal["text_completion"] = "text_completion"
    choices: list[TextChoice]
