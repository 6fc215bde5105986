"""How likely answers are after each prefix of a chain, under a fixed language model, every shared token computed once.

All chains of a case share its question, all prefixes of a chain share their beginning, and both answers share the
prefix: together they are one tree (`equiray.models.prefix_tree`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equiray.mitigation.reward.steps import Chain, ReasonedCase
from equiray.models.answers import Frame, prompt_frame
from equiray.models.loading import CausalLM
from equiray.models.scoring import Scorer

PARAGRAPH = "\n\n"
CUE = "Answer:"

_CHAINS_AT_ONCE = 64
"""Bounds the memory of token lists; chains of one case stand beside each other, so hardly any prefix is cut apart."""


@dataclass(frozen=True, kw_only=True)
class AnswerLikelihoods:
    """Log-probabilities of a case's options after a part of a chain, the cue ``Answer:`` before them.

    Question, steps and options are tokenized apart, so that a prefix of a chain is a prefix in tokens, too.
    """

    lm: CausalLM
    batch_tokens: int = 2048

    def after_prefixes(self, cases: Sequence[ReasonedCase]) -> list[NDArray[np.float64]]:
        """For each chain of each case, nats [T + 1, options] after its first 0, 1, ... T steps."""
        wanted = [
            (reasoned, [chain.steps[:stop] for stop in range(len(chain.steps) + 1)])
            for reasoned in cases
            for chain in reasoned.chains
        ]
        return self.after(wanted)

    def leaving_out(self, cases: Sequence[ReasonedCase]) -> list[NDArray[np.float64]]:
        """For each chain of each case, nats [1 + T, options] after all its steps, then after all but the first, ..."""
        wanted = [
            (reasoned, [chain.steps, *(_without(chain, place) for place in range(len(chain.steps)))])
            for reasoned in cases
            for chain in reasoned.chains
        ]
        return self.after(wanted)

    def after(self, wanted: Sequence[tuple[ReasonedCase, Sequence[tuple[str, ...]]]]) -> list[NDArray[np.float64]]:
        """Nats [texts, options] of each case's options after each of the given step sequences."""
        blocks = (wanted[first : first + _CHAINS_AT_ONCE] for first in range(0, len(wanted), _CHAINS_AT_ONCE))
        return [logprobs for block in blocks for logprobs in self._block(block)]

    def _block(self, wanted: Sequence[tuple[ReasonedCase, Sequence[tuple[str, ...]]]]) -> list[NDArray[np.float64]]:
        frame, tokens = prompt_frame(self.lm), self._tokens(wanted)
        sequences: list[list[int]] = []
        first: list[int] = []
        for reasoned, texts in wanted:
            question = tokens[_question(frame, reasoned.question)]
            answers = [tokens[" " + option] for option in reasoned.case.options]
            for steps in texts:
                read = question + [i for step in steps for i in tokens[step + PARAGRAPH]] + tokens[CUE]
                sequences += [read + answer for answer in answers]
                first += [len(read)] * len(answers)
        scorer = Scorer(lm=self.lm, batch_tokens=self.batch_tokens)
        sums, _ = scorer.sequence_logprobs(sequences, np.asarray(first, dtype=np.int64))
        shapes = [(len(texts), len(reasoned.case.options)) for reasoned, texts in wanted]
        parts = np.split(sums, np.cumsum([rows * options for rows, options in shapes])[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def _tokens(self, wanted: Iterable[tuple[ReasonedCase, Sequence[tuple[str, ...]]]]) -> dict[str, list[int]]:
        """Token ids of each distinct piece; special tokens stand before questions alone."""
        frame = prompt_frame(self.lm)
        questions, others = set[str](), {CUE}
        for reasoned, texts in wanted:
            questions.add(_question(frame, reasoned.question))
            others |= {" " + option for option in reasoned.case.options}
            others |= {step + PARAGRAPH for steps in texts for step in steps}
        listed, rest = sorted(questions), sorted(others)
        tokens = dict(zip(rest, self.lm.tokenizer(rest, add_special_tokens=False)["input_ids"], strict=True))
        if listed:
            ids = self.lm.tokenizer(listed, add_special_tokens=frame.add_special_tokens)["input_ids"]
            tokens |= dict(zip(listed, ids, strict=True))
        return tokens


def _question(frame: Frame, question: str) -> str:
    # a chat template's own line end stands between question and answer; without one a paragraph does
    return frame.before + question + (frame.after or PARAGRAPH)


def _without(chain: Chain, place: int) -> tuple[str, ...]:
    return chain.steps[:place] + chain.steps[place + 1 :]
