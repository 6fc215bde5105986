"""Batches of rows of about one length: little padding, and for training still in random order."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
_POOL_BATCHES = 32


def sorted_batches(lengths: Rows, size: int) -> Iterator[Rows]:
    """All rows, longest first, so that the first batch needs the most memory."""
    order = np.argsort(-lengths, kind="stable")
    for first in range(0, len(order), size):
        yield order[first : first + size]


def shuffled_batches(lengths: Rows, size: int, random: np.random.Generator) -> list[Rows]:
    """All rows once, in batches of `size` (the last one drawn may be smaller).

    Rows are shuffled, cut into pools of some batches, sorted by length within a pool, and the batches are shuffled.
    """
    order = random.permutation(len(lengths))
    batches: list[Rows] = []
    for first in range(0, len(order), size * _POOL_BATCHES):
        pool = order[first : first + size * _POOL_BATCHES]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[i : i + size] for i in range(0, len(pool), size)]
    return [batches[i] for i in random.permutation(len(batches))]
