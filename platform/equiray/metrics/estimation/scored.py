"""Limits of what is computed from scores, whether rows have weights, lie on a grid, or have no score at all.

Notable: a weighted score counts as its effective number: the rows of a group weigh (sum w)^2 / sum w^2 together (Kish
1965). That supposes that within a group (of an area under the curve: within its labels) weights have nothing to do
with scores; only sums of w and w^2 of decisions are kept, not of every score.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.calibration import brier
from equiray.metrics.estimation.read import Read
from equiray.metrics.intervals.binomial import rate_interval
from equiray.metrics.intervals.limits import Completed, Counted, Interval, mean
from equiray.metrics.intervals.means import mean_interval
from equiray.metrics.intervals.scores import auc_interval, ece_interval, score_moments, squared_error_moments
from equiray.metrics.intervals.simultaneous import largest_difference, ratio_to_largest
from equiray.metrics.ranking import auc, auc_bounds
from equiray.metrics.rates import SELECTION_RATE, divide
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
    low, high = auc_interval(_effective_counts(read, by_label=True), confidence)
    value, bounds = auc(scores), auc_bounds(scores)
    ranked = Interval(low - (value - bounds.low), high + (bounds.high - value))
    known = read.known_share(by_label=True)
    return _completed(ranked, known[:, -1] * known[:, :-1].prod(-1))


def _brier(read: Read, confidence: float) -> Interval:
    moments = squared_error_moments(_effective_counts(read))
    total = np.nan_to_num(
        brier(_sums(read)) * np.asarray(moments.rows)
    )  # scores may lie on a grid, their sums never do
    return _completed(mean_interval(moments._replace(total=total), confidence), read.known_share())


def _ece(read: Read, confidence: float) -> Interval:
    known = read.known_share()
    low, high = ece_interval(_effective_sums(read), confidence)
    # each row's |score - label|, at most 1, moves it either way
    return Interval(np.maximum(0, low * known - (1 - known)), np.minimum(1, high * known + (1 - known)))


def _mean_score(read: Read, confidence: float) -> Interval:
    return _completed(mean_interval(score_moments(_effective_sums(read)), confidence), read.known_share())


def _mean_score_difference(read: Read, confidence: float) -> Interval:
    moments = score_moments(_effective_sums(read))
    groups = len(read.table.groups)
    known = read.known_share()
    if (known == 1).all() or groups < 2:
        return largest_difference([moments], confidence)
    low, high = _completed(mean_interval(moments, 1 - (1 - confidence) / groups), known)
    if np.isnan(mean(moments)).any():
        return _nothing()
    apart = ~np.eye(groups, dtype=bool)
    pairs = [limit[:, None] - other for limit, other in ((low, high), (high, low))]
    return Interval(np.maximum(0, pairs[0][apart].max()), pairs[1][apart].max())


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
    scale = _kish(read)
    events, trials = (side(split.mass) * scale for side in (SELECTION_RATE.events, SELECTION_RATE.trials))
    return Completed(Counted(events, trials), Counted(events + split.undecided * scale, trials))


def rate_limits(of: Counted | Completed, confidence: float) -> Interval:
    """Limits of rates by themselves, [G]."""
    ends = (of, of) if isinstance(of, Counted) else of
    low, high = (rate_interval(*end, confidence) for end in ends)
    return Interval(low.low, high.high)


def _completed(interval: Interval, known: _Array) -> Interval:
    """Limits of a mean of values within 0..1, of which a share is known and the rest may be anything."""
    return Interval(interval.low * known, 1 - (1 - interval.high) * known)


def _effective_counts(read: Read, *, by_label: bool = False) -> ScoreCounts:
    scores = _scores(read)
    if scores.weight is None:
        return scores
    scale = _kish(read, by_label=True)[..., None] if by_label else _kish(read)[:, None, None]
    return scores._replace(count=scores.weight * scale, weight=None)


def _effective_sums(read: Read) -> ScoreSums:
    return ScoreSums(*(part * _kish(read)[:, None, None] for part in _sums(read)))


def _kish(read: Read, *, by_label: bool = False) -> _Array:
    """What turns sums of w into effective numbers: sum w / sum w^2, [G] or [G, K]; 1 for rows without weights."""
    mass = read.table.mass
    assert mass is not None
    axes = (-1,) if by_label else (-1, -2)
    if mass.weight is None or mass.weight_squared is None:
        return np.ones(mass.count.shape[: 3 - len(axes)])
    return np.nan_to_num(divide(mass.weight.sum(axes), mass.weight_squared.sum(axes)))


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
