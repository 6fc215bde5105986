"""Chains of reasoning, cut into steps, and the words that would give their answers away.

Notable: a step is scored together with what its reader knows, so a `StepRecord` carries the question and the steps
before it. Masking puts one word in place of every option: a reward model that was only ever reading the answer off the
last step has nothing left to read.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from equiray.data.cases.record import Case
from equiray.errors import BadInput

Outcome = Literal["answered", "unparsed", "refused"]

BLANK_LINES = r"\n[ \t]*\n"
"""Where the paper cuts chains into steps (arXiv 2507.11344)."""

MASK = "[option]"

_UNKNOWN = (
    "can't be determined",
    "cannot be determined",
    "can't answer",
    "cannot answer",
    "not answerable",
    "not enough information",
    "not enough info",
    "not known",
    "undetermined",
    "unknown",
)
"""What options that say so are called in BBQ (Parrish et al. 2022); chains paraphrase one by another."""

_ARTICLE = re.compile(r"(?:the|a|an|my|their|his|her)\s+", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Chain:
    """One chain of reasoning.

    Attributes
    ----------
    case_id : str
    index : int
        Its number among the chains of its case.
    steps : tuple of str
        Empty where an engine refused, or wrote nothing.
    answer : int or None
        Option that it ends in; None unless `outcome` is ``answered``.
    outcome : {"answered", "unparsed", "refused"}
    """

    case_id: str
    index: int
    steps: tuple[str, ...]
    answer: int | None
    outcome: Outcome = "answered"

    def __post_init__(self) -> None:
        if (self.answer is None) == (self.outcome == "answered"):
            raise BadInput(
                f"outcome {self.outcome!r} with answer {self.answer}",
                place=f"chain {self.index} of case {self.case_id!r}",
                fix="give an option to answered chains, and to no others",
            )


@dataclass(frozen=True, kw_only=True)
class ReasonedCase:
    """A case, the question that was asked about it, and the chains that were written.

    `question` is what the engine read, instructions and options included: another wording is another question.
    """

    case: Case
    question: str
    chains: tuple[Chain, ...]

    def __post_init__(self) -> None:
        for chain in self.chains:
            options = len(self.case.options)
            if chain.case_id != self.case.case_id:
                raise self._wrong(chain, f"it is of case {chain.case_id!r}")
            if chain.answer is not None and not 0 <= chain.answer < options:
                raise self._wrong(chain, f"its answer is option {chain.answer} of {options}")
        if len({chain.index for chain in self.chains}) != len(self.chains):
            raise self._wrong(self.chains[0], "two chains have one index")

    def _wrong(self, chain: Chain, problem: str) -> BadInput:
        place = f"chain {chain.index} of case {self.case.case_id!r}"
        return BadInput(problem, place=place, fix="pair cases with their own chains")


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One step and what stands before it."""

    case_id: str
    chain: int
    step: int
    question: str
    text: str
    previous: tuple[str, ...]

    @property
    def alone(self) -> str:
        """What is scored where steps are scored alone: the first one with its question, later ones as they are."""
        return self.text if self.step else f"{self.question}\n\n{self.text}"


def split_steps(text: str, separator: str = BLANK_LINES) -> tuple[str, ...]:
    """Cut a chain's text at a regular expression; what holds no letter or digit is no step.

    Raises
    ------
    BadInput
        The separator is no regular expression, or one that matches nothing at all.
    """
    try:
        pattern = re.compile(separator)
    except re.error as error:
        raise _separator(f"{separator!r} is no regular expression: {error}") from error
    if pattern.match("") or pattern.groups:
        raise _separator(f"{separator!r} matches between any two letters, or captures")
    parts = (part.strip() for part in pattern.split(text))
    return tuple(part for part in parts if any(map(str.isalnum, part)))


def _separator(problem: str) -> BadInput:
    return BadInput(problem, place="reward.separator", fix=f"leave it out for blank lines: {BLANK_LINES!r}")


def step_records(cases: Sequence[ReasonedCase]) -> Iterator[StepRecord]:
    """Every step, by case, chain and place: the order of every flat array of steps in this package."""
    for reasoned in cases:
        for chain in reasoned.chains:
            for place, text in enumerate(chain.steps):
                yield StepRecord(
                    case_id=chain.case_id,
                    chain=chain.index,
                    step=place,
                    question=reasoned.question,
                    text=text,
                    previous=chain.steps[:place],
                )


def masked(cases: Sequence[ReasonedCase]) -> list[ReasonedCase]:
    """The same chains with every option's words, and its letter, read `MASK`, in questions and in steps.

    The answers stay what they were: labels and outcomes do not change.
    """
    made = []
    for reasoned in cases:
        pattern = _giving_away(reasoned.case)
        chains = tuple(
            replace(chain, steps=tuple(pattern.sub(MASK, step) for step in chain.steps)) for chain in reasoned.chains
        )
        made.append(replace(reasoned, question=pattern.sub(MASK, reasoned.question), chains=chains))
    return made


def _giving_away(case: Case) -> re.Pattern[str]:
    """Options with and without their article, paraphrases of "unknown", and letters that are marked as options."""
    words = {option.strip().rstrip(".") for option in case.options}
    words |= {_ARTICLE.sub("", word, count=1) for word in words if _ARTICLE.match(word)}
    if case.stereotype is not None:
        words |= set(_UNKNOWN)
    longest_first = sorted(filter(None, words), key=lambda word: (-len(word), word))
    listed = "|".join(re.escape(word).replace("'", "['’]").replace(r"\ ", r"\s+") for word in longest_first)
    letters = f"[A-{chr(ord('A') + len(case.options) - 1)}]"
    # one mask for all: "the old man" with its article is as long as "old man" without
    named = rf"(?:\b(?:the|a|an)\s+)?(?<!\w)(?:{listed})(?!\w)"
    letter = rf"(?-i:{letters})"
    marked = rf"\({letter}\)|(?<!\w){letter}[.):](?=\s|$)"
    chosen = rf"(?:option|answer(?:\s+is)?:?)\s+{letter}(?!\w)"
    return re.compile(rf"{marked}|{chosen}|{named}", re.IGNORECASE)
