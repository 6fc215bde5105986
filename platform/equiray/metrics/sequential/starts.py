"""How the capital of a mixture is spread over the moments at which its parts begin: weights that add up to 1.

Notable: a part that begins long before a change has lost by the time of the change, one that begins at the change has
not; so each dyadic block of moments, 2^k to 2^(k+1), has a weight, spread evenly over the moments in it. Spending it
needs no memory of the moments, for parts that bet alike are one sum from the moment they have begun.
"""

import numpy as np
from numpy.typing import NDArray

FIRST, LAST = 8, 20
"""Up to moment 2^FIRST all is one block; from 2^LAST on the weights of blocks fall."""
_BEGIN, _LATE = 0.12, 0.16
_EACH = (1 - _BEGIN - _LATE) / (LAST - FIRST)


def spent(moments: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the capital that is staked by each of these moments, counted from 1; 0 before the first, below 1 ever.

    The first 256 moments have .12 of it, every doubling from there to 2^20 has .06, and the doublings after that share
    the other .16 as 1 / (j (j + 1)), which adds up to 1: no later change is ever without capital.
    """
    block = np.floor(np.log2(np.maximum(moments, 1)))
    within = moments / 2**block - 1  # how far into its block, from 0
    early = _BEGIN * np.minimum(moments / 2**FIRST, 1)
    doublings = np.clip(block + within - FIRST, 0, None)
    middle = _EACH * np.minimum(doublings, LAST - FIRST)
    later = np.maximum(block - LAST, 0)  # whole blocks of the tail that are over
    tail = np.where(block >= LAST, _LATE * (1 - 1 / (later + 1) + within / ((later + 1) * (later + 2))), 0)
    return early + middle + tail
