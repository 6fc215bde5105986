"""What a reward model reads: token sequences, and the places in them where a logit is read.

Three ways to read the same chains (`Reading`): ``isolated`` steps, the first with its question and later ones alone
(arXiv 2507.11344); steps ``in_context``, one sequence a chain with a logit at each step's last token; and ``outcome``,
one logit after the whole chain. Every step ends in the same paragraph mark, so its last token has seen it end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from equiray.mitigation.reward.likelihoods import PARAGRAPH
from equiray.mitigation.reward.steps import ReasonedCase
from equiray.specs.reward_model import Reading

Tokenize: TypeAlias = Callable[[Sequence[str], bool], list[list[int]]]
"""Token ids of texts, with the special tokens of a text's beginning or without."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Sequences and where they are read.

    Attributes
    ----------
    sequences : tuple of int sequences
    ends : tuple of int64 arrays
        Of each sequence, the positions whose logit is read, ascending.

    Logits, labels and scores of `Inputs` are flat arrays, sequence after sequence.
    """

    sequences: tuple[Sequence[int], ...]
    ends: tuple[NDArray[np.int64], ...]

    @property
    def first(self) -> NDArray[np.int64]:
        """Where each sequence's part of a flat array begins, and the array's length, int64 [sequences + 1]."""
        return np.concatenate([[0], np.cumsum([len(end) for end in self.ends])]).astype(np.int64)

    def take(self, chosen: Sequence[int] | NDArray[np.int64]) -> "Inputs":
        """Some of the sequences, in that order."""
        return Inputs(sequences=tuple(self.sequences[i] for i in chosen), ends=tuple(self.ends[i] for i in chosen))


def step_inputs(cases: Sequence[ReasonedCase], reading: Reading, tokenize: Tokenize) -> Inputs:
    """Lay out all chains.

    Of ``isolated`` and ``in_context`` the flat order is that of `step_records`; chains without steps are in neither.
    Of ``outcome`` it is that of the chains, each of which has one logit, those without steps, too.
    """
    if reading == "isolated":
        return _isolated(cases, tokenize)
    steps = sorted({step + PARAGRAPH for reasoned in cases for chain in reasoned.chains for step in chain.steps})
    pieces = dict(zip(steps, tokenize(steps, False), strict=True))
    questions = tokenize([reasoned.question + PARAGRAPH for reasoned in cases], True)
    sequences, ends = [], []
    for reasoned, question in zip(cases, questions, strict=True):
        for chain in reasoned.chains:
            if not chain.steps and reading == "in_context":
                continue
            parts = [question, *(pieces[step + PARAGRAPH] for step in chain.steps)]
            last = np.cumsum([len(part) for part in parts], dtype=np.int64) - 1
            sequences.append([token for part in parts for token in part])
            ends.append(last[1:] if reading == "in_context" else last[-1:])
    return Inputs(sequences=tuple(sequences), ends=tuple(ends))


def _isolated(cases: Sequence[ReasonedCase], tokenize: Tokenize) -> Inputs:
    steps = sorted({step + PARAGRAPH for reasoned in cases for chain in reasoned.chains for step in chain.steps})
    begins = dict(zip(steps, tokenize(steps, True), strict=True))  # with special tokens: a sequence of its own
    goes_on = dict(zip(steps, tokenize(steps, False), strict=True))
    questions = tokenize([reasoned.question + PARAGRAPH for reasoned in cases], True)
    sequences = [
        begins[step + PARAGRAPH] if place else question + goes_on[step + PARAGRAPH]
        for reasoned, question in zip(cases, questions, strict=True)
        for chain in reasoned.chains
        for place, step in enumerate(chain.steps)
    ]
    ends = tuple(np.array([len(sequence) - 1], dtype=np.int64) for sequence in sequences)
    return Inputs(sequences=tuple(sequences), ends=ends)
