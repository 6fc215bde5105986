"""Intervals of what is computed from scores: mean score, Brier score, AUC and calibration error, of unweighted rows."""

import numpy as np
from scipy.special import gammainccinv

from equiray.metrics.intervals.curves import curves_of, highest_sum, normal_quantile
from equiray.metrics.intervals.limits import Array, Interval, Moments
from equiray.metrics.intervals.means import mean_interval
from equiray.metrics.tables import ScoreCounts, ScoreSums


def score_moments(sums: ScoreSums) -> Moments:
    """The scores of each group, [..., G]."""
    rows, score, squared = (part.sum((-1, -2)) for part in sums)
    return Moments(rows, score, squared, 0, 1)


def squared_error_moments(scores: ScoreCounts) -> Moments:
    """The squared errors (s - y)^2 of each group, whose mean is the Brier score, [..., G].

    On a grid of scores, to within the width of its bins.
    """
    positives, negatives = _positives(scores), _negatives(scores)
    if_negative, if_positive = squared_errors(scores)
    return Moments(
        (positives + negatives).sum(-1),
        (positives * if_positive + negatives * if_negative).sum(-1),
        (positives * if_positive**2 + negatives * if_negative**2).sum(-1),
        0,
        1,
    )


def squared_errors(scores: ScoreCounts) -> Array:
    """(s - y)^2 of negatives and of positives with each score, [2, S]."""
    return np.stack([scores.values**2, (1 - scores.values) ** 2])


def placements(scores: ScoreCounts) -> Array:
    """Share of positives above each score, and of negatives below it, those at it half, [..., 2, S].

    The first are the placements of negatives with that score, the second those of positives.
    """
    above = _shares_below(_positives(scores)[..., ::-1])[..., ::-1]
    return np.stack([above, _shares_below(_negatives(scores))], axis=-2)


def auc_interval(scores: ScoreCounts, confidence: float) -> Interval:
    """Interval of the area under the ROC curve of each group, [..., G]; ties count half.

    A positive row's placement is the share of negatives below it, a negative's the share of positives above it; the
    mean of either is the area, and its error is the sum of two independent errors, of the mean of m placements and of
    that of n (DeLong, DeLong and Clarke-Pearson 1988). Limits of both means (`means`) are added as curves, which unlike
    a variance does not vanish where all pairs are ranked rightly. NaN without positives or negatives.
    """
    above, below = np.moveaxis(placements(scores), -2, 0)
    z = normal_quantile(confidence)
    pairs = ((_positives(scores), below), (_negatives(scores), above))
    first, second = (curves_of(_moments(*pair), z) for pair in pairs)
    area = first.low[0]
    low = 1 - highest_sum([1 - first.low, 1 - second.low]) + (1 - area)
    high = highest_sum([first.high, second.high]) - area
    return Interval(np.maximum(low, 0), np.minimum(high, 1))


def ece_interval(sums: ScoreSums, confidence: float) -> Interval:
    """Interval of the expected calibration error of each group over its bins, [..., G]; NaN without rows.

    With e_b the error of s - y summed over bin b, over n, and d_b its estimate, the calibration error is
    sum |e_b| = sum sign(e_b) e_b. For those signs, whatever they are, the estimate of the sum is a mean over rows of
    +-(s - y), and cannot exceed sum |d_b|: the upper limit is that of such a mean. The lower limit takes off
    what sum |d_b - e_b| exceeds with probability alpha / 2, by the triangle inequality; with normal errors that is a
    sum of half-normal variables, here a Gamma variable with its mean and variance.
    """
    rows, tail = sums.rows.sum((-1, -2)), (1 - confidence) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = (sums.score.sum(-2) - sums.rows[..., -1, :]) / rows[..., None]
        # of s - y: s^2 of the negatives, 1 - 2s + s^2 of the positives
        squared = sums.score_squared.sum(-2) + (sums.rows - 2 * sums.score)[..., -1, :]
        # At least what calibrated scores would have: of rare positives a sample may hold none.
        second = np.maximum(squared, (sums.score - sums.score_squared).sum(-2)) / rows[..., None]
        error = np.sqrt(np.maximum(second - gap**2, 0) / rows[..., None])
        found = np.abs(gap).sum(-1)
        centre, variance = np.sqrt(2 / np.pi) * error.sum(-1), (1 - 2 / np.pi) * (error**2).sum(-1)
        noise = np.where(variance > 0, gammainccinv(centre**2 / variance, tail) * variance / centre, 0)
    signed = Moments(rows, np.nan_to_num(found) * rows, squared.sum(-1), -1, 1)
    return Interval(np.maximum(found - noise, 0), mean_interval(signed, confidence).high)


def _positives(scores: ScoreCounts) -> Array:
    return scores.count[..., -1, :].astype(np.float64)


def _negatives(scores: ScoreCounts) -> Array:
    return scores.count[..., :-1, :].sum(-2).astype(np.float64)


def _shares_below(counts: Array) -> Array:
    """Share of the rows counted [..., S] that lie below each score, half of those at it."""
    with np.errstate(invalid="ignore"):
        return (counts.cumsum(-1) - counts / 2) / counts.sum(-1, keepdims=True)


def _moments(counts: Array, values: Array) -> Moments:
    return Moments(counts.sum(-1), (counts * values).sum(-1), (counts * values**2).sum(-1), 0, 1)
