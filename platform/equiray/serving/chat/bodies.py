"""What clients send, in OpenAI's shape. What is not supported is refused by its name, never ignored.

Ignored are the words of a client about itself, which change no answer: `user`, `metadata`, `safety_identifier`,
`prompt_cache_key`, `service_tier`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from equiray.models.engines.records import Message, Role
from equiray.serving.chat.records import Asked

_INT64 = 2**63


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Penalty = Annotated[float, Field(ge=0, le=0, description="not supported: 0 alone")] | None
Words = Annotated[str, Field(max_length=1 << 20)]
Stop = Words | Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=4)] | None


class TextPart(_Body):
    """A part of a message."""

    type: Literal["text"]
    text: Words


class ChatMessage(_Body):
    """A turn; what a client sends back of an earlier answer may stand in it where it is empty."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Words | Annotated[list[TextPart], Field(min_length=1)]
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    audio: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None

    @property
    def message(self) -> Message:
        """As engines read it; what a developer says is the system's."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        role: Role = "system" if self.role == "developer" else self.role
        return Message(role, text)


class TextFormat(_Body):
    """Answers are text."""

    type: Literal["text"]


class StreamOptions(_Body):
    """Of a stream: whether its last chunk tells the usage."""

    include_usage: bool = False


class _Common(_Body):
    """What both endpoints take."""

    model: str = Field(max_length=256)
    n: int | None = Field(default=None, ge=1, le=128, description="distinct answers, the best by weight")
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False)
    max_tokens: int | None = Field(default=None, ge=1, le=1 << 20, description="of a chain")
    stop: Stop = Field(default=None, description="texts that end a chain; none: the bundle's")
    seed: int | None = Field(default=None, ge=-_INT64, lt=_INT64)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: Penalty = None
    presence_penalty: Penalty = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0, description="not supported: empty alone")] | None = None
    user: str | None = Field(default=None, description="ignored")

    @model_validator(mode="after")
    def _options_of_a_stream(self) -> "_Common":
        if self.stream_options is not None and not self.stream:
            raise ValueError("`stream_options` is of a stream: set `stream` to true, or leave it out")
        return self

    @property
    def streamed(self) -> bool:
        """Whether the answer is sent in chunks."""
        return bool(self.stream)

    @property
    def usage_at_end(self) -> bool:
        """Whether a stream ends with its usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    def _asked(self, messages: tuple[Message, ...], *, plain: bool, most: int | None, likeliest: int | None) -> Asked:
        stop = self.stop
        return Asked(
            messages=messages,
            plain=plain,
            choices=1 if self.n is None else self.n,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=most,
            stop=None if stop is None else tuple(each for each in ([stop] if isinstance(stop, str) else stop) if each),
            seed=self.seed,
            likeliest=likeliest,
        )


class ChatCompletionRequest(_Common):
    """``POST /v1/chat/completions``."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=4096)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=1 << 20)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: TextFormat | None = None
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] | None = None
    store: Literal[False] | None = None
    metadata: dict[str, str] | None = Field(default=None, description="ignored")
    safety_identifier: str | None = Field(default=None, description="ignored")
    prompt_cache_key: str | None = Field(default=None, description="ignored")
    service_tier: Literal["auto", "default"] | None = Field(default=None, description="ignored")

    @model_validator(mode="after")
    def _belong_together(self) -> "ChatCompletionRequest":
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("`top_logprobs` needs `logprobs`: set it to true, or leave both out")
        if None not in (both := (self.max_tokens, self.max_completion_tokens)) and both[0] != both[1]:
            raise ValueError("`max_tokens` and `max_completion_tokens` differ: give one of them")
        if self.messages[-1].role != "user":
            raise ValueError("the last of `messages` is answered: let it be the user's")
        return self

    @property
    def asked(self) -> Asked:
        """The question."""
        most = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        likeliest = (self.top_logprobs or 0) if self.logprobs else None
        return self._asked(tuple(each.message for each in self.messages), plain=False, most=most, likeliest=likeliest)


class CompletionRequest(_Common):
    """``POST /v1/completions``: a prompt that is continued as it stands."""

    prompt: Words | Annotated[list[Words], Field(min_length=1, max_length=1, description="one prompt a request")]
    logprobs: int | None = Field(default=None, ge=0, le=5)
    echo: Literal[False] | None = None
    suffix: None = None
    best_of: None = Field(default=None, description="not supported: the bundle says how many chains are drawn")

    @property
    def asked(self) -> Asked:
        """The question."""
        text = self.prompt if isinstance(self.prompt, str) else self.prompt[0]
        return self._asked((Message("user", text),), plain=True, most=self.max_tokens, likeliest=self.logprobs)
