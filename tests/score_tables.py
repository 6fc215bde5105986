"""Rows with scores, and the tables that count them: SYNTHETIC, drawn from a seed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.frontiers import Rule, Split
from equiray.metrics.tables import GroupTable, Mass, ScoreCounts


class ScoredRows(NamedTuple):
    """Scores, 0/1 labels and group codes of N rows, [N] each, and the number of groups."""

    score: NDArray[np.float64]
    label: NDArray[np.int64]
    group: NDArray[np.int64]
    groups: int


def scored_rows(seed: int, n: int, groups: int, decimals: int = 12) -> ScoredRows:
    """Rows whose score knows something of the label, and a little of the group; fewer decimals make ties."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, n)
    label = (rng.random(n) < 0.3 + 0.3 * group / groups).astype(np.int64)
    latent = rng.normal(0, 1, n) + 1.2 * label + 0.4 * group / groups
    return ScoredRows(np.round(1 / (1 + np.exp(-latent)), decimals), label, group, groups)


def split_of(rows: ScoredRows, name: str, *, weights: NDArray | None = None, unscored: int = 0) -> Split:
    """The rows counted; `unscored` more rows of the first group have no score."""
    values, place = np.unique(rows.score, return_inverse=True)
    count = np.zeros((rows.groups, 2, len(values)), dtype=np.int64)
    np.add.at(count, (rows.group, rows.label, place), 1)
    weight = None
    if weights is not None:
        weight = np.zeros(count.shape)
        np.add.at(weight, (rows.group, rows.label, place), weights)
    cells = np.zeros((rows.groups, 2, 4), dtype=np.int64)
    cells[:, :, 0] = count.sum(-1)
    cells[0, 0, 2] = unscored
    table = GroupTable(
        attribute="sex",
        groups=tuple(f"group {g}" for g in range(rows.groups)),
        classes=("0", "1"),
        mass=Mass(cells),
        scores=ScoreCounts(values, True, count, weight),
    )
    return Split(name, table)


def decide(rows: ScoredRows, rule: Rule) -> NDArray[np.float64]:
    """The probability that each row is decided positively, row by row."""
    return np.array([_chance(score, rule[g]) for score, g in zip(rows.score, rows.group, strict=True)])


def _chance(score: float, steps: Sequence[tuple[float, float]]) -> float:
    return sum(probability for threshold, probability in steps if score >= threshold)
