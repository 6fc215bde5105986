"""Rows to counts that can be added: a layout, Arrow rows -> `Block`, blocks -> `Counts` -> `GroupTable`.

Notable: counts are a set of blocks, and totals are made from the set. So merging is associative, commutative and
idempotent, and no tree of merges, number of workers or order of files can change a bit of a result.
"""

from equiray.metrics.counting.blocks import Block
from equiray.metrics.counting.counts import Counts
from equiray.metrics.counting.layout import Attribute, Columns, Layout
from equiray.metrics.counting.stream import count_files, count_table

__all__ = ["Attribute", "Block", "Columns", "Counts", "Layout", "count_files", "count_table"]
