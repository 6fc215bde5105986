"""Completions from behind an OpenAI-compatible endpoint.

One call asks for all wanted completions of a request, so its prompt is read (and paid for) once. The call carries a
seed made of (seed, messages, first index): as far as a server honours seeds, the same call gives the same completions.
Unlike a model in this process, completion k there depends on which others were asked for in its call; what came is
kept, so no text changes afterwards.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from equiray.models.chat_api import ChatServer
from equiray.models.engines.protocol import Identity
from equiray.models.engines.records import Completion, Finish, Request, Sampling, completion_key

_MOST_A_CALL = 32
_SEED_BITS = 31  # servers keep seeds in integers of different sizes


@dataclass(frozen=True, kw_only=True)
class EndpointEngine:
    """Implements `equiray.models.engines.protocol.Generator`."""

    server: ChatServer

    @property
    def identity(self) -> Identity:
        """URL and the model's name there: all that can be known."""
        return Identity(backend=self.server.base_url.rstrip("/"), model=self.server.model, prompts_sha256="", dtype="")

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """The wanted completions of all requests, in the order in which they come.

        `Completion.tokens` is what the server counted; where one call wrote several, their mean.

        Raises
        ------
        BadInput
            The endpoint cannot be reached, refuses the key or the model, or keeps failing.
        """
        calls = [
            (request, request.wanted[first : first + _MOST_A_CALL])
            for request in requests
            for first in range(0, len(request.wanted), _MOST_A_CALL)
        ]
        with self.server.connect() as client:
            for completions in self.server.each(lambda call: self._call(client, *call, sampling), calls):
                yield from completions

    def _call(
        self, client: httpx.Client, request: Request, indices: Sequence[int], sampling: Sampling
    ) -> list[Completion]:
        """Ask until all are there: many servers give one completion, whatever `n` says."""
        found: list[Completion] = []
        while len(found) < len(indices):
            left = indices[len(found) :]
            reply = self.server.post(client, self._body(request, left, sampling))
            choices = reply["choices"][: len(left)]
            tokens = round((reply.get("usage") or {}).get("completion_tokens", 0) / len(choices))
            found += [_completion(request, index, choice, tokens) for index, choice in zip(left, choices, strict=False)]
        return found

    def _body(self, request: Request, indices: Sequence[int], sampling: Sampling) -> dict[str, Any]:
        key = completion_key(request.messages, sampling.seed, indices[0])
        body: dict[str, Any] = {
            "model": self.server.model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "n": len(indices),
            "seed": key % 2**_SEED_BITS,
        }
        return body | ({"stop": list(sampling.stop)} if sampling.stop else {})


def _completion(request: Request, index: int, choice: Mapping[str, Any], tokens: int) -> Completion:
    message, reason = choice["message"], choice.get("finish_reason")
    refused = reason == "content_filter" or bool(message.get("refusal"))
    finish: Finish = "refusal" if refused else "length" if reason == "length" else "stop"
    text = message.get("content") or message.get("refusal") or ""
    return Completion(request_id=request.request_id, index=index, text=text, tokens=tokens, finish=finish)
