"""Examples: what a classifier reads, row by row, beyond the tables of `equiray.data.tasks`.

One record, `Examples`, for texts, picture files and drawn pictures alike. It is filled from a table task
(`of_task`), from three benchmarks in their official formats (`celeba`, `multinli`, `hatexplain`), or from avatars
that are drawn (`equiray.data.pictures`).
"""

from equiray.data.examples.of_task import examples_of_task, fit_row_serializer
from equiray.data.examples.record import Examples
from equiray.data.examples.skew import skewed

__all__ = ["Examples", "examples_of_task", "fit_row_serializer", "skewed"]
