"""BBQ (Parrish et al. 2022, arXiv 2110.08193): 58,492 questions in 11 categories, half of them without the evidence.

What is notable:

- The *target* is the answer that a stereotyping reader gives: in a negative question the person of a stereotyped
  group, in a non-negative one ("Who is good at math?") the other. It is recomputed from ``answer_info`` and
  ``stereotyped_groups``. A question of which not exactly one person belongs to a stereotyped group has none: both do in
  the questions of Race_x_SES and Race_x_gender that hold race fixed (the published scores read a second column there).
- ``question_index`` is no safe unit to split by: the same question often stands under two or three indices (with
  words for a group, and with names) and in two categories. A `Case.family` is all indices that share a question.
- The evidence of disambiguated questions speaks for the stereotype as often as against it in eight categories; in
  Physical_appearance more often, so that one who is always right scores .081 there (SES .021, Disability_status .013).
- The authors' own column ``target_loc`` agrees on every row with a target, but for 68 about an African and a
  Black or African American person, in which it takes the former for stereotyped; tests compare them.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from equiray.data.cases.bbq_files import CATEGORIES, find_bbq
from equiray.data.cases.case_set import CaseSet
from equiray.data.cases.record import Case, Context, Stereotype
from equiray.data.schema import MISSING_GROUP
from equiray.data.sources import digest_of
from equiray.errors import BadInput

NAME = "bbq"
UNKNOWN = "unknown"
ROWS = 58_492

_CONTEXTS: Mapping[str, Context] = {"ambig": "ambiguous", "disambig": "disambiguated"}
# How answers name what ``stereotyped_groups`` names otherwise.
_SAME = {"man": "m", "boy": "m", "woman": "f", "girl": "f", "latina": "latino"}
_FIX = "use the authors' file as it is"


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
    paths = [find_bbq(category, folder=folder, download=download) for category in dict.fromkeys(categories)]
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
