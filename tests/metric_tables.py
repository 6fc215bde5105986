"""Tables of groups for tests of metrics: drawn at random, made from rows, turned back into rows for other libraries."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from equiray.metrics.tables import (
    CALIBRATION_BINS,
    UNANSWERED,
    GroupTable,
    Mass,
    ScoreCounts,
    ScoreSums,
    TargetSums,
)

U = len(UNANSWERED)


class Rows(NamedTuple):
    """Decided rows: group, label, prediction [N], ints from 0."""

    group: np.ndarray
    label: np.ndarray
    prediction: np.ndarray

    def of(self, group: int) -> tuple[np.ndarray, np.ndarray]:
        mine = self.group == group
        return self.label[mine], self.prediction[mine]


def masses(classes: int = 2, most: int = 4, groups: tuple[int, int] = (2, 5), least: int = 0):
    """Counts [G, K, K + 2]; with `least` 0 many groups are empty, tiny or of one class."""
    elements = st.integers(least, most) if least else st.sampled_from([0, 0, *range(1, most + 1)])
    shapes = st.integers(*groups).map(lambda g: (g, classes, classes + U))
    return shapes.flatmap(lambda shape: hnp.arrays(np.int64, shape, elements=elements))


def decided_rows(mass: np.ndarray) -> Rows:
    decided = mass[..., : mass.shape[-2]]
    return Rows(*np.repeat(np.indices(decided.shape).reshape(3, -1), decided.ravel(), axis=1))


def random_mass(seed: int, shape: tuple[int, ...], most: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, most, shape)


class Scored(NamedTuple):
    """Rows with a score: group, label (0/1) and weight [N]."""

    group: np.ndarray
    label: np.ndarray
    score: np.ndarray
    weight: np.ndarray | None = None


def random_scored(seed: int, n: int = 300, groups: int = 3, *, values: int | None = None, weighted=False) -> Scored:
    """Scores that know something of the label; with `values`, that many distinct ones at most, so that many tie."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 2, n)
    score = np.clip(0.3 * label + 0.7 * generator.random(n), 0, 0.999)
    if values:
        score = np.floor(score * values) / values
    weight = generator.random(n) + 0.1 if weighted else None
    return Scored(generator.integers(0, groups, n), label, score, weight)


def score_counts(rows: Scored, groups: int, grid: int | None = None) -> ScoreCounts:
    """Counts by distinct score, or by the bins of a grid of [0, 1]."""
    score = rows.score if grid is None else np.floor(rows.score * grid) / grid
    values, place = np.unique(score, return_inverse=True)
    count = np.zeros((groups, 2, len(values)), dtype=np.int64)
    np.add.at(count, (rows.group, rows.label, place), 1)
    if rows.weight is None:
        return ScoreCounts(values, grid is None, count)
    weight, squared = np.zeros((2, *count.shape))
    np.add.at(weight, (rows.group, rows.label, place), rows.weight)
    np.add.at(squared, (rows.group, rows.label, place), rows.weight**2)
    return ScoreCounts(values, grid is None, count, weight, squared)


def score_sums(rows: Scored, groups: int) -> ScoreSums:
    weight = np.ones(len(rows.score)) if rows.weight is None else rows.weight
    place = np.minimum((rows.score * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    sums = [np.zeros((groups, 2, CALIBRATION_BINS)) for _ in range(3)]
    for power, into in enumerate(sums):
        np.add.at(into, (rows.group, rows.label, place), weight * rows.score**power)
    return ScoreSums(*sums)


def target_sums(
    group: np.ndarray, target: np.ndarray, prediction: np.ndarray, groups: int, weight: np.ndarray | None = None
) -> TargetSums:
    error = prediction - target
    w = np.ones(len(target)) if weight is None else weight
    parts = (np.ones(len(w)), target, prediction, np.abs(error), error**2, prediction**2, error**4)
    parts += tuple(w * part for part in (parts[0], *parts[2:]))
    sums = (np.bincount(group, w * part, minlength=groups) for part in parts)
    return TargetSums(*sums, np.bincount(group, minlength=groups))


def table(counts: np.ndarray | None = None, groups: tuple[str, ...] = ("a", "b", "c"), **parts) -> GroupTable:
    """A table of `counts` [G, K, K + 2] alone, or of other parts by their names."""
    classes = tuple(str(k) for k in range(2 if counts is None else counts.shape[-2]))
    if counts is not None:
        parts.setdefault("mass", Mass(counts))
    return GroupTable(attribute="g", groups=groups, classes=classes, **parts)
