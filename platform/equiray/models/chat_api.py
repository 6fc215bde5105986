"""Requests to an OpenAI-compatible chat endpoint: sent, sent again where that can help, and checked.

The API key is read from the environment when a request is sent; it is in no record, cache entry or message.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from equiray.errors import BadInput

KEY_VARIABLE = "EQUIRAY_API_KEY"

_RETRIED = {408, 409, 425, 429, 500, 502, 503, 504}
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True)
class ChatServer:
    """Where and how to ask.

    Attributes
    ----------
    base_url : str
        With the version, as clients of the protocol want it: ``http://host:8000/v1``.
    model : str
        The model's name there.
    concurrency : int
        Requests in flight.
    timeout_s : float
        Of one request.
    attempts : int
        How often a request is sent before the run stops, with 1, 2, 4, ... s (or what ``Retry-After`` says) between.
    """

    base_url: str
    model: str
    concurrency: int = 8
    timeout_s: float = 60.0
    attempts: int = 6

    @property
    def url(self) -> str:
        """Of chat completions."""
        return self.base_url.rstrip("/") + "/chat/completions"

    def connect(self) -> httpx.Client:
        """A client with the key; to be closed."""
        headers = {"Authorization": f"Bearer {key}"} if (key := os.environ.get(KEY_VARIABLE)) else {}
        return httpx.Client(headers=headers, timeout=self.timeout_s)

    def post(
        self, client: httpx.Client, body: Mapping[str, Any], sleep: Callable[[float], None] = time.sleep
    ) -> dict[str, Any]:
        """One chat completion.

        Raises
        ------
        BadInput
            The endpoint cannot be reached, refuses the key or the model, keeps failing, or speaks another protocol.
        """
        failure = ""
        for attempt in range(self.attempts):
            pause = 2.0**attempt
            try:
                response = client.post(self.url, json=body)
                if response.is_success:
                    return _completion(response, self.url)
                if _is_filtered(response):
                    return _REFUSAL
                failure = f"HTTP {response.status_code}: {response.text[:200]}"
                if response.status_code not in _RETRIED:
                    break
                pause = _retry_after(response) or pause
            except httpx.HTTPError as error:
                failure = f"{type(error).__name__}: {error}"
            if attempt + 1 < self.attempts:
                sleep(pause)
        raise BadInput(
            f"the endpoint does not answer ({failure})",
            place=f"language_model.source, {self.url}, model {self.model!r}",
            fix=f"check URL, model name and the key in {KEY_VARIABLE}; the same command asks only what is missing",
        )

    def each(self, ask: Callable[[_Item], _Result], items: Sequence[_Item]) -> Iterator[_Result]:
        """Ask about items at once, answers as they come; the first failure cancels what has not been sent yet."""
        with ThreadPoolExecutor(max_workers=self.concurrency) as pool:
            futures = [pool.submit(ask, item) for item in items]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


_REFUSAL: dict[str, Any] = {
    "choices": [{"index": 0, "finish_reason": "content_filter", "message": {"role": "assistant", "content": ""}}]
}


def _is_filtered(response: httpx.Response) -> bool:
    """Whether an error says that a filter would not let the prompt through: then the answer is a refusal."""
    try:
        return response.status_code == 400 and response.json()["error"]["code"] == "content_filter"
    except (json.JSONDecodeError, KeyError, TypeError):
        return False


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if re.fullmatch(r"\d+(\.\d+)?", value) else None  # its date form is not worth a parser


def _completion(response: httpx.Response, url: str) -> dict[str, Any]:
    try:
        reply = response.json()
        reply["choices"][0]["message"]
    except (json.JSONDecodeError, KeyError, IndexError, TypeError) as error:
        raise BadInput(
            f"the reply is no chat completion: {response.text[:200]!r}",
            place=f"language_model.source, {url}",
            fix="name the base URL of an OpenAI-compatible API, version included: http://host:8000/v1",
        ) from error
    return reply
