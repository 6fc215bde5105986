"""CelebA (Liu, Luo, Wang, Tang 2015, arXiv 1411.7766) in its official format: faces with 40 yes/no attributes.

As in the literature on worst groups, the label is ``Blond_Hair`` and the attribute ``Male``: of 162,770 training
pictures 1,387 show blond men. The pictures are for non-commercial research only.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equiray.data.examples.official import find_official, official_lines, unlike_official
from equiray.data.examples.record import Examples
from equiray.data.schema import SPLITS
from equiray.data.sources import digest_of
from equiray.errors import BadInput

SITE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
ROWS = 202_599
WARNING = (
    "CelebA: attributes are what annotators saw in a picture, not what the people say of themselves; for"
    " non-commercial research only"
)
_ATTRIBUTES = ("list_attr_celeba.txt", "Anno/list_attr_celeba.txt")
_PARTITION = ("list_eval_partition.txt", "Eval/list_eval_partition.txt")
_PICTURES = ("img_align_celeba", "Img/img_align_celeba")
_FIX = "use the authors' file as it is"


def load_celeba(
    *, folder: Path | None = None, label: str = "Blond_Hair", attributes: Sequence[str] = ("Male",)
) -> Examples:
    """Picture paths of CelebA with a label and attributes, in the official split.

    Parameters
    ----------
    folder : Path, optional
        Holds ``list_attr_celeba.txt``, ``list_eval_partition.txt`` and ``img_align_celeba``, side by side or in the
        official ``Anno``, ``Eval`` and ``Img``; without it the mirror is looked at.
    label : str
        The attribute to be learned: class 1 is named like it.
    attributes : sequence of str
        Groups of ``Male`` are ``Male`` and ``not Male``.

    Returns
    -------
    examples : Examples
        `row_id` is the place in the attribute file; `source_sha256` that of both lists, not of the pictures.

    Raises
    ------
    BadInput
        A file is absent or not in the official format (names the line), the two lists name different pictures, an
        attribute is unknown, or a picture is not in the folder.
    """
    lists_and_pictures = find_official("celeba", (_ATTRIBUTES, _PARTITION, _PICTURES), folder=folder, site=SITE)
    attribute_file, partition_file, pictures = lists_and_pictures
    names, columns = _read_attributes(attribute_file, (label, *attributes))
    split = _read_partition(partition_file, names)
    there = set(os.listdir(pictures))  # noqa: PTH208, a Path for each of 200,000 names costs seconds
    absent = next((name for name in names if name not in there), None)
    if absent is not None:
        fix = f"unpack img_align_celeba.zip there; it is published at {SITE}"
        raise BadInput(f"{attribute_file.name} lists {absent}, which is not there", place=str(pictures), fix=fix)
    return Examples(
        name="celeba",
        title=f"CelebA, {label}",
        row_id=np.arange(len(names)),
        inputs=[pictures / name for name in names],
        label=columns[:, 0].astype(np.int8),
        classes=(f"not {label}", label),
        attributes={a: np.where(columns[:, 1 + i], a, f"not {a}") for i, a in enumerate(attributes)},
        split=split,
        synthetic=False,
        source_sha256=digest_of([attribute_file, partition_file]),
        warnings=(WARNING, *unlike_official(attribute_file, len(names), ROWS)),
    )


def _read_attributes(path: Path, wanted: Sequence[str]) -> tuple[list[str], NDArray[np.bool_]]:
    """Pictures' names, and whether each has each wanted attribute, bool [rows, wanted]."""
    first, header, *lines = _lines(path, at_least=3)
    known = header.split()
    for name in wanted:
        if name not in known:
            fix = f"known: {', '.join(known[:40])}"
            raise BadInput(f"there is no attribute {name!r}", place=f"{path}, line 2", fix=fix)
    if not first.strip().isdecimal() or int(first) != len(lines):
        raise BadInput(f"line 1 counts {first.strip()!r:.40} rows, {len(lines)} follow", place=str(path), fix=_FIX)
    places = [1 + known.index(name) for name in wanted]
    names, values = [], np.empty((len(lines), len(wanted)), dtype=np.bool_)
    for row, line in enumerate(lines):
        cells = line.split()
        if len(cells) != 1 + len(known):
            problem = f"{len(cells)} cells where a picture and {len(known)} attributes are due: {line!r:.60}"
            raise BadInput(problem, place=f"{path}, line {row + 3}", fix=_FIX)
        for column, place in enumerate(places):
            if cells[place] not in ("1", "-1"):
                problem = f"{wanted[column]} is {cells[place]!r:.40}, not 1 or -1"
                raise BadInput(problem, place=f"{path}, line {row + 3}", fix=_FIX)
            values[row, column] = cells[place] == "1"
        names.append(cells[0])
    return names, values


def _read_partition(path: Path, names: list[str]) -> NDArray[np.str_]:
    """The split of each picture: 0 train, 1 validation, 2 test."""
    lines = _lines(path, at_least=1)
    if len(lines) != len(names):
        raise BadInput(f"{len(lines)} pictures, the attribute file lists {len(names)}", place=str(path), fix=_FIX)
    codes = np.empty(len(names), dtype=np.int64)
    for row, (line, name) in enumerate(zip(lines, names, strict=True)):
        cells = line.split()
        if len(cells) != 2 or cells[0] != name or cells[1] not in ("0", "1", "2"):
            problem = f"{line!r:.60} where {name!r} and 0, 1 or 2 are due"
            raise BadInput(problem, place=f"{path}, line {row + 1}", fix=_FIX)
        codes[row] = int(cells[1])
    return np.array(SPLITS)[codes]


def _lines(path: Path, *, at_least: int) -> list[str]:
    lines = [line.rstrip() for _, line in official_lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) < at_least:
        raise BadInput("the file is empty or was cut short", place=str(path), fix=_FIX)
    return lines
