"""Which chains give one answer.

If the last message of the user lists options (lines ``A. ...``, ``B. ...``), chains are read as they were in the
bundle's evaluation: the option that a chain's last answer line names, nothing guessed. Else an answer is what the last
line says that states one (``Answer: Paris``; of a chain of a single line, that line), and two answers are one if they
differ in case, marks around them or an article alone. A chain without an answer, or that refuses, has no vote. Where no
chain has an answer, they are compared by their scores alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from equiray.data.cases.asking import Question
from equiray.data.cases.chain_text import read_chain_or_answer
from equiray.data.cases.free_text import listed_options, read_free_chain, same_answer
from equiray.models.engines.records import Completion
from equiray.serving.chat.records import Outcome, Rule


@dataclass(frozen=True, kw_only=True)
class ReadCompletion:
    """A completion, its steps, and what it answers: `key` is what equal answers share, `said` how they are shown."""

    completion: Completion
    outcome: Outcome
    steps: tuple[str, ...]
    key: str | None
    said: str | None


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Reads the chains of one question.

    Attributes
    ----------
    question : str
        What the reward model reads before the steps: the user's last message.
    separator : str
        Between steps.
    options : tuple of str or None
        That the question lists.
    """

    question: str
    separator: str
    options: tuple[str, ...] | None

    @classmethod
    def of(cls, question: str, separator: str) -> "Reader":
        return cls(question=question, separator=separator, options=listed_options(question))

    def read(self, completion: Completion) -> ReadCompletion:
        """Steps and answer of a completion."""
        declined = completion.finish == "refusal"
        if self.options is None:
            free = read_free_chain(completion.text, separator=self.separator, declined=declined)
            key = None if free.said is None else same_answer(free.said)
            return ReadCompletion(
                completion=completion, outcome=free.outcome, steps=free.steps, key=key, said=free.said
            )
        places = tuple(range(len(self.options)))
        asked = Question(case_id="", text=self.question, options=self.options, order=places)
        chain, _ = read_chain_or_answer(completion.text, asked, separator=self.separator, declined=declined)
        option = None if chain.answer is None else f"{asked.letters[chain.answer]}. {self.options[chain.answer]}"
        return ReadCompletion(completion=completion, outcome=chain.outcome, steps=chain.steps, key=option, said=option)


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """Chains by answer.

    Attributes
    ----------
    rule : {"options", "final_answer", "best_chain"}
    answers : tuple of str
        In the order in which they were first given.
    place : tuple of (int or None)
        Each chain's answer; None without one.
    possible : int
        Answers that chains to come could give, as a vote counts them: one stands for all that nobody gave yet.
    """

    rule: Rule
    answers: tuple[str, ...]
    place: tuple[int | None, ...]
    possible: int

    @classmethod
    def of(cls, reader: Reader, chains: Sequence[ReadCompletion]) -> "Grouped":
        """Compare what chains answer."""
        keys = list(dict.fromkeys(chain.key for chain in chains if chain.key is not None))
        shown = {chain.key: chain.said for chain in reversed(chains)}
        if not keys:
            rule: Rule = "best_chain"
        else:
            rule = "final_answer" if reader.options is None else "options"
        return cls(
            rule=rule,
            answers=tuple(str(shown[key]) for key in keys),
            place=tuple(None if chain.key is None else keys.index(chain.key) for chain in chains),
            possible=len(keys) + 1 if reader.options is None else len(reader.options),
        )
