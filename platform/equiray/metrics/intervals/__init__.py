"""Intervals: of rates, of differences, of disparities over groups, of paired changes."""

from equiray.metrics.intervals.scalars import (
    NOTHING,
    Limits,
    Proportion,
    largest_difference,
    newcombe,
    percentiles,
    row_bootstrap,
    wilson,
)

__all__ = [
    "NOTHING",
    "Limits",
    "Proportion",
    "largest_difference",
    "newcombe",
    "percentiles",
    "row_bootstrap",
    "wilson",
]
