"""Limits of what is computed from scores, whether rows have weights, lie on a grid, or have no score at all.

Notable: weighted rows count as their effective number (`weighted.effective_share`), of each mean by itself: with
weights that grow towards the ends of the scores, say, the mean score varies more than weights alone would tell.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.calibration import brier
from equiray.metrics.estimation.read import Read
from equiray.metrics.intervals.binomial import rate_interval
from equiray.metrics.intervals.limits import Completed, Counted, Interval, Moments, mean
from equiray.metrics.intervals.means import mean_interval
from equiray.metrics.intervals.scores import (
    auc_interval,
    ece_interval,
    placements,
    score_moments,
    squared_error_moments,
    squared_errors,
)
from equiray.metrics.intervals.simultaneous import largest_difference, largest_pair, ratio_to_largest
from equiray.metrics.intervals.weighted import Weights, effective, effective_share
from equiray.metrics.ranking import auc, auc_bounds
from equiray.metrics.rates import divide
from equiray.metrics.tables import ScoreCounts, ScoreSums
from equiray.metrics.thresholds import above_median

_Array = NDArray[np.float64]


def score_partial(read: Read) -> NDArray[np.bool_]:
    """Where rows without a score, or a grid in place of scores, leave a group's figure open, [G]."""
    found = read.unscored.sum(-1) > 0
    if read.metric.id == "auc":
        bounds = auc_bounds(_scores(read))
        return found | (bounds.high > bounds.low)
    if read.metric.reads == "scores":  # one group's share of the rows above the median moves the others'
        return found | (above_median(_scores(read)).undecided > 0).any()
    return found


def score_limits(read: Read, confidence: float) -> Interval:
    """Limits of each group's figure [G], or of the attribute's []; they enclose what unknown scores may change."""
    return _LIMITS[read.metric.id](read, confidence)


def _auc(read: Read, confidence: float) -> Interval:
    scores = _scores(read)
    low, high = auc_interval(_effective_labels(scores), confidence)
    value, bounds = auc(scores), auc_bounds(scores)
    ranked = Interval(low - (value - bounds.low), high + (bounds.high - value))
    known = read.known_share(by_label=True)
    return _completed(ranked, known[:, -1] * known[:, :-1].prod(-1))


def _brier(read: Read, confidence: float) -> Interval:
    scores, value = _scores(read), brier(_sums(read))
    moments = squared_error_moments(_effective(scores, _share(scores, squared_errors(scores), value)[:, None, None]))
    total = np.nan_to_num(value * np.asarray(moments.rows))  # scores may lie on a grid, their sums never do
    return _completed(mean_interval(moments._replace(total=total), confidence), read.known_share())


def _ece(read: Read, confidence: float) -> Interval:
    known = read.known_share()
    scores = _scores(read)
    error = scores.values - np.arange(2)[:, None]  # of negatives, of positives
    low, high = ece_interval(_effective_sums(read, _share(scores, error, np.zeros(1))), confidence)
    # each row's |score - label|, at most 1, moves it either way
    return Interval(np.maximum(0, low * known - (1 - known)), np.minimum(1, high * known + (1 - known)))


def _mean_score(read: Read, confidence: float) -> Interval:
    return _completed(mean_interval(_moments(read), confidence), read.known_share())


def _mean_score_difference(read: Read, confidence: float) -> Interval:
    moments = _moments(read)
    groups = len(read.table.groups)
    known = read.known_share()
    if (known == 1).all() or groups < 2:
        return largest_difference([moments], confidence)
    low, high = _completed(mean_interval(moments, 1 - (1 - confidence) / groups), known)
    if np.isnan(mean(moments)).any():
        return _nothing()
    return Interval(np.maximum(0, largest_pair(low, -high)), largest_pair(high, -low))


def _scoring_rate(read: Read, confidence: float) -> Interval:
    counted = _selected(read)
    if counted is None:
        return _nothing(len(read.table.groups))
    return rate_limits(counted, confidence)


def _scoring_impact_ratio(read: Read, confidence: float) -> Interval:
    counted = _selected(read)
    if counted is None or len(read.table.groups) < 2:
        return _nothing(len(read.table.groups))
    return ratio_to_largest(counted, confidence)


def _selected(read: Read) -> Completed | None:
    """Rows above the median of all, given that median; None where unknown scores would move it."""
    if read.unscored.any():
        return None
    split = above_median(_scores(read))
    ends = (_counted(_scores(read), selected) for selected in (split.above, split.above | split.open))
    return Completed(*ends)


def _counted(scores: ScoreCounts, selected: NDArray[np.bool_]) -> Counted:
    """Of each group's rows [G] those with one of the `selected` scores [S], of weighted rows effective numbers."""
    parts = [part.sum(-2) for part in (scores.count, scores.weight, scores.weight_squared) if part is not None]
    sides = [(part[:, selected].sum(-1), part[:, ~selected].sum(-1)) for part in parts]
    if len(parts) == 1:
        ((events, others),) = sides
        return Counted(events, events + others)
    return effective(*(Weights(*side) for side in zip(*sides[1:], strict=True)))


def rate_limits(of: Counted | Completed, confidence: float) -> Interval:
    """Limits of rates by themselves, [G]."""
    ends = (of, of) if isinstance(of, Counted) else of
    low, high = (rate_interval(*end, confidence) for end in ends)
    return Interval(low.low, high.high)


def _completed(interval: Interval, known: _Array) -> Interval:
    """Limits of a mean of values within 0..1, of which a share is known and the rest may be anything."""
    return Interval(interval.low * known, 1 - (1 - interval.high) * known)


def _moments(read: Read) -> Moments:
    scores, plain = _scores(read), score_moments(_sums(read))
    return score_moments(_effective_sums(read, _share(scores, scores.values, mean(plain))))


def _share(scores: ScoreCounts, values: _Array, centre: _Array) -> _Array:
    """Effective rows for each unit of weight [G], of means `centre` [G] of `values` [S] or [K, S]; or 1."""
    if scores.weight is None or scores.weight_squared is None:
        return np.ones(len(scores.count))
    weights = Weights(scores.weight, scores.weight_squared)
    return effective_share(weights, values - centre[:, None, None], axis=(-1, -2))


def _effective_labels(scores: ScoreCounts) -> ScoreCounts:
    """Effective numbers of each label's rows: an area under the curve is a mean over either's placements."""
    if scores.weight is None or scores.weight_squared is None:
        return scores
    placed = placements(scores._replace(count=scores.weight))
    centre = divide((scores.weight * placed).sum(-1), scores.weight.sum(-1))
    share = effective_share(Weights(scores.weight, scores.weight_squared), placed - centre[..., None])
    return _effective(scores, share[..., None])


def _effective(scores: ScoreCounts, share: _Array) -> ScoreCounts:
    """Effective numbers of rows, from those for each unit of weight."""
    if scores.weight is None:
        return scores
    return scores._replace(count=scores.weight * share, weight=None, weight_squared=None)


def _effective_sums(read: Read, share: _Array) -> ScoreSums:
    return ScoreSums(*(part * share[:, None, None] for part in _sums(read)))


def _scores(read: Read) -> ScoreCounts:
    assert read.table.scores is not None
    return read.table.scores


def _sums(read: Read) -> ScoreSums:
    assert read.table.score_sums is not None
    return read.table.score_sums


def _nothing(*shape: int) -> Interval:
    return Interval(np.full(shape, np.nan), np.full(shape, np.nan))


_LIMITS: Mapping[str, Callable[[Read, float], Interval]] = {
    "auc": _auc,
    "brier": _brier,
    "ece": _ece,
    "mean_score": _mean_score,
    "mean_score_difference": _mean_score_difference,
    "scoring_rate": _scoring_rate,
    "scoring_impact_ratio": _scoring_impact_ratio,
}
