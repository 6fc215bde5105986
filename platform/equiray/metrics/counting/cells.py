"""Columns of codes combined into one, so that one histogram counts all of their combinations.

Notable: rows go through in pieces that stay in cache, so every column is read from memory once, in whatever integer
type it has, and only a key of one or two bytes is written. Its arithmetic may wrap around: the result fits again.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.metrics.counting.encoding import Coded, smallest

_DENSE = 1 << 16  # so many combinations keep the key in two bytes and its histogram in cache
_ROWS_IN_CACHE = 1 << 15


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
    sizes = [len(column.names) for column in columns]
    size = math.prod(sizes)
    if size >= _DENSE:
        return _sparse(columns)
    key, counts = _dense(columns, sizes, size)
    (used,) = np.nonzero(counts)
    return Cells(key, size, used, np.column_stack(np.unravel_index(used, sizes)), counts[used])


def _dense(
    columns: Sequence[Coded], sizes: Sequence[int], size: int
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.int64]]:
    """Each row's combination as a number of mixed radix, and the rows of each number."""
    kind = np.dtype(np.uint8 if size < 256 else np.uint16)
    low = 0
    for column, radix in zip(columns, sizes, strict=True):
        low = low * radix + column.low
    key = np.empty(len(columns[0].values), kind)
    counts = np.zeros(size, np.int64)
    step = max(_ROWS_IN_CACHE, 4 * size)
    for start in range(0, len(key), step):
        rows = slice(start, start + step)
        piece = key[rows]
        np.copyto(piece, columns[0].values[rows], casting="unsafe")
        for column, radix in zip(columns[1:], sizes[1:], strict=True):
            piece *= kind.type(radix)
            piece += column.values[rows].astype(kind)
        piece -= kind.type(low % (1 << 8 * kind.itemsize))
        counts += np.bincount(piece, minlength=size)
    return key, counts


def _sparse(columns: Sequence[Coded]) -> Cells:
    """As `combine` where too many combinations are conceivable to give each a place: number those that occur."""
    key, codes = columns[0].codes(), np.arange(len(columns[0].names))[:, None]
    for column in columns[1:]:
        found = pa.array(key * len(column.names) + column.codes()).dictionary_encode()
        key = found.indices.to_numpy().astype(np.int64)
        left, right = np.divmod(found.dictionary.to_numpy(), len(column.names))
        codes = np.column_stack([codes[left], right])
    order = np.lexsort(codes.T[::-1])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    counts = np.bincount(key, minlength=len(codes))
    return Cells(smallest(rank[key]), len(codes), np.arange(len(codes)), codes[order], counts[order])
