"""How likely a causal LM finds texts after a prefix, as plain text: no chat template, no instruction.

What is notable:

- A prefix and what follows are tokenized as the one text that they are: where a tokenizer joins characters across the
  boundary, or marks the beginning of a text, tokens of the two apart would be another text's. Scored are all tokens
  behind the ones that all continuations of the prefix share with it, so a joined token counts in each of them alike.
- Every text begins as the tokenizer begins texts. Where it adds nothing, the model's BOS token stands first, or its
  EOS token: without one the first word would not be predicted by anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.models.embedding import BATCH_TOKENS, tokenize
from equiray.models.loading import CausalLM
from equiray.models.prefix_tree import common_prefix
from equiray.models.scoring import Scorer


@dataclass(frozen=True, kw_only=True)
class CausalTextScorer:
    """Scores texts by a model in this process; implements `equiray.data.cases.choices.TextScorer`.

    Raises
    ------
    BadInput
        The tokenizer adds no token before a text and knows no BOS or EOS token that could stand there.
    """

    lm: CausalLM
    batch_tokens: int = BATCH_TOKENS

    @cached_property
    def begin(self) -> list[int]:
        """Token ids that stand before what the tokenizer makes of a text; empty where it adds its own."""
        empty, some = tokenize(self.lm, ["", "a"])
        if common_prefix(empty, some):
            return []
        known = (self.lm.tokenizer.bos_token_id, self.lm.tokenizer.eos_token_id)
        token = next((each for each in known if isinstance(each, int)), None)
        if token is None:
            raise BadInput(
                f"the tokenizer of {self.lm.name} begins texts with no token and has no BOS or EOS token",
                place="language_model.source",
                fix="set bos_token in its tokenizer_config.json",
            )
        return [token]

    @property
    def begins_with(self) -> str:
        """The tokens that every text begins with, as the tokenizer writes them."""
        return "".join(self.lm.tokenizer.convert_ids_to_tokens(self.begin or tokenize(self.lm, [""])[0]))

    def score_texts(
        self, prefixes: Sequence[str], continuations: Sequence[Sequence[str]]
    ) -> list[tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """Summed log-probability in nats [C] and number of tokens [C] of each prefix's continuations."""
        given = self._encode(prefixes)
        texts = [prefix + text for prefix, group in zip(prefixes, continuations, strict=True) for text in group]
        sequences = self._encode(texts)
        ends = np.cumsum([len(group) for group in continuations]).tolist()
        first = np.empty(len(sequences), dtype=np.int64)
        for head, low, high in zip(given, [0, *ends], ends, strict=False):
            shared = (common_prefix(head, sequence) for sequence in sequences[low:high])
            first[low:high] = min(shared, default=0)
        sums, counts = Scorer(lm=self.lm, batch_tokens=self.batch_tokens).sequence_logprobs(sequences, first)
        return [(sums[low:high], counts[low:high]) for low, high in zip([0, *ends], ends, strict=False)]

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [[*self.begin, *ids] for ids in tokenize(self.lm, texts)]
