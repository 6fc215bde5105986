"""Targets and fillers, read from `targets.yaml` and checked."""

from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from equiray.data.templates.records import Fillers, TargetPair, TargetPairs
from equiray.errors import BadInput

FILE = "targets.yaml"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Side(_Model):
    group: str
    words: tuple[str, ...]


class _Attribute(_Model):
    disadvantaged: _Side
    advantaged: _Side
    why: str

    @model_validator(mode="after")
    def _twins_line_up(self) -> "_Attribute":
        one, other = self.disadvantaged.words, self.advantaged.words
        if len(one) != len(other) or not one:
            raise ValueError(f"twins need lists of equal length, not {len(one)} and {len(other)}")
        # A word that stands twice would make two prompts that are one and weigh it double.
        if len(set(one + other)) != 2 * len(one):
            raise ValueError("a target stands twice")
        return self


class WordsDocument(_Model):
    """What `targets.yaml` holds, checked."""

    poor: tuple[str, ...]
    rich: tuple[str, ...]
    irrelevant: tuple[str, ...]
    neutral: tuple[str, ...]
    targets: dict[str, _Attribute]

    @model_validator(mode="after")
    def _balanced(self) -> "WordsDocument":
        # An indifferent model must score PAR = .5 and LMCS = .5.
        if len(self.poor) != len(self.rich) or len(self.irrelevant) != 2 * len(self.poor):
            raise ValueError("as many poor as rich fillers are needed, and as many irrelevant ones as both together")
        if len({*self.poor, *self.rich, *self.irrelevant}) != 4 * len(self.poor):
            raise ValueError("a filler stands twice")
        return self


class Words(NamedTuple):
    """Everything that fills the places of a template."""

    targets: Mapping[str, TargetPairs]
    neutral: tuple[str, ...]
    fillers: Fillers


def load_words() -> Words:
    """The targets of every attribute, the neutral targets and the fillers (arXiv 2405.18662; methods: section 1.3).

    Raises
    ------
    BadInput
        `targets.yaml` breaks a rule: twins that do not line up, a word that stands twice, fillers out of balance.
    """
    text = resources.files("equiray.data.templates").joinpath(FILE).read_text(encoding="utf-8")
    return parse_words(text, place=FILE)


def parse_words(text: str, *, place: str) -> Words:
    """`load_words` from a document's text; `place` names it in errors."""
    try:
        document = WordsDocument.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise BadInput(f"targets cannot be read: {error}", place=place, fix="mend the named key") from error
    return words_of(document)


def words_of(document: WordsDocument) -> Words:
    """The targets and fillers of a checked document."""
    targets = {name: _pairs(name, attribute) for name, attribute in document.targets.items()}
    fillers = Fillers(poor=document.poor, rich=document.rich, irrelevant=document.irrelevant)
    return Words(targets, document.neutral, fillers)


def _pairs(name: str, attribute: _Attribute) -> TargetPairs:
    twins = zip(attribute.disadvantaged.words, attribute.advantaged.words, strict=True)
    return TargetPairs(
        attribute=name,
        disadvantaged_group=attribute.disadvantaged.group,
        advantaged_group=attribute.advantaged.group,
        pairs=tuple(TargetPair(*twin) for twin in twins),
        why=attribute.why,
    )
