"""MultiNLI 1.0 (Williams, Nangia, Bowman 2018, arXiv 1704.05426) in its official formats: does a premise entail?

The attribute is a negation in the hypothesis: crowd workers wrote contradictions by negating, so a classifier learns
"not" for "contradiction" and fails where a negated sentence follows or is open (arXiv 1911.08731).
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from equiray.data.examples.official import find_official, official_lines, unlike_official
from equiray.data.examples.record import Examples
from equiray.data.sources import digest_of
from equiray.data.splits import keyed_hash
from equiray.errors import BadInput

SITE = "https://cims.nyu.edu/~sbowman/multinli/"
CLASSES = ("contradiction", "entailment", "neutral")
UNDECIDED = "-"
TRAIN_ROWS, DEV_ROWS = 392_702, 10_000
WITH, WITHOUT = "negation", "no negation"
# not, n't and never as the Penn Treebank splits words: "cannot" is "can not"; "nothing" and "notice" are none
_NEGATION = re.compile(r"\b(?:can)?not\b|n['\u2019]t\b|\bnever\b", re.IGNORECASE)
_VALIDATION_PROMPTS = 20  # one in so many
_FIELDS = ("gold_label", "sentence1", "sentence2", "promptID")
_FIX = "use the authors' file as it is"


class _Pair(NamedTuple):
    gold: str
    premise: str
    hypothesis: str
    prompt: str


def load_multinli(seed: int, *, folder: Path | None = None) -> Examples:
    """Sentence pairs of MultiNLI, three classes.

    The official test labels are not published: `dev_matched` is the test split, and validation is every pair of about
    one training premise in 20, so that no premise stands on both sides.

    Parameters
    ----------
    seed : int
        Decides which premises are validation.
    folder : Path, optional
        Holds ``multinli_1.0_train`` and ``multinli_1.0_dev_matched``, as ``.jsonl`` or ``.txt``; without it the mirror
        is looked at.

    Returns
    -------
    examples : Examples
        A text is ``Hypothesis: ... Premise: ...``: a budget of tokens cuts the premise, never the whole hypothesis.
        `row_id` counts through the training file and on through the other.

    Raises
    ------
    BadInput
        A file is absent or not in the official format; names the line.
    """
    train, dev = find_official("multinli", (_forms("train"), _forms("dev_matched")), folder=folder, site=SITE)
    pairs = [_read(train), _read(dev)]
    every = pairs[0] + pairs[1]
    kept = np.array([row for row, pair in enumerate(every) if pair.gold != UNDECIDED], dtype=np.int64)
    split = np.concatenate([_train_or_validation(pairs[0], seed), np.full(len(pairs[1]), "test")])
    undecided = Counter(split[[pair.gold == UNDECIDED for pair in every]].tolist())
    said = [f"{count:,} {name} pairs without a majority label were left out" for name, count in undecided.items()]
    negated = [WITH if _NEGATION.search(every[row].hypothesis) else WITHOUT for row in kept]
    return Examples(
        name="multinli",
        title="MultiNLI, matched",
        row_id=kept,
        inputs=[f"Hypothesis: {every[row].hypothesis} Premise: {every[row].premise}" for row in kept],
        label=np.array([CLASSES.index(every[row].gold) for row in kept], dtype=np.int8),
        classes=CLASSES,
        attributes={"negation": np.array(negated, dtype=np.str_)},
        split=split[kept],
        synthetic=False,
        source_sha256=digest_of([train, dev]),
        warnings=(
            *said,
            *unlike_official(train, len(pairs[0]), TRAIN_ROWS),
            *unlike_official(dev, len(pairs[1]), DEV_ROWS),
        ),
    )


def _forms(part: str) -> tuple[str, ...]:
    return (f"multinli_1.0_{part}.jsonl", f"multinli_1.0_{part}.txt")


def _train_or_validation(pairs: list[_Pair], seed: int) -> np.ndarray:
    """A premise goes where the keyed hash of its first row sends it."""
    first: dict[str, int] = {}
    firsts = np.array([first.setdefault(pair.prompt, row) for row, pair in enumerate(pairs)], dtype=np.int64)
    chosen = keyed_hash(firsts, seed, "multinli validation") % np.uint64(_VALIDATION_PROMPTS) == 0
    return np.where(chosen, "validation", "train")


def _read(path: Path) -> list[_Pair]:
    rows = _jsonl(path) if path.suffix == ".jsonl" else _tab_separated(path)
    pairs = []
    for number, pair in rows:
        if pair.gold not in (*CLASSES, UNDECIDED):
            problem = f"gold_label is {pair.gold!r:.40}, not one of {', '.join(CLASSES)} or {UNDECIDED}"
            raise BadInput(problem, place=f"{path}, line {number}", fix=_FIX)
        if not pair.hypothesis.strip():
            raise BadInput("the hypothesis (sentence2) is empty", place=f"{path}, line {number}", fix=_FIX)
        pairs.append(pair)
    if not pairs:
        raise BadInput("the file holds no pairs", place=str(path), fix=_FIX)
    return pairs


def _jsonl(path: Path) -> Iterator[tuple[int, _Pair]]:
    for number, line in _lines(path):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise BadInput(f"no JSON: {error}", place=f"{path}, line {number}", fix=_FIX) from error
        absent = [f for f in _FIELDS if not isinstance(row, dict) or not isinstance(row.get(f), str)]
        if absent:
            raise BadInput(f"no text under {absent[0]!r}", place=f"{path}, line {number}", fix=_FIX)
        yield number, _Pair(*(row[field] for field in _FIELDS))


def _tab_separated(path: Path) -> Iterator[tuple[int, _Pair]]:
    """Cells are not quoted; a line may leave out the last annotators' labels, and no other cell."""
    lines = _lines(path)
    header = next(lines, (1, ""))[1].split("\t")
    absent = [field for field in _FIELDS if field not in header]
    if absent:
        raise BadInput(f"the header lacks {absent[0]!r}", place=f"{path}, line 1", fix=_FIX)
    places = [header.index(field) for field in _FIELDS]
    for number, line in lines:
        cells = line.split("\t")
        if not max(places) < len(cells) <= len(header):
            problem = f"{len(cells)} cells where the header has {len(header)}: {line!r:.60}"
            raise BadInput(problem, place=f"{path}, line {number}", fix=_FIX)
        yield number, _Pair(*(cells[place] for place in places))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in official_lines(path):
        if line.strip():
            yield number, line.rstrip("\r\n")
