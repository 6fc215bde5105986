"""equiray's own template set: 200 sentences in 50 families, embedded in the package."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from equiray.data.templates.records import MASK, TARGET, Template, TemplateSet
from equiray.data.templates.words import load_words
from equiray.errors import BadInput

NAME, FILE = "equiray", "equiray_families.yaml"
# A denial before [MASK] would turn the stereotype round.
DENIAL = re.compile(r"\b(not|never|no|nobody|nothing|none|neither|nor|hardly|rarely|seldom|without)\b|n't\b", re.I)


class _Families(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    families: dict[str, tuple[str, ...]]


def load() -> TemplateSet:
    """The embedded set `equiray`; `load_templates` is the public way to it."""
    text = resources.files("equiray.data.templates").joinpath(FILE).read_text(encoding="utf-8")
    words = load_words()
    return TemplateSet(
        name=NAME,
        templates=parse_families(text, place=FILE),
        targets=words.targets,
        neutral=words.neutral,
        fillers=words.fillers,
        excluded=(),
        source="equiray package",
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def parse_families(text: str, *, place: str) -> tuple[Template, ...]:
    """Templates of a families document, each checked against the rules at its head.

    Raises
    ------
    BadInput
        A sentence breaks a rule; names the sentence and the rule.
    """
    try:
        families = _Families.model_validate(yaml.safe_load(text)).families
    except (yaml.YAMLError, ValidationError) as error:
        raise BadInput(f"families cannot be read: {error}", place=place, fix="mend the named key") from error
    return templates_of(families, DENIAL, place=place)


def templates_of(families: Mapping[str, Sequence[str]], denial: re.Pattern[str], *, place: str) -> tuple[Template, ...]:
    """Templates of families; `denial` is what must not stand before [MASK].

    Raises
    ------
    BadInput
        A sentence breaks a rule; names the sentence and the rule.
    """
    templates = []
    seen: dict[str, str] = {}
    for family, sentences in families.items():
        for number, sentence in enumerate(sentences):
            template = Template(id=f"{family}/{number}", family=family, text=sentence)
            problem = _broken_rule(template, denial, seen)
            if problem:
                raise BadInput(f"{problem}: {sentence!r}", place=f"{place}, family {family}", fix="reword the sentence")
            templates.append(template)
    return tuple(templates)


def _broken_rule(template: Template, denial: re.Pattern[str], seen: dict[str, str]) -> str | None:
    text, before = template.text, template.before_mask
    if text.count(TARGET) != 1 or text.count(MASK) != 1 or TARGET not in before:
        return f"needs one {TARGET} and one {MASK} after it"
    if denial.search(before):
        return f"a denial before {MASK}"
    # A left-to-right model cannot tell two sentences apart whose beginnings are equal.
    twin = seen.setdefault(before.casefold(), template.id)
    return None if twin == template.id else f"the text before {MASK} is that of {twin}"
