"""Calibration within groups, from exact sums of scores: does a score of .7 mean 70 %, in every group?

Notable: scores are those of the positive class, the last one; with more than two classes the others are its rest. All
functions take `ScoreSums` [..., G, K, B] (K labels, B bins) and keep the leading axes. Rows without a score, refused or
unparsed, are in none of the sums.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.rates import divide
from equiray.metrics.tables import ScoreSums

Array = NDArray[Any]


class Reliability(NamedTuple):
    """The reliability diagram of each group, arrays [..., G, B]; NaN in bins without rows."""

    rows: Array
    mean_score: Array
    positive_rate: Array


def reliability(sums: ScoreSums) -> Reliability:
    """Mean score and share of positives in each calibration bin: equal where the group is calibrated."""
    rows = sums.rows.sum(-2)
    return Reliability(rows, divide(sums.score.sum(-2), rows), divide(sums.rows[..., -1, :], rows))


def brier(sums: ScoreSums) -> NDArray[np.float64]:
    """Mean (s - y)² in g. Range 0..1; lower is better; 0 = every score is its label.

    Exact: from sums of s and s², not from bins (Brier 1950).

    Returns
    -------
    [..., G]
        NaN for a group without scores.
    """
    negatives = sums.score_squared[..., :-1, :].sum((-1, -2))
    # (1 - s)² of the positives, multiplied out
    positives = (sums.rows - 2 * sums.score + sums.score_squared)[..., -1, :].sum(-1)
    return np.clip(divide(negatives + positives, sums.rows.sum((-1, -2))), 0, 1)  # clipped: rounding alone


def ece(sums: ScoreSums) -> NDArray[np.float64]:
    """sum_b n_b/n |mean score - share of positives| in g. Range 0..1; lower is better; 0 = calibrated in every bin.

    The expected calibration error over `CALIBRATION_BINS` equal-width bins [0, .1), ... [.9, 1] of the score of the
    positive class (Naeini et al. 2015). It is biased upward in small groups: a calibrated model does not reach 0.

    Returns
    -------
    [..., G]
        NaN for a group without scores.
    """
    gap = np.abs(sums.score.sum(-2) - sums.rows[..., -1, :]).sum(-1)
    return np.clip(divide(gap, sums.rows.sum((-1, -2))), 0, 1)
