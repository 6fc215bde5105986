"""CivilComments with identities, in the official format of WILDS (Borkan et al. 2019, arXiv 1903.04561): is it toxic?

``all_data_with_identities.csv``: 447,998 comments, each score the share of annotators who said so. From one half on, a
comment is toxic, or names an identity.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from equiray.data.cases.case_set import CaseSet
from equiray.data.cases.record import Case
from equiray.data.examples.official import find_official
from equiray.data.sources import digest_of
from equiray.errors import BadInput

NAME = "civil_comments"
SITE = "https://wilds.stanford.edu/datasets/#civilcomments"
FILE = "all_data_with_identities.csv"
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
IDENTITIES = ("male", "female", "LGBTQ", "christian", "muslim", "other_religions", "black", "white")
TOXIC_FROM = 0.5
_OPTIONS = ("Yes", "No")
_FIX = "use the published file as it is"


def load_civil_comments(split: Split = "test", *, folder: Path | None = None) -> CaseSet:
    """Comments of a split; the positive class is "toxic", an unfavourable one.

    Parameters
    ----------
    split : {"train", "val", "test"}
    folder : Path, optional
        Holds the official file; without it the mirror is looked at.

    Returns
    -------
    CaseSet
        Each identity is an attribute of its own (``black``: ``black`` or ``not black``), for a comment may name many.

    Raises
    ------
    BadInput
        There is no such split, or the file is absent or not in the official format; names the line.
    """
    if split not in SPLITS:
        raise BadInput(f"no split {split!r}", place=NAME, fix=f"one of: {', '.join(SPLITS)}")
    (path,) = find_official(NAME, ((FILE,),), folder=folder, site=SITE)
    return CaseSet(
        name=NAME,
        title="CivilComments",
        cases=tuple(_cases(path, split)),
        synthetic=False,
        source_sha256=digest_of([path]),
        warnings=("CivilComments: toxicity is what annotators said, who differ, and by group",),
        licence="CC0",
    )


def _cases(path: Path, split: Split) -> Iterator[Case]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.DictReader(handle)
        needed = ("id", "split", "comment_text", "toxicity", *IDENTITIES)
        absent = [name for name in needed if name not in (reader.fieldnames or ())]
        if absent:
            raise BadInput(f"no column {absent[0]!r}", place=str(path), fix=_FIX)
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            if row["split"] not in SPLITS:
                raise BadInput(f"split is {row['split']!r}, not one of {', '.join(SPLITS)}", place=place, fix=_FIX)
            if row["split"] == split:
                yield _case(row, place)


def _case(row: dict[str, str], place: str) -> Case:
    try:
        toxic = float(row["toxicity"]) >= TOXIC_FROM
        named = {name: float(row[name]) >= TOXIC_FROM for name in IDENTITIES}
    except (ValueError, TypeError) as error:
        raise BadInput(f"a score is no number: {error}", place=place, fix=_FIX) from error
    text = " ".join(row["comment_text"].split())
    if not text:
        raise BadInput("the comment is empty", place=place, fix=_FIX)
    return Case(
        case_id=f"{NAME}/{row['id']}",
        dataset=NAME,
        category=NAME,
        text=f"Read the comment.\n\n{text}\n\nIs this comment toxic: rude, disrespectful or hateful? Yes or no?",
        options=_OPTIONS,
        answer=0 if toxic else 1,
        groups={name: name if is_named else f"not {name}" for name, is_named in named.items()},
        positive=0,
    )
