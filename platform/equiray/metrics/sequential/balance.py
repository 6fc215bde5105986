"""How much of each decision is staked, so that the stakes on either group keep near each other.

Notable: a decision of the first group raises a level, one of the second lowers it. Both are staked whole while the
level stays within its cap, and only as far as the cap beyond it: what is staked depends on the groups, never on
decisions. The steps are composed as functions x -> min(max(x + shift, low), high), which are closed under composition;
so a block of T rows takes log2(T) passes over arrays.
"""

import numpy as np
from numpy.typing import NDArray

UNIT = 16
"""Steps of a whole stake; groups of unequal size take 1, 2, 4, 8 or 16 of them."""
CAP = 8 * UNIT

Levels = NDArray[np.int64]


def levels(steps: Levels, begin: Levels) -> Levels:
    """Levels after each of T steps, each clipped to -CAP..CAP before the next.

    Parameters
    ----------
    steps : int64 [T, ...]
    begin : int64 [...]

    Returns
    -------
    int64 [T, ...]
    """
    shift, low, high = steps.copy(), np.full_like(steps, -CAP), np.full_like(steps, CAP)
    span = 1
    while span < len(steps):
        # Each row's function after the one that ends `span` rows before it.
        then_low = np.clip(low[:-span] + shift[span:], low[span:], high[span:])
        then_high = np.clip(high[:-span] + shift[span:], low[span:], high[span:])
        shift[span:] = shift[:-span] + shift[span:]
        low[span:], high[span:] = then_low, then_high
        span *= 2
    return np.clip(begin + shift, low, high)
