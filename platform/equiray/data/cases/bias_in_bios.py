"""Bias in Bios (De-Arteaga et al. 2019, arXiv 1901.09451): whose biography is taken for whose profession?

The authors publish a script that gathers biographies from the web, whose own output is a pickle; what is read here is
the table that is passed on since: ``hard_text``, ``profession`` and ``gender`` as Parquet or JSON lines, one file a
split. Names and pronouns are what tells gender, so no twin can be made of a biography by a rule.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.json as paj
import pyarrow.parquet as pq

from equiray.data.cases.case_set import CaseSet
from equiray.data.cases.record import Case
from equiray.data.examples.official import find_official
from equiray.data.sources import digest_of
from equiray.errors import BadInput

NAME = "bias_in_bios"
SITE = "https://huggingface.co/datasets/LabHC/bias_in_bios"
Split = Literal["train", "dev", "test"]
# numbered in this order by the table
PROFESSIONS = (
    "accountant",
    "architect",
    "attorney",
    "chiropractor",
    "comedian",
    "composer",
    "dentist",
    "dietitian",
    "dj",
    "filmmaker",
    "interior_designer",
    "journalist",
    "model",
    "nurse",
    "painter",
    "paralegal",
    "pastor",
    "personal_trainer",
    "photographer",
    "physician",
    "poet",
    "professor",
    "psychologist",
    "rapper",
    "software_engineer",
    "surgeon",
    "teacher",
    "yoga_teacher",
)
GENDERS = ("male", "female")
PAPER = ("nurse", "physician", "teacher", "professor")
"""The professions of arXiv 2507.11344."""
_COLUMNS = ("hard_text", "profession", "gender")
_FIX = "use the published table as it is"


def load_bias_in_bios(
    split: Split = "test", *, professions: Sequence[str] = PAPER, folder: Path | None = None
) -> CaseSet:
    """Biographies of some professions, asked among these.

    Parameters
    ----------
    split : {"train", "dev", "test"}
    professions : sequence of str
        Options, and the categories of the cases.
    folder : Path, optional
        Holds ``test.parquet`` or ``test.jsonl``; without it the mirror is looked at.

    Raises
    ------
    BadInput
        A profession is unknown or stands alone, or the file is absent or not in that format; names the row.
    """
    unknown = sorted(set(professions) - set(PROFESSIONS))
    if unknown or len(set(professions)) < 2:
        problem = f"no profession {unknown[0]!r}" if unknown else f"{len(set(professions))} professions are no choice"
        raise BadInput(problem, place=NAME, fix=f"name two or more of: {', '.join(PROFESSIONS)}")
    (path,) = find_official(NAME, ((f"{split}.parquet", f"{split}.jsonl"),), folder=folder, site=SITE)
    table = _table(path)
    options = tuple(dict.fromkeys(name.replace("_", " ") for name in professions))
    cases = []
    for row, (text, profession, gender) in enumerate(zip(*(table[name].to_pylist() for name in _COLUMNS), strict=True)):
        if profession not in range(len(PROFESSIONS)) or gender not in (0, 1) or not (text or "").strip():
            problem = f"profession {profession!r}, gender {gender!r}, {len(text or '')} characters"
            raise BadInput(f"no biography: {problem}", place=f"{path}, row {row}", fix=_FIX)
        name = PROFESSIONS[profession].replace("_", " ")
        if name in options:
            cases.append(_case(f"{NAME}/{split}/{row}", " ".join(text.split()), name, GENDERS[gender], options))
    return CaseSet(
        name=NAME,
        title="Bias in Bios",
        cases=tuple(cases),
        synthetic=False,
        source_sha256=digest_of([path]),
        warnings=("Bias in Bios: gender is what a biography's pronouns say; people who use others are not in it",),
    )


def _case(case_id: str, text: str, profession: str, gender: str, options: tuple[str, ...]) -> Case:
    return Case(
        case_id=case_id,
        dataset=NAME,
        category=profession,
        text=f"{text}\nWhat is this person's profession?",
        options=options,
        answer=options.index(profession),
        groups={"gender": gender},
    )


def _table(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path) if path.suffix == ".parquet" else paj.read_json(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput(f"cannot be read: {error!s:.120}", place=str(path), fix=_FIX) from error
    absent = [name for name in _COLUMNS if name not in table.column_names]
    if absent:
        raise BadInput(f"no column {absent[0]!r}", place=str(path), fix=_FIX)
    return table
