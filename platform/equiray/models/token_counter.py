"""`TokenCounter`: how many tokens a model reads of a text."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class TokenCounter:
    """Counts tokens as `embed_texts` reads them. It may go to every worker, so it holds the tokenizer alone."""

    tokenizer: PreTrainedTokenizerBase

    def __call__(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special ones included."""
        return [len(ids) for ids in self.tokenizer(list(texts), add_special_tokens=True)["input_ids"]] if texts else []
