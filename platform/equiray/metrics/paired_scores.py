"""Two models' scores of the same rows: how their mean, their Brier score and their ranking change.

Notable: each is a mean over rows of what changes in that row, so what the models share cancels, and limits are those of
a mean shift (`intervals.shifts`), which do not vanish where no row of the sample changes. The area
under the ROC curve changes by the mean change of the positives' placements among the negatives, which is also that of
the negatives' among the positives; its error is the sum of two independent ones (DeLong, DeLong and Clarke-Pearson
1988), added as curves. Beside it stand limits made of what each row's own move does, the others held where they are:
the change is the sum of these two means, and they tell how few rows move. Of the changes of disparities of scores, and
of calibration errors, no limits are known here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.intervals.limits import Interval
from equiray.metrics.intervals.shifts import Shifts, area_interval, shift_interval

_Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """Rows of one group: `label` bool [N], True the positive class, and both models' scores [N], NaN without one."""

    label: NDArray[np.bool_]
    first: _Array
    second: _Array

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Rows that both models scored, [N]."""
        return ~np.isnan(self.first) & ~np.isnan(self.second)


@dataclass(frozen=True, kw_only=True)
class ScoreChange:
    """A change of one figure over `rows` rows that both scored, NaN where it is not estimable.

    Each of the `means` of what changes is by itself an estimate of it; those of an area's `own`, where what did not
    change itself is 0, add up to it. `known` is the share of rows (of an area: of pairs) that it is known for. The
    limits allow for any change of the rest.
    """

    means: tuple[Shifts, ...]
    own: tuple[Shifts, ...] = ()
    rows: int
    known: float

    @property
    def value(self) -> float:
        """Second minus first."""
        values = [float(each.mean) for each in self.means]
        return values[0] if not np.isnan(values).any() else float("nan")

    def interval(self, confidence: float) -> Interval:
        """Limits of the change, each []."""
        if np.isnan(self.value):
            return Interval(np.array(np.nan), np.array(np.nan))
        if self.own:
            low, high = area_interval(self.means, self.own, confidence)
        else:
            low, high = shift_interval(self.means[0], confidence)
        rest = 1 - self.known
        return Interval(np.maximum(low, -1) * self.known - rest, np.minimum(high, 1) * self.known + rest)


def mean_score_change(of: ScoredRows) -> ScoreChange:
    """Change of the mean score."""
    there = of.scored
    return _change_of_mean(of.second[there] - of.first[there], len(there))


def brier_change(of: ScoredRows) -> ScoreChange:
    """Change of the mean squared distance of the score from the label."""
    there = of.scored
    label = of.label[there].astype(np.float64)
    return _change_of_mean((of.second[there] - label) ** 2 - (of.first[there] - label) ** 2, len(there))


def auc_change(of: ScoredRows) -> ScoreChange:
    """Change of the area under the ROC curve; ties count half. NaN without positives or negatives."""
    there = of.scored
    positive, negative = there & of.label, there & ~of.label
    means, own = [], []
    for mine, others, sign in (
        (positive, negative, 1),
        (negative, positive, -1),
    ):  # a negative is placed well where low
        before, after, among, then = of.first[mine], of.second[mine], of.first[others], of.second[others]
        means.append(_shifts(sign * (_placements(after, then) - _placements(before, among))))
        moves = [_placements(after, fixed) - _placements(before, fixed) for fixed in (among, then)]
        own.append(_shifts(sign * (moves[0] + moves[1]) / 2))
    shares = [
        _share(int(part.sum()), int(whole.sum())) for part, whole in ((positive, of.label), (negative, ~of.label))
    ]
    return ScoreChange(means=tuple(means), own=tuple(own), rows=int(there.sum()), known=shares[0] * shares[1])


def _change_of_mean(differences: _Array, rows: int) -> ScoreChange:
    there = len(differences)
    return ScoreChange(means=(_shifts(differences),), rows=there, known=_share(there, rows))


def _shifts(differences: _Array) -> Shifts:
    return Shifts(len(differences), differences.sum(), np.abs(differences).sum(), (differences**2).sum())


def _placements(scores: _Array, others: _Array) -> _Array:
    """Of each score, the share of others below it, half of those at it; NaN without others."""
    if not len(others):
        return np.full(len(scores), np.nan)
    ordered = np.sort(others)
    ranks = ordered.searchsorted(scores, "left") + ordered.searchsorted(scores, "right")
    return ranks / (2 * len(others))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
