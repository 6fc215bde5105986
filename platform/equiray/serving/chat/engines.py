"""`ChatEngine`: what writes chains for a chat endpoint, in this process or behind another one."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from equiray.errors import BadInput
from equiray.models.engines.prompts import encode_conversations
from equiray.models.engines.protocol import Generator
from equiray.models.engines.records import Message, ScoredToken
from equiray.models.engines.token_scores import score_tokens
from equiray.models.engines.transformers_engine import TransformersEngine
from equiray.models.loading import CausalLM
from equiray.models.tree_attention import most_tokens


class TokenScorer(Protocol):
    """Scores the tokens of a text that continues a conversation; a prompt `plain` has no chat template."""

    def __call__(
        self, messages: tuple[Message, ...], text: str, *, plain: bool, likeliest: int
    ) -> Sequence[ScoredToken]: ...


@dataclass(frozen=True, kw_only=True)
class ChatEngine:
    """What writes, and what is known of it.

    Attributes
    ----------
    chat : Generator
        Continues conversations: `TransformersEngine`, or `EndpointEngine` before a server of the same model.
    plain : Generator or None
        Continues prompts as they stand; None: ``/v1/completions`` is refused.
    tokenizer : PreTrainedTokenizerBase
        Of the model; counts what a prompt costs.
    scorer : TokenScorer or None
        None: log-probabilities are refused.
    most_tokens : int or None
        That the model reads at once, if there is a limit.
    """

    chat: Generator
    tokenizer: PreTrainedTokenizerBase
    plain: Generator | None = None
    scorer: TokenScorer | None = None
    most_tokens: int | None = None

    @classmethod
    def of(cls, lm: CausalLM) -> "ChatEngine":
        """A model in this process."""
        untemplated = copy.copy(lm.tokenizer)
        untemplated.chat_template = None
        raw = replace(lm, tokenizer=untemplated)

        def score(messages: tuple[Message, ...], text: str, *, plain: bool, likeliest: int) -> Sequence[ScoredToken]:
            return score_tokens(raw if plain else lm, messages, text, likeliest=likeliest)

        return cls(
            chat=TransformersEngine(lm=lm),
            plain=TransformersEngine(lm=raw),
            tokenizer=lm.tokenizer,
            scorer=score,
            most_tokens=most_tokens(lm.model.config),
        )

    def prompt_tokens(self, messages: tuple[Message, ...], *, plain: bool) -> int:
        """Tokens that are read before an answer.

        Raises
        ------
        BadInput
            The model's chat template refuses the conversation.
        """
        if plain:
            return len(self.tokenizer(messages[0].content, add_special_tokens=True)["input_ids"])
        try:
            return len(encode_conversations(self.tokenizer, [messages])[0])
        except TemplateError as error:
            raise BadInput(
                f"the model takes no such conversation: {error}",
                place="messages",
                fix="let user and assistant take turns, the user first, a system's message before them",
            ) from error
