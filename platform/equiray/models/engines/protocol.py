"""What every engine can do, and what names it.

A generator writes; an engine in this process also scores and embeds. What an engine writes is kept under its
`Identity` (`equiray.models.engines.cache`), so two engines that could write different texts never share one.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from equiray.models.engines.records import Completion, Message, Request, Sampling


@dataclass(frozen=True, kw_only=True)
class Identity:
    """All that an engine's texts depend on, but for what it is asked.

    Attributes
    ----------
    backend : str
        ``transformers``, ``vllm``, or an endpoint's base URL.
    model : str
        The weights by content, an adapter's included; of an endpoint, the model's name there.
    prompts_sha256 : str
        Tokenizer and chat template; empty for an endpoint, which has its own.
    dtype : str
    """

    backend: str
    model: str
    prompts_sha256: str
    dtype: str

    @property
    def sha256(self) -> str:
        """Its content address."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


class ContinuationScores(NamedTuple):
    """How likely a prefix's continuations are: summed log-probabilities in nats float64 [C], tokens int64 [C]."""

    logprobs: NDArray[np.float64]
    tokens: NDArray[np.int64]


class Generator(Protocol):
    """What writes completions."""

    @property
    def identity(self) -> Identity:
        """What its completions are kept under."""
        ...

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """The wanted completions of all requests, in the order in which they are finished.

        Raises
        ------
        BadInput
            A prompt is longer than the model reads.
        """
        ...


class Engine(Generator, Protocol):
    """A model in this process."""

    def score(
        self, prefixes: Sequence[tuple[Message, ...]], continuations: Sequence[Sequence[str]]
    ) -> list[ContinuationScores]:
        """How likely the model continues each conversation with each of its texts."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors [texts, hidden]."""
        ...
