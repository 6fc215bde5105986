"""The same text about another group: words that name one group exchanged for those that name the other.

What a scorer says of both tells how it reacts to the words alone. Notable: the exchange goes both ways, so that "she
told him" becomes "he told her"; a text that holds no such word has no other version, and names of people stay as they
are. English only.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import yaml

from equiray.data.cases.open_ended import Source

_FILE = "group_terms.yaml"
_VOWELS = tuple("aeiou")


@dataclass(frozen=True, kw_only=True)
class GroupSwap:
    """Exchange of two groups' words.

    Attributes
    ----------
    words : mapping of str to (str, str)
        In lower case -> as it is listed, and what stands in its place.
    """

    words: Mapping[str, tuple[str, str]]

    def of(self, text: str) -> str | None:
        """The text about the other group, None where it names neither; case and articles follow."""
        if not self.words:
            return None
        swapped, count = _pattern(tuple(self.words)).subn(self._replaced, text)
        return swapped if count else None

    def _replaced(self, match: re.Match[str]) -> str:
        article, word = match["article"], match["word"]
        other = _like(word, *self.words[word.lower()])
        return f"{_fitting(article, other)} {other}" if article else other


def group_swap(source: Source, attribute: str, one: str, other: str) -> GroupSwap:
    """What turns texts about either of two groups into texts about the other; without words where none are listed."""
    words: dict[str, tuple[str, str]] = {}
    for first, second in _rows(source, attribute, one, other):
        if first and second and first.lower() != second.lower():
            words.setdefault(first.lower(), (first, second))
            words.setdefault(second.lower(), (second, first))
    return GroupSwap(words=words)


def _rows(source: Source, attribute: str, one: str, other: str) -> Sequence[tuple[str, str]]:
    if source == "holistic_bias":
        return [(one, other)]
    for listed in _listed():
        groups = listed["used_by"].get(f"{source}/{attribute}")
        if groups is not None and {one, other} <= set(groups):
            first, second = groups.index(one), groups.index(other)
            return [(row[first], row[second]) for row in listed["rows"]]
    return []


@lru_cache(maxsize=1)
def _listed() -> list[dict]:
    return yaml.safe_load(resources.files("equiray.data.cases").joinpath(_FILE).read_text(encoding="utf-8"))


@lru_cache(maxsize=1024)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?:\b(?P<article>an?) )?(?<!\w)(?P<word>{longest_first})(?!\w)", re.IGNORECASE)


def _like(word: str, listed: str, other: str) -> str:
    """`other` in the case of `word`, where that is not the case in which it is listed."""
    if word == listed:
        return other
    if word.isupper() and len(word) > 1:
        return other.upper()
    return other[:1].upper() + other[1:] if word[:1].isupper() else other.lower()


def _fitting(article: str, word: str) -> str:
    found = "an" if word.lower().startswith(_VOWELS) else "a"
    if article[0].islower():
        return found
    return found.upper() if word.isupper() else found.capitalize()
