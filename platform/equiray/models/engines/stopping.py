"""When a completion ends, and what it says then."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from transformers import GenerationConfig, PreTrainedTokenizerBase

from equiray.models.engines.records import Finish, Sampling
from equiray.models.loading import CausalLM

_TOKENS_A_CHARACTER = 4  # at most: byte-level vocabularies cut a character into the bytes of its UTF-8 form
_MARGIN = 8  # tokens before a stop string whose text may differ where decoding begins in the middle


@dataclass(frozen=True)
class Ending:
    """How a completion ended, and its text without what ended it."""

    text: str
    finish: Finish


@dataclass(frozen=True)
class Stopper:
    """Ends completions: at the model's own end tokens, at stop strings, at the most tokens."""

    lm: CausalLM
    sampling: Sampling

    def ending(self, tokens: Sequence[int], room: int) -> Ending | None:
        """How a completion of so many tokens ends with its last one; None if it goes on.

        Parameters
        ----------
        tokens : sequence of int
            Drawn so far; at the one before the last the completion went on.
        room : int
            Tokens that the model can read behind the prompt.
        """
        if tokens[-1] in self._ends:
            return Ending(self.text(tokens[:-1]), "stop")
        if self._may_hold_stop(tokens):
            text = self.text(tokens)
            found = [at for stop in self.sampling.stop if (at := text.find(stop)) >= 0]
            if found:
                return Ending(text[: min(found)], "stop")
        if len(tokens) >= min(self.sampling.max_tokens, room):
            return Ending(self.text(tokens), "length")
        return None

    def text(self, tokens: Sequence[int]) -> str:
        """What tokens say, special ones left out."""
        return str(self.lm.tokenizer.decode(list(tokens), skip_special_tokens=True))

    def _may_hold_stop(self, tokens: Sequence[int]) -> bool:
        """Whether a stop string has come in with the last tokens: decoding all of them each time would cost more."""
        if not self.sampling.stop:
            return False
        text = self.text(tokens[-self._window :])
        return any(stop in text for stop in self.sampling.stop)

    @cached_property
    def _window(self) -> int:
        return _TOKENS_A_CHARACTER * max(map(len, self.sampling.stop)) + _MARGIN

    @cached_property
    def _ends(self) -> frozenset[int]:
        return end_tokens(self.lm.tokenizer, getattr(self.lm.model, "generation_config", None))


def end_tokens(tokenizer: PreTrainedTokenizerBase, generation: GenerationConfig | None) -> frozenset[int]:
    """Tokens with which a model ends its turn: the tokenizer's, and those that its settings list."""
    listed = getattr(generation, "eos_token_id", None)
    named = listed if isinstance(listed, list) else [listed]
    return frozenset(int(token) for token in [*named, tokenizer.eos_token_id] if token is not None)
