"""What an engine is asked to write, and what it wrote."""

import hashlib
import json
from dataclasses import dataclass
from typing import Literal, TypeAlias

from equiray.errors import BadInput

Role: TypeAlias = Literal["system", "user", "assistant"]
Finish: TypeAlias = Literal["stop", "length", "refusal"]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are drawn.

    Attributes
    ----------
    temperature : float
        0 takes the most likely token each time.
    top_p : float
        Share of probability that is drawn from, in (0, 1].
    max_tokens : int
        Of one completion.
    stop : tuple of str
        Texts that end a completion; they are not part of it.
    seed : int
        Completion k of a request depends on the seed, the request and k, and on nothing else that is asked beside it.

    Raises
    ------
    BadInput
        A stop text is empty.
    """

    temperature: float = 0.8
    top_p: float = 1.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if "" in self.stop:
            raise BadInput(
                f"stop texts {list(self.stop)} hold an empty one, which would end a completion before its first token",
                place="sampling.stop",
                fix="leave it out, or write what completions are to end at",
            )


@dataclass(frozen=True, kw_only=True)
class Request:
    """One conversation that is to be continued `n` times.

    Attributes
    ----------
    request_id : str
        Of the caller; no part of what a cache compares.
    messages : tuple of Message
    n : int
        Completions, at least 1.
    skip : frozenset of int
        Indices of completions that are there already.
    """

    request_id: str
    messages: tuple[Message, ...]
    n: int = 1
    skip: frozenset[int] = frozenset()

    @property
    def wanted(self) -> tuple[int, ...]:
        """Indices of the completions to be written."""
        return tuple(index for index in range(self.n) if index not in self.skip)


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One continuation.

    Attributes
    ----------
    request_id : str
    index : int
        0 to n - 1 of its request.
    text : str
        Without what stopped it.
    tokens : int
        That were drawn, the one that ends the text included.
    finish : {"stop", "length", "refusal"}
        ``refusal``: the engine or its filter declined; the text may be empty.
    """

    request_id: str
    index: int
    text: str
    tokens: int
    finish: Finish


def completion_key(messages: tuple[Message, ...], seed: int, index: int) -> int:
    """128 bits that name the draws of one completion: its number in a stream of random numbers."""
    content = json.dumps([seed, index, [[m.role, m.content] for m in messages]], ensure_ascii=False)
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:16], "big")


@dataclass(frozen=True)
class LikelyToken:
    """A token and its log-probability, nats."""

    text: str
    logprob: float


@dataclass(frozen=True)
class ScoredToken:
    """A token of a text, its log-probability in nats, and the likeliest tokens at its place, likeliest first."""

    text: str
    logprob: float
    likeliest: tuple[LikelyToken, ...]
