"""Splits over template families, and the golden match of PoorOrRich rows to their families.

Wordings of one sentence are near copies of each other, so rows are never split: a family lies in one part as a
whole, and every interval is clustered by family.
"""

import csv
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import numpy as np

from equiray.data.schema import SPLITS
from equiray.errors import BadInput

GOLDEN = "poor_or_rich_families.csv"
SIZES = (30, 8, 12)


class GoldenRow(NamedTuple):
    """One line of the golden file.

    `similarity` is the cosine of the inverse-frequency weighted content words of the row and of its family's base
    sentence, `runner_up` the largest one with any other base sentence. `basis` says what decided: ``main`` (the base
    sentence itself), ``words`` (the largest similarity, one row of each block of variants to a family), ``eye``
    (read by a person: another family's words are as near or nearer), ``generic`` (no content word: any family fits).
    """

    row: int
    family: str
    similarity: float
    runner_up: float
    basis: str


def golden_families() -> dict[str, GoldenRow]:
    """PoorOrRich sentence (first 16 hex digits of the sha256 of its text, blanks collapsed) -> its family.

    Texts that stand more than once in the source file keep their first row.
    """
    lines = resources.files("equiray.data.templates").joinpath(GOLDEN).read_text(encoding="utf-8").splitlines()
    golden: dict[str, GoldenRow] = {}
    for line in csv.DictReader(lines):
        row = GoldenRow(
            int(line["row"]), line["family"], float(line["similarity"]), float(line["runner_up"]), line["basis"]
        )
        golden.setdefault(line["text_sha256_16"], row)
    return golden


def text_key(text: str) -> str:
    """The key of a sentence in `golden_families`."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:16]


def split_families(
    families: Sequence[str], seed: int, sizes: tuple[int, int, int] = SIZES
) -> dict[str, tuple[str, ...]]:
    """Deal whole families into train, validation and test.

    Parameters
    ----------
    families : sequence of str
    seed : int
    sizes : (train, validation, test)
        Exact where they add up to the number of families, proportions otherwise (largest remainders, at least one
        family each).

    Returns
    -------
    dict
        ``train``, ``validation``, ``test``; together every family once, each part in the order of `families`.

    Raises
    ------
    BadInput
        Fewer than three families, or one named twice.
    """
    _check_distinct(families, at_least=3)
    train, validation, _ = _proportional(len(families), sizes)
    order = np.random.default_rng(seed).permutation(len(families))
    parts = np.split(order, [train, train + validation])
    return {name: _in_order(families, part) for name, part in zip(SPLITS, parts, strict=True)}


def fold_families(families: Sequence[str], k: int, seed: int) -> list[dict[str, tuple[str, ...]]]:
    """Split k times, so that the test parts hold every family exactly once.

    Outside of its test part, each fold's families are dealt into train and validation as 30 to 8.

    Parameters
    ----------
    families : sequence of str
    k : int
        Number of folds, at least 2.
    seed : int

    Raises
    ------
    BadInput
        Fewer than two folds, or too few families for them.
    """
    if k < 2:
        raise BadInput(f"{k} folds cannot hold anything out", place="folds", fix="use 2 folds or more")
    _check_distinct(families, at_least=max(k, 4))
    order = np.random.default_rng(seed).permutation(len(families))
    folds = []
    for test in np.array_split(order, k):
        rest = order[~np.isin(order, test)]
        validation = max(1, round(len(rest) * SIZES[1] / (SIZES[0] + SIZES[1])))
        # The rest follows the test part round the circle, so that validation parts differ between folds.
        start = int(np.flatnonzero(order == test[-1])[0]) + 1 - len(test)
        rest = np.roll(rest, -start)
        parts = (rest[validation:], rest[:validation], test)
        folds.append({name: _in_order(families, part) for name, part in zip(SPLITS, parts, strict=True)})
    return folds


def _check_distinct(families: Sequence[str], *, at_least: int) -> None:
    if len(set(families)) != len(families):
        raise BadInput("a family is named twice", place="template families", fix="pass each family once")
    if len(families) < at_least:
        raise BadInput(
            f"{len(families)} template families are too few to split",
            place="template families",
            fix=f"use {at_least} families or more, or fewer folds",
        )


def _proportional(total: int, sizes: tuple[int, int, int]) -> list[int]:
    # One family each first, the rest by largest remainder: no part may be empty.
    exact = np.array(sizes) / sum(sizes) * total
    counts = np.maximum(np.floor(exact).astype(int), 1)
    while counts.sum() < total:
        counts[np.argmax(exact - counts)] += 1
    while counts.sum() > total:
        counts[np.argmax(counts - exact)] -= 1
    return counts.tolist()


def _in_order(families: Sequence[str], chosen: np.ndarray) -> tuple[str, ...]:
    return tuple(families[int(i)] for i in np.sort(chosen))
