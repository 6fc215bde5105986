r"""A chain's text as its reader understands it: which option it answers, and the steps that led there.

What is notable: nothing is guessed. An answer is the last line that says it is one (``Answer: B``), and it counts only
if what follows is exactly one letter of an option, exactly one option's text, or both in agreement; ``Answer: A or B``,
``Answer: not A`` and ``Answer: A, no, B`` are unparsed, and so is a text that names an option in passing.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from equiray.data.cases.asking import LETTERS, Question

Outcome: TypeAlias = Literal["answered", "unparsed", "refused"]

ANSWER_LINE = re.compile(
    r"^[\s>#*_\-`~•]*"
    r"(?:(?:so|thus|hence|therefore|finally|in conclusion)\b[\s,:]*)?"
    r"(?:(?:the|my|our)\s+)?(?:(?:final|correct|best|right|most likely)\s+)?(?:answer|choice)"
    r"[\s*_`]*(?:(?P<colon>:|=|\bis\s*:)|\bis\b)[\s*_`]*(?P<said>.*)$",
    re.IGNORECASE,
)
BOXED = re.compile(r"^\$*\\boxed\{(?:\\text\{)?(?P<said>[^{}]*)\}*\$*\.?$")
_LETTER = re.compile(
    r"^(?:(?:option|choice)\s+)?"
    r"(?:\((?P<round>[A-Za-z])\)|\[(?P<square>[A-Za-z])\]|(?P<bare>[A-Za-z])(?=[.:,)]|\s+[-–—(]|\s*$))"
    r"[.:,)\s–—-]*(?P<rest>.*)$"
)
MARKS = "*_`\"'“”‘’«»$ \t"
# Only what declines the task: "I cannot tell who it was" is an answer in words, not a refusal.
_REFUSAL = re.compile(
    r"\b(?:I(?:'m| am)\s+(?:very |really |so )?sorry\b.{0,20}\b(?:but|I)\b"
    r"|I\s*(?:can(?:no|')t|can not|won't|will not|am (?:not able|unable)|'m (?:not able|unable))\s+(?:to\s+)?"
    r"(?:help|assist|comply|provide|engage|participate|fulfil+|do that|answer (?:this|that|such|your))"
    r"|I\s+(?:must\s+)?(?:decline|refuse)\b"
    r"|as an? (?:AI|language model)\b.{0,80}\b(?:can(?:no|')t|can not|unable|not able|won't))",
    re.IGNORECASE | re.DOTALL,
)
_REFUSAL_WITHIN = 300  # characters from the start: a chain that reasons first and quotes such words later is no refusal


@dataclass(frozen=True, kw_only=True)
class ReadChain:
    """What a chain says.

    Attributes
    ----------
    outcome : {"answered", "unparsed", "refused"}
    answer : int or None
        Place in `Case.options`; None unless answered.
    steps : tuple of str
        The text between separators, in order; without text there is none.
    """

    outcome: Outcome
    answer: int | None
    steps: tuple[str, ...]


def read_chain(
    text: str,
    question: Question,
    *,
    separator: str = "\n\n",
    keep_answer_line: bool = False,
    declined: bool = False,
) -> ReadChain:
    """Read a completion of a question.

    Parameters
    ----------
    text : str
    question : Question
        As it was asked: letters belong to the order shown.
    separator : str
        Between steps; blanks at the ends of lines do not count, so that the default is a blank line.
    keep_answer_line : bool
        Whether lines that state an answer stay in the steps. A reward model that sees them reads the answer.
    declined : bool
        The engine or its filter declined (`Completion.finish` is ``refusal``).
    """
    lines = unicodedata.normalize("NFKC", text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    stated = _statements(lines, question.options)
    cut = set() if keep_answer_line else {place for each in stated for place in each.cut}
    steps = steps_of([line for place, line in enumerate(lines) if place not in cut], separator)
    if declined:
        return ReadChain(outcome="refused", answer=None, steps=steps)
    shown = stated[-1].option if stated else None
    if shown is not None:
        return ReadChain(outcome="answered", answer=question.order[shown], steps=steps)
    refused = declines("\n".join(lines))
    return ReadChain(outcome="refused" if refused else "unparsed", answer=None, steps=steps)


def read_chain_or_answer(text: str, question: Question, *, separator: str, declined: bool) -> tuple[ReadChain, bool]:
    """A chain without its line that answers; where it says nothing else, that line is its one step (then also True)."""
    read = read_chain(text, question, separator=separator, declined=declined)
    if read.steps or read.outcome != "answered":
        return read, False
    return read_chain(text, question, separator=separator, keep_answer_line=True), True


def declines(text: str) -> bool:
    """Whether a text begins by saying that its writer will not do what was asked."""
    return _REFUSAL.search(text[:_REFUSAL_WITHIN].replace("’", "'")) is not None


class _Statement(NamedTuple):
    """A line that says that it is the answer: the option shown that it means, and the lines that give it away."""

    option: int | None
    cut: tuple[int, ...]


def _statements(lines: list[str], options: tuple[str, ...]) -> list[_Statement]:
    """In order; of a text of a single line, that line."""
    spoken = [place for place, line in enumerate(lines) if line.strip()]
    found = []
    for place in spoken:
        match = ANSWER_LINE.match(lines[place])
        if match is None:
            continue
        following = next((after for after in spoken if after > place), None)
        if not match["said"].strip(MARKS) and following is not None:  # the colon ends its line
            option = _option(lines[following], options)
            found.append(_Statement(option, (place,) if option is None else (place, following)))
            continue
        option = _option(match["said"], options)
        # "The answer is not in the text" is a step like others, and still no answer.
        found.append(_Statement(option, (place,) if match["colon"] or option is not None else ()))
    if not found and len(spoken) == 1:
        option = _option(lines[spoken[0]], options)
        return [] if option is None else [_Statement(option, (spoken[0],))]
    return found


def _option(said: str, options: tuple[str, ...]) -> int | None:
    """The one option shown that is meant by exactly these words, if there is one."""
    boxed = BOXED.match(said.strip())
    said = (boxed["said"] if boxed else said).strip(MARKS)
    by_text = [place for place, option in enumerate(options) if _words(option) and _words(option) == _words(said)]
    if len(by_text) == 1:
        return by_text[0]
    letter = _LETTER.match(said.replace("*", "").replace("`", ""))
    if letter is None or by_text:
        return None
    place = LETTERS.index((letter["round"] or letter["square"] or letter["bare"]).upper())
    if place >= len(options):
        return None
    rest = _words(letter["rest"])
    return place if not rest or rest == _words(options[place]) else None


def _words(text: str) -> tuple[str, ...]:
    """The words of an option, without the article before them and without marks."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    words = re.findall(r"[\w'+%$]+", plain)
    return tuple(words[1:] if len(words) > 1 and words[0] in ("the", "a", "an") else words)


def steps_of(lines: list[str], separator: str) -> tuple[str, ...]:
    """The text between separators, in order; blanks at the ends of lines do not count."""
    parts = "\n".join(line.rstrip() for line in lines).split(separator)
    return tuple(part.strip() for part in parts if part.strip())
