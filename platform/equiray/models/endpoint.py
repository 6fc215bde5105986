"""Zero-shot decisions by a black-box model behind an OpenAI-compatible endpoint.

What is notable:

- Where the endpoint gives log-probabilities of the first answer token, they are normalised over the two answers;
  elsewhere the text of the answer is read, and the probability is 0 or 1.
- An answer that is neither option is counted, never dropped: the row's probability is NaN and its outcome says whether
  the model refused or said something in which neither option is found.
- Every reply is kept on disk under the sha256 of what was asked, so a rerun asks nothing twice, at no cost.
"""

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from equiray.data.text import Prompts
from equiray.models.answers import Answers, Outcome, Variant, joint_outcome, variants
from equiray.models.chat_api import ChatServer
from equiray.models.reply_cache import ReplyCache

_TOP_LOGPROBS = 20  # the most that the protocol allows
_MAX_TOKENS = 8  # an answer is one word; more only lets a refusal be recognised
_REFUSAL = re.compile(
    r"\b(i can(no|')?t|cannot|can't|unable|won't|will not|not able|sorry|as an ai|decline|refuse)\b", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Endpoint(ChatServer):
    """Where and how to ask.

    Attributes
    ----------
    cache : Path
        Directory of the replies.
    logprobs : bool
        Read answer probabilities; False: parse the answer's text.
    """

    cache: Path
    logprobs: bool = True


class Asked(NamedTuple):
    """What an endpoint answered; `asked` counts the requests that were sent, `cached` those that a former run sent."""

    answers: Answers
    asked: int
    cached: int


class Reading(NamedTuple):
    """One reply, read."""

    outcome: Outcome
    probability: float


def ask(endpoint: Endpoint, prompts: Prompts, *, sleep: Callable[[float], None] = time.sleep) -> Asked:
    """Ask the endpoint about every row, in every variant of the question (`equiray.models.answers.variants`).

    A row is answered where all its variants are: half of two orders would carry the position bias that two take out.

    Raises
    ------
    BadInput
        The endpoint cannot be reached, refuses the key or the model, or keeps failing. What was answered before stays
        in the cache.
    """
    asked = variants(prompts)
    questions = [
        (_body(endpoint, prompts.task_prefix + body + variant.tail), variant)
        for body in prompts.row_bodies
        for variant in asked
    ]
    cache = ReplyCache(endpoint.cache)
    # a row asked twice (a duplicate, or a twin that is another's original) is one request
    distinct = {cache.key(endpoint.base_url, body): body for body, _ in questions}
    known = {name: reply for name in distinct if (reply := cache.get(name)) is not None}
    missing = [name for name in distinct if name not in known]
    with endpoint.connect() as client:

        def fetch(name: str) -> tuple[str, dict[str, Any]]:
            reply = endpoint.post(client, distinct[name], sleep)
            cache.put(name, reply)
            return name, reply

        known.update(endpoint.each(fetch, missing))
    readings = [read_reply(known[cache.key(endpoint.base_url, body)], variant) for body, variant in questions]
    rows = [tuple(readings[i : i + len(asked)]) for i in range(0, len(readings), len(asked))]
    answers = Answers(
        probabilities=np.array([np.mean([r.probability for r in row]) for row in rows], dtype=np.float64),
        outcomes=tuple(joint_outcome({r.outcome for r in row}) for row in rows),
    )
    return Asked(answers, asked=len(missing), cached=len(distinct) - len(missing))


def read_reply(reply: Mapping[str, Any], variant: Variant) -> Reading:
    """Probability of the positive answer in one chat completion.

    With log-probabilities: the mass of all spellings of each answer among the first token's alternatives, normalised
    over the two; without, or if neither is among them: the answer that the text begins with.
    """
    choice = reply["choices"][0]
    tokens = (choice.get("logprobs") or {}).get("content") or []
    if tokens:
        positive = _mass(tokens[0]["top_logprobs"], variant.positive, variant.negative)
        negative = _mass(tokens[0]["top_logprobs"], variant.negative, variant.positive)
        if positive + negative > 0:
            return Reading("answered", positive / (positive + negative))
    message = choice["message"]
    text = (message.get("content") or "").strip()
    positive, negative = (_begins(text, answer) for answer in (variant.positive, variant.negative))
    if positive != negative:
        return Reading("answered", float(positive))
    refused = bool(message.get("refusal")) or choice.get("finish_reason") == "content_filter" or _REFUSAL.search(text)
    return Reading("refused" if refused else "unparsed", math.nan)


def _mass(alternatives: Sequence[Mapping[str, Any]], answer: str, other: str) -> float:
    """Probability of the tokens that are the answer, or begin it and not the other; " A", "A" and "a" are one."""

    def starts(token: str, text: str) -> bool:
        return token == text.lower() or (len(token) > 1 and text.lower().startswith(token))

    heard = ((a["token"].strip().lower(), math.exp(a["logprob"])) for a in alternatives)
    return sum(p for token, p in heard if token and starts(token, answer) and not starts(token, other))


def _begins(text: str, answer: str) -> bool:
    # a letter is an option only with its mark or alone: "A person like this ..." is no answer
    end = r"(?:[.):,*]|\s*$)" if len(answer) == 1 else r"(?!\w)"
    return re.match(rf"\W*(?:answer\W+)?{re.escape(answer)}{end}", text, re.IGNORECASE) is not None


def _body(endpoint: Endpoint, text: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
        "max_tokens": _MAX_TOKENS,
    }
    return body | {"logprobs": True, "top_logprobs": _TOP_LOGPROBS} if endpoint.logprobs else body
