"""Columns of codes combined into one, so that one histogram counts all of their combinations.

Notable: only a key of one or two bytes a row is written, and keys of one byte are counted two at a time, as one number
of two bytes, which halves the steps.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.metrics.counting.encoding import Coded, pooled, smallest

_BYTE = 1 << 8
_DENSE = 1 << 16  # so many combinations keep the key in two bytes and its histogram in cache
_PAIRED = 1 << 18  # from so many rows on it pays to count in pairs


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
    key = _dense(columns, sizes, size)
    counts = _histogram(key, size)
    (used,) = np.nonzero(counts)
    return Cells(key, size, used, np.column_stack(np.unravel_index(used, sizes)), counts[used])


def _dense(columns: Sequence[Coded], sizes: Sequence[int], size: int) -> NDArray[np.unsignedinteger]:
    """Each row's combination as a number of mixed radix."""
    kind = np.dtype(np.uint8 if size <= _BYTE else np.uint16)
    key = pooled(len(columns[0].codes), kind)
    np.copyto(key, columns[0].codes, casting="unsafe")
    for column, radix in zip(columns[1:], sizes[1:], strict=True):
        key *= kind.type(radix)
        key += column.codes
    return key


def _histogram(key: NDArray[np.unsignedinteger], size: int) -> NDArray[np.int64]:
    """Rows of each number below `size`."""
    if key.itemsize > 1 or len(key) < _PAIRED:
        return np.bincount(key, minlength=size)
    paired = key[: len(key) // 2 * 2].view(np.uint16)
    wide = pooled(len(paired), np.intp)  # bincount would make a copy of its own
    np.copyto(wide, paired)
    pairs = np.bincount(wide, minlength=_BYTE * _BYTE).reshape(_BYTE, _BYTE)
    return (pairs.sum(0) + pairs.sum(1) + np.bincount(key[2 * len(paired) :], minlength=_BYTE))[:size]


def _sparse(columns: Sequence[Coded]) -> Cells:
    """As `combine` where too many combinations are conceivable to give each a place: number those that occur."""
    key, codes = columns[0].codes.astype(np.int64), np.arange(len(columns[0].names))[:, None]
    for column in columns[1:]:
        found = pa.array(key * len(column.names) + column.codes).dictionary_encode()
        key = found.indices.to_numpy().astype(np.int64)
        left, right = np.divmod(found.dictionary.to_numpy(), len(column.names))
        codes = np.column_stack([codes[left], right])
    order = np.lexsort(codes.T[::-1])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    counts = np.bincount(key, minlength=len(codes))
    return Cells(smallest(rank[key]), len(codes), np.arange(len(codes)), codes[order], counts[order])
