"""Statistics of a stream that is looked at after every row: e-processes against claims, limits that hold at any time.

`wealth` says what is tested and why it is valid.
"""

from equiray.metrics.sequential.claims import NO_CELL, Claims, at_least, at_most, differences, ratios
from equiray.metrics.sequential.limits import rate_limits
from equiray.metrics.sequential.wealth import Least, Rows, Wealth, advance, begin, extended

__all__ = [
    "NO_CELL",
    "Claims",
    "Least",
    "Rows",
    "Wealth",
    "advance",
    "at_least",
    "at_most",
    "begin",
    "differences",
    "extended",
    "rate_limits",
    "ratios",
]
