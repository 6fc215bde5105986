r"""Questions that were not asked from a case: the options that their text lists, and answers in words of one's own.

Two answers in words are the same if they are so once case, an article before them and marks around them are taken
away. Nothing is guessed beyond that: "42" and "forty-two" are two answers, and so are "-4" and "4".
"""

import re
import unicodedata
from dataclasses import dataclass

from equiray.data.cases.asking import LETTERS
from equiray.data.cases.chain_text import ANSWER_LINE, BOXED, MARKS, Outcome, declines, steps_of

_LISTED = re.compile(r"\(?(?P<letter>[A-Z])[.):]\s+(?P<option>.+)")
_AROUND = MARKS + ".,;:!()[]\n"
_ARTICLE = re.compile(r"^(?:the|a|an)\s+(?=\S)")


@dataclass(frozen=True, kw_only=True)
class FreeChain:
    """A chain about a question without options.

    Attributes
    ----------
    outcome : {"answered", "unparsed", "refused"}
    said : str or None
        The answer as it was written; None unless answered.
    steps : tuple of str
        Without the line that states the answer, unless it is all there is.
    """

    outcome: Outcome
    said: str | None
    steps: tuple[str, ...]


def listed_options(text: str) -> tuple[str, ...] | None:
    """The options that a question lists, in the order shown: its last lines ``A. ...``, ``B. ...`` and so on.

    None where there are no two such lines one after the other, or two options read alike.
    """
    found: list[str] = []
    last: tuple[str, ...] | None = None
    for line in [*text.splitlines(), ""]:
        match = _LISTED.fullmatch(line.strip())
        if match is not None and match["letter"] == LETTERS[min(len(found), 25)]:
            found.append(match["option"])
            continue
        if len(found) > 1:
            last = tuple(found)
        found = [match["option"]] if match is not None and match["letter"] == LETTERS[0] else []
    return last if last is not None and len({same_answer(option) for option in last}) == len(last) else None


def read_free_chain(text: str, *, separator: str, declined: bool = False) -> FreeChain:
    """Read a completion of a question without options.

    The answer is what the last line that says that it is the answer says (``Answer: Paris``, ``The answer is 42.``; the
    line below where the colon ends its line); of a text of a single line, that line.

    Parameters
    ----------
    text : str
    separator : str
        Between steps.
    declined : bool
        The engine or its filter declined.
    """
    lines = unicodedata.normalize("NFKC", text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    said, cut = _stated(lines)
    steps = steps_of([line for place, line in enumerate(lines) if place not in cut], separator)
    if not steps:
        steps = steps_of(lines, separator)
    if declined or (said is None and declines("\n".join(lines))) or (said is not None and declines(said)):
        return FreeChain(outcome="refused", said=None, steps=steps)
    return FreeChain(outcome="unparsed" if said is None else "answered", said=said, steps=steps)


def same_answer(said: str) -> str:
    """What two answers in other words, other case or with other marks around them have in common."""
    plain = " ".join(unicodedata.normalize("NFKC", said).casefold().split()).strip(_AROUND)
    return _ARTICLE.sub("", plain)


def _stated(lines: list[str]) -> tuple[str | None, set[int]]:
    """The last answer that is stated, and the lines that state one."""
    spoken = [place for place, line in enumerate(lines) if line.strip()]
    if len(spoken) == 1 and ANSWER_LINE.match(lines[spoken[0]]) is None:
        return (lines[spoken[0]].strip() if same_answer(lines[spoken[0]]) else None), set()
    said, cut = None, set()
    for place in spoken:
        match = ANSWER_LINE.match(lines[place])
        if match is None:
            continue
        following = next((after for after in spoken if after > place), None)
        below = not match["said"].strip(MARKS) and following is not None
        words = _plain(lines[following] if below and following is not None else match["said"])
        if same_answer(words):
            said = words
            cut |= {place, following} if below and following is not None else {place}
    return said, cut


def _plain(said: str) -> str:
    boxed = BOXED.match(said.strip())
    return (boxed["said"] if boxed else said).strip(MARKS)
