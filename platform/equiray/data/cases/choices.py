"""`Choice`: texts of which a language model finds one more likely than another, and how to have them scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from equiray.data.cases.case_set import family_of, numbered
from equiray.data.cases.record import Case
from equiray.data.splits import subsample
from equiray.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Continuations of one prefix, to be compared by likelihood.

    Attributes
    ----------
    choice_id, dataset : str
    category : str
        Such as ``race-color``.
    family : str
        Choices of one family resemble each other; intervals are clustered by it.
    prefix : str
        May be empty: then the continuations are whole texts, and the scorer begins them as its model begins texts.
    continuations : tuple of str
        In the order of the data set's roles: stereotype first.
    per_token : bool
        Whether continuations are compared by mean log-probability per token, not by their sum.
    """

    choice_id: str
    dataset: str
    category: str
    family: str
    prefix: str
    continuations: tuple[str, ...]
    per_token: bool = False


class TextScorer(Protocol):
    """Anything that says how likely texts are after a prefix, without any chat template."""

    def score_texts(
        self, prefixes: Sequence[str], continuations: Sequence[Sequence[str]]
    ) -> Sequence[tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """For each prefix its continuations' summed natural-log probabilities [C] and their numbers of tokens [C]."""
        ...


class Scores(NamedTuple):
    """Log-likelihoods of continuations, arrays [choices, continuations].

    `sums` are natural logarithms, float64; `tokens`, int64, is how many each is the sum of.
    """

    sums: NDArray[np.float64]
    tokens: NDArray[np.int64]

    def compared(self, choices: Sequence[Choice]) -> NDArray[np.float64]:
        """What preferences are read from: sums, or means where `Choice.per_token` says so."""
        per_token = np.array([choice.per_token for choice in choices], dtype=np.bool_)
        return self.sums / np.where(per_token[:, None], self.tokens, 1)


def score_choices(scorer: TextScorer, choices: Sequence[Choice]) -> Scores:
    """Score choices that have equally many continuations.

    Raises
    ------
    BadInput
        The scorer's answer has another shape, or holds a NaN or a continuation without tokens.
    """
    found = scorer.score_texts([choice.prefix for choice in choices], [choice.continuations for choice in choices])
    if len(found) != len(choices):
        raise _wrong(f"{len(found)} answers to {len(choices)} prefixes", scorer)
    for choice, (sums, tokens) in zip(choices, found, strict=True):
        if np.shape(sums) != (len(choice.continuations),) or np.shape(tokens) != np.shape(sums):
            raise _wrong(f"{np.shape(sums)} scores of {len(choice.continuations)} continuations", scorer)
        if np.isnan(sums).any() or (np.asarray(tokens) < 1).any():
            raise _wrong(f"no score of {choice.choice_id}: {np.asarray(sums).tolist()}", scorer)
    return Scores(
        np.array([sums for sums, _ in found], dtype=np.float64).reshape(len(choices), -1),
        np.array([tokens for _, tokens in found], dtype=np.int64).reshape(len(choices), -1),
    )


def sample_choices(choices: Sequence[Choice], count: int, seed: int) -> tuple[Choice, ...]:
    """`count` choices, each category in proportion, so that a figure of all is that of the whole data set.

    Raises
    ------
    BadInput
        There are fewer choices.
    """
    if count > len(choices):
        name = choices[0].dataset
        raise BadInput(f"cannot sample {count} of {len(choices)} choices", place=name, fix=f"ask for {len(choices)}")
    numbers = numbered([choice.choice_id for choice in choices])
    categories = np.array([choice.category for choice in choices])
    chosen = subsample(numbers, categories, count, seed)
    return tuple(choice for choice, kept in zip(choices, chosen.tolist(), strict=True) if kept)


def minimal_pair(sentences: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """What sentences begin with alike, and how each goes on, its blank included.

    The shared words are equally likely in all of them, so that comparing the rest compares the sentences. Words are
    never cut; sentences that differ in their first word share nothing.
    """
    words = [sentence.split(" ") for sentence in sentences]
    shared = 0
    while shared < min(map(len, words)) - 1 and len({each[shared] for each in words}) == 1:
        shared += 1
    prefix = " ".join(words[0][:shared])
    rests = (" ".join(each[shared:]) for each in words)
    return prefix, tuple(f" {rest}" if prefix else rest for rest in rests)


def option_choice(case: Case) -> Choice:
    """A case's options as they follow ``Answer:``, in its own order, compared per token: no letters, no instruction."""
    return Choice(
        choice_id=case.case_id,
        dataset=case.dataset,
        category=case.category,
        family=family_of(case),
        prefix=f"{case.text}\nAnswer:",
        continuations=tuple(f" {option}" for option in case.options),
        per_token=True,
    )


def _wrong(problem: str, scorer: TextScorer) -> BadInput:
    return BadInput(problem, place=type(scorer).__name__, fix="return sums and token counts, one per continuation")
