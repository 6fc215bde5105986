"""`Choice`: texts of which a language model finds one more likely than another, and how to have them scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from equiray.data.cases.case_set import family_of
from equiray.data.cases.record import Case
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


def score_choices(scorer: TextScorer, choices: Sequence[Choice]) -> NDArray[np.float64]:
    """Scores of choices that have equally many continuations.

    Returns
    -------
    float64 array [choices, continuations]
        Summed log-probabilities, or means where `Choice.per_token` says so.

    Raises
    ------
    BadInput
        The scorer's answer has another shape, or holds a NaN or a continuation without tokens.
    """
    found = scorer.score_texts([choice.prefix for choice in choices], [choice.continuations for choice in choices])
    if len(found) != len(choices):
        raise _wrong(f"{len(found)} answers to {len(choices)} prefixes", scorer)
    rows = []
    for choice, (sums, tokens) in zip(choices, found, strict=True):
        if np.shape(sums) != (len(choice.continuations),) or np.shape(tokens) != np.shape(sums):
            raise _wrong(f"{np.shape(sums)} scores of {len(choice.continuations)} continuations", scorer)
        if np.isnan(sums).any() or (np.asarray(tokens) < 1).any():
            raise _wrong(f"no score of {choice.choice_id}: {np.asarray(sums).tolist()}", scorer)
        rows.append(np.asarray(sums) / (tokens if choice.per_token else 1))
    return np.array(rows, dtype=np.float64).reshape(len(choices), -1)


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
