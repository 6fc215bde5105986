"""equiray's template sets in Spanish, French and Chinese: each language is one document, and another one is one more.

Sentences and words were written by a machine; no native speaker has read them yet. `TemplateSet.source` says it, and
so does the name under which a report shows the set (`reports.words`).
"""

import hashlib
import re
from collections.abc import Mapping
from importlib import resources

import yaml
from pydantic import ValidationError

from equiray.data.templates.own import templates_of
from equiray.data.templates.records import TemplateSet
from equiray.data.templates.words import WordsDocument, words_of
from equiray.errors import BadInput

FILES: Mapping[str, str] = {f"equiray_{code}": f"equiray_{code}.yaml" for code in ("es", "fr", "zh")}
MACHINE_WRITTEN = "machine-written, not yet read by a native speaker"


class _Document(WordsDocument):
    """One language: its words, its families, and the words that turn a stereotype round."""

    language: str
    denials: str
    families: dict[str, tuple[str, ...]]


def load(name: str) -> TemplateSet:
    """A set of `FILES`; `load_templates` is the public way to it."""
    text = resources.files("equiray.data.templates").joinpath(FILES[name]).read_text(encoding="utf-8")
    return parse(text, name=name, place=FILES[name])


def parse(text: str, *, name: str, place: str) -> TemplateSet:
    """The template set of a document.

    Raises
    ------
    BadInput
        The document or a sentence of it breaks a rule; names the key or the sentence.
    """
    try:
        document = _Document.model_validate(yaml.safe_load(text))
        denial = re.compile(document.denials, re.IGNORECASE)
    except (yaml.YAMLError, ValidationError, re.error) as error:
        raise BadInput(f"the language cannot be read: {error}", place=place, fix="mend the named key") from error
    words = words_of(document)
    return TemplateSet(
        name=name,
        templates=templates_of(document.families, denial, place=place),
        targets=words.targets,
        neutral=words.neutral,
        fillers=words.fillers,
        excluded=(),
        source=f"equiray package, {document.language}, {MACHINE_WRITTEN}",
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )
