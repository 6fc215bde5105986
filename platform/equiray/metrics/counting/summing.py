"""Sums of floats that do not depend on the order of the addends."""

import math

import numpy as np
from numpy.typing import NDArray

LARGEST = 1e50
"""Values above are not taken: the square of a weight times that of an error can still be summed."""

SQUARABLE = 1e75
"""Squares above are no longer squared exactly."""

_MANTISSA = 53
_LARGEST_POWER = 1022  # of a grain: it is added to a value of its size
_ROWS_IN_CACHE = 1 << 15


def exact_sums(place: NDArray[np.integer], values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Sum the values of each place, to the last bit or two, and with the same bits in any order.

    The values are cut into slices of so few bits each that float64 adds all of them without rounding: adding and
    subtracting a large power of two rounds a value to a multiple of a grain, and what is left is the next slice's
    (Rump, Ogita, Oishi 2008, doi:10.1137/050645671, algorithm 3.2). Only the slices' sums are added with rounding.

    Parameters
    ----------
    place : int [n]
        Below `size`.
    values : float64 [n]
        Finite, and so small that as many values of the largest one's size have a finite sum.

    Returns
    -------
    float64 [size]

    Raises
    ------
    ValueError
        A value is not finite or too large.
    """
    top = max(values.max(initial=0.0), -values.min(initial=0.0))
    spare = math.ceil(math.log2(len(values) + 2))  # bits that the sum may grow by
    if not top < math.ldexp(1.0, _LARGEST_POWER - spare):  # a grain that overflows would never use up the values
        raise ValueError(f"{len(values):,} values of up to {top} cannot be summed in float64")
    slices: list[NDArray[np.float64]] = []
    rows = max(_ROWS_IN_CACHE, 4 * size)
    for start in range(0, len(values), rows):
        rest = values[start : start + rows]
        where = place[start : start + rows].astype(np.intp, copy=False)
        number = 0
        while rest.any():
            if number == len(slices):
                slices.append(np.zeros(size))
            grain = math.ldexp(1.0, math.frexp(top)[1] + spare - number * (_MANTISSA - spare))
            part = (rest + grain) - grain
            slices[number] += np.bincount(where, weights=part, minlength=size)
            rest = rest - part
            number += 1
    if values.min(initial=0.0) < 0:  # large slices may cancel, and what a small one holds is then all there is
        return np.array([math.fsum(each) for each in np.reshape(slices, (-1, size)).T])
    return sum(reversed(slices), start=np.zeros(size))  # the smallest first
