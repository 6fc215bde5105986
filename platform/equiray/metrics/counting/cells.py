"""Columns of codes combined into one, so that one histogram counts all of their combinations."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.metrics.counting.encoding import Coded, smallest

_DENSE = 1 << 16  # so many combinations keep the key in two bytes and its histogram in cache


class Cells(NamedTuple):
    """The combinations of codes that occur, ascending.

    `codes` [N, columns] is what they stand for, `counts` [N] their rows. `key` [n] is each row's number of its cell
    among `size` conceivable ones, `used` [N] the numbers that occur.
    """

    key: NDArray[np.unsignedinteger]
    size: int
    used: NDArray[np.int64]
    codes: NDArray[np.int64]
    counts: NDArray[np.int64]

    def to_rows(self, values: NDArray) -> NDArray:
        """From values of the cells [N] to those of the rows [n]."""
        lookup = np.zeros(self.size, values.dtype)
        lookup[self.used] = values
        return lookup.take(self.key)


def combine(columns: Sequence[Coded]) -> Cells:
    """Cells of one or more columns."""
    key, codes = columns[0].codes, np.arange(len(columns[0].names))[:, None]
    for column in columns[1:]:
        key, codes = _cross(key, codes, column)
    count = np.bincount(key, minlength=len(codes))
    (used,) = np.nonzero(count)
    return Cells(key, len(codes), used, codes[used], count[used])


def _cross(
    key: NDArray[np.unsignedinteger], codes: NDArray[np.int64], column: Coded
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.int64]]:
    names = len(column.names)
    if len(codes) * names < _DENSE:
        kind = np.min_scalar_type(len(codes) * names)
        key = key.astype(kind) * kind.type(names) + column.codes.astype(kind, copy=False)
        left, right = np.divmod(np.arange(len(codes) * names), names)
    else:  # too many to give each a place: number those that occur
        wide = key.astype(np.int64) * names + column.codes
        found = pa.array(wide).dictionary_encode()
        key = smallest(found.indices.to_numpy())
        left, right = np.divmod(found.dictionary.to_numpy(), names)
    return key, np.column_stack([codes[left], right])
