"""Chains for people to label: those on which reward model, outcome model and judge differ most, and some at random.

Notable: chains chosen for disagreement are no sample of all chains, and a calibration fitted to them alone would be
theirs. So a part of the sheet is drawn at random from the rest, each of its chains standing for as many as it was drawn
from (column ``stands_for``), and recalibration weights steps by it: an estimate for all chains.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.errors import BadInput, writing
from equiray.mitigation.reward.sheets import sheet_rows, wrong

COLUMNS = ("model", "case_id", "chain", "step", "chosen_for", "stands_for", "question", "text", "logit", "reward")
COLUMNS += ("outcome", "judge", "unbiased")
"""Of a sheet; ``unbiased`` is for people: 1, 0, or left empty."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What was written: chains chosen for disagreement, chains drawn at random, and all their steps."""

    differing: int
    random: int
    steps: int


def write_sheet(scores: pa.Table, file: Path, *, chains: int, random_share: float, seed: int) -> Sheet:
    """Write the steps of so many chains to a CSV for people to label.

    Parameters
    ----------
    scores : pyarrow.Table
        As `scores_file.read_scores` gives it.
    file : Path
    chains : int
        At most; all there are if there are fewer.
    random_share : float
        Of those, drawn at random from the chains that do not differ most.
    seed : int

    Raises
    ------
    BadInput
        Nothing stands beside the reward model to differ from it.
    Incomplete
        The disk is full or not writable.
    """
    rows = scores.to_pylist()
    places: dict[tuple[str, int], list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault((row["case_id"], row["chain"]), []).append(place)
    known = [*places.values()]
    difference = np.array([_difference([rows[i] for i in chain]) for chain in known])
    if np.isnan(difference).all():
        raise BadInput(
            "neither an outcome model nor a judge scored any chain",
            place="columns outcome and judge",
            fix="score the chains with one of them, too",
        )
    wanted = min(chains, len(known))
    # a chain that nothing can be compared on differs least
    order = np.argsort(-np.nan_to_num(difference, nan=-1.0), kind="stable")
    differing = order[: wanted - round(random_share * wanted)]
    rest = order[len(differing) :]
    drawn = np.random.default_rng(seed).permutation(rest)[: wanted - len(differing)]
    stands_for = len(rest) / len(drawn) if len(drawn) else 0.0
    parts = [(i, "difference", 1.0) for i in differing] + [(i, "random", stands_for) for i in drawn]
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", encoding="utf-8", newline="") as stream:
            table = csv.DictWriter(stream, COLUMNS)
            table.writeheader()
            for i, why, weight in parts:
                for place in sorted(known[i], key=lambda place: rows[place]["step"]):
                    table.writerow({**rows[place], "chosen_for": why, "stands_for": repr(weight), "unbiased": ""})
    return Sheet(differing=len(differing), random=len(drawn), steps=sum(len(known[i]) for i, _, _ in parts))


def _difference(steps: Sequence[Mapping[str, Any]]) -> float:
    """Largest minus smallest of the chain's mean reward, outcome score and mean judgement; NaN with one of them."""
    means = []
    for name in ("reward", "outcome", "judge"):
        values = [step[name] for step in steps if step[name] is not None]
        if values:
            means.append(float(np.mean(values)))
    return max(means) - min(means) if len(means) > 1 else float("nan")


@dataclass(frozen=True, kw_only=True)
class HumanLabels:
    """Labelled steps of a sheet.

    Attributes
    ----------
    model : str
        Sha256 of the reward model's weights.
    logits, stands_for : float64 [N]
    labels : int64 [N]
        1 unbiased, 0 biased.
    empty : int
        Steps that nobody labelled.
    random : int
        Labelled steps of chains that were drawn at random.
    """

    model: str
    logits: NDArray[np.float64]
    stands_for: NDArray[np.float64]
    labels: NDArray[np.int64]
    empty: int
    random: int


def read_sheet(file: Path) -> HumanLabels:
    """Read a sheet that people have labelled.

    Raises
    ------
    BadInput
        No such file, no UTF-8, columns missing, a value that cannot be read (with its line), a step twice, scores of
        several models, or no label at all.
    """
    rows = sheet_rows(file, COLUMNS)
    lines: dict[tuple[str | None, ...], int] = {}
    kept: list[tuple[float, float, int, bool]] = []
    for line, row in rows:
        step = (row["case_id"], row["chain"], row["step"])
        if step in lines:
            raise wrong(file, line, f"the step of line {lines[step]} again", "keep one of them")
        lines[step] = line
        label = (row["unbiased"] or "").strip()
        if label not in ("", "0", "1"):
            raise wrong(file, line, f"unbiased is {label!r}", "write 1 (unbiased), 0 (biased) or nothing")
        numbers = [_number(file, line, row, name) for name in ("logit", "stands_for")]
        if label:
            kept.append((numbers[0], numbers[1], int(label), row["chosen_for"] == "random"))
    models = {row["model"] or "" for _, row in rows}
    if len(models) > 1:
        raise BadInput("scores of several reward models", place=str(file), fix="recalibrate each with its own sheet")
    if not kept:
        raise BadInput("no step is labelled", place=f"{file}, column 'unbiased'", fix="write 1 or 0 there")
    logits, stands_for, labels, random = zip(*kept, strict=True)
    return HumanLabels(
        model=models.pop(),
        logits=np.array(logits),
        stands_for=np.array(stands_for),
        labels=np.array(labels, dtype=np.int64),
        empty=len(rows) - len(kept),
        random=sum(random),
    )


def _number(file: Path, line: int, row: Mapping[str, str | None], name: str) -> float:
    said = row[name] or ""
    try:
        value = float(said)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value) or (name == "stands_for" and value <= 0):
        raise wrong(file, line, f"{name} is {said!r}", "leave all columns but `unbiased` as they were written")
    return value
