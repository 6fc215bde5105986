"""Group metrics of binary decisions from counts: rates by group, disparities between groups, effects of a stage.

Everything is computed from one array of counts, ``counts[..., G, 2, 2]``: group x label x prediction. NaN means not
estimable: a group without positives has no true positive rate, and no disparity that needs it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.clusters import Resampling
from equiray.metrics.estimates import Direction, Estimate, Status
from equiray.metrics.intervals import (
    NOTHING,
    Limits,
    Proportion,
    largest_difference,
    percentiles,
    row_bootstrap,
    wilson,
)

Counts = NDArray[np.int64]
FEWEST_ROWS = 20
"""A paired effect in which a group's denominator is smaller is marked ``partial``: a bootstrap of so few misleads."""


class Rate(NamedTuple):
    """A rate of every group: `events` / `trials`, functions of counts [..., G, 2, 2] -> [..., G]."""

    events: Callable[[NDArray], NDArray]
    trials: Callable[[NDArray], NDArray]
    direction: Direction

    def of(self, counts: NDArray) -> NDArray:
        """The rate, NaN without trials."""
        trials = self.trials(counts)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(trials > 0, self.events(counts) / trials, np.nan)

    def proportions(self, counts: Counts) -> list[Proportion]:
        """Group by group."""
        pairs = zip(self.events(counts).tolist(), self.trials(counts).tolist(), strict=True)
        return [Proportion(events, trials) for events, trials in pairs]


def _all_rows(counts: NDArray) -> NDArray:
    return counts.sum((-1, -2))


# P(prediction = 1 | group); range 0..1, descriptive
SELECTION_RATE = Rate(lambda c: c[..., 1].sum(-1), _all_rows, "none")
# P(prediction = 1 | label = 1, group); range 0..1, higher is better
TPR = Rate(lambda c: c[..., 1, 1], lambda c: c[..., 1, :].sum(-1), "higher")
# P(prediction = 1 | label = 0, group); range 0..1, lower is better
FPR = Rate(lambda c: c[..., 0, 1], lambda c: c[..., 0, :].sum(-1), "lower")
# P(prediction = label | group); range 0..1, higher is better
ACCURACY = Rate(lambda c: c[..., 0, 0] + c[..., 1, 1], _all_rows, "higher")

GROUP_RATES: Mapping[str, Rate] = {"selection_rate": SELECTION_RATE, "tpr": TPR, "fpr": FPR, "accuracy": ACCURACY}

DISPARITIES: Mapping[str, tuple[Rate, ...]] = {
    # the largest difference between two groups in any of the rates; range 0..1, 0 = equal, lower is fairer
    "demographic_parity_difference": (SELECTION_RATE,),
    "accuracy_parity_difference": (ACCURACY,),
    "equal_opportunity_difference": (TPR,),
    "equalized_odds_difference_max": (TPR, FPR),
}


UNANSWERED: Mapping[str, str] = {"refusal_rate": "refused", "parse_failure_rate": "unparsed"}
"""The outcome whose share of all rows of a group each of them is; range 0..1, 0 = all answered, lower is better."""


class Decisions(NamedTuple):
    """Labels and predictions of N rows, int8 0/1 arrays [N]."""

    label: NDArray[np.int8]
    prediction: NDArray[np.int8]


class Grouping(NamedTuple):
    """The groups of one attribute: int codes [N] into `names`, -1 where the sensitive value is missing."""

    attribute: str
    codes: NDArray[np.int64]
    names: tuple[str, ...]

    @classmethod
    def of(cls, attribute: str, values: Sequence[str | None], names: Sequence[str] | None = None) -> "Grouping":
        """Groups of rows; `names` declares groups that may have no row here (default: those that have one)."""
        known = sorted(set(names) if names is not None else {value for value in values if value is not None})
        place = {name: code for code, name in enumerate(known)}
        codes = np.array([-1 if v is None else place[v] for v in values], dtype=np.int64)
        return cls(attribute, codes, tuple(known))

    @property
    def status(self) -> Status:
        """``partial`` where rows belong to no group."""
        return "estimated" if (self.codes >= 0).all() else "partial"


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What every estimate of one evaluation has in common."""

    task: str
    stage: str
    model: str


class _Figure(NamedTuple):
    value: float
    limits: Limits
    n: int
    direction: Direction
    status: Status = "estimated"


def group_estimates(decisions: Decisions, grouping: Grouping, labels: Labels, resampling: Resampling) -> list[Estimate]:
    """Rates of every group (Wilson) and disparities between groups (`largest_difference`), for one attribute.

    Rows whose sensitive value is missing belong to no group here; a disparity that leaves rows out for that reason
    has status ``partial``.
    """
    counts = count_cells(decisions, grouping)
    rows = int((grouping.codes >= 0).sum())
    estimates = []
    for metric, rate in GROUP_RATES.items():
        for name, found in zip(grouping.names, rate.proportions(counts), strict=True):
            figure = _Figure(found.rate, wilson(found, resampling.confidence), found.trials, rate.direction)
            estimates.append(_estimate(labels, metric, grouping.attribute, name, figure, resampling))
    for metric, rates in DISPARITIES.items():
        limits = largest_difference([rate.proportions(counts) for rate in rates], resampling.confidence)
        figure = _Figure(float(_disparity(rates, counts)), limits, rows, "lower", grouping.status)
        estimates.append(_estimate(labels, metric, grouping.attribute, None, figure, resampling))
    return estimates


def unanswered_estimates(
    outcomes: NDArray[np.str_], grouping: Grouping, labels: Labels, resampling: Resampling
) -> list[Estimate]:
    """``refusal_rate`` and ``parse_failure_rate`` of each group (`UNANSWERED`), with Wilson intervals.

    Parameters
    ----------
    outcomes : str array [N]
        ``answered``, or the values of `UNANSWERED`.
    """
    estimates = []
    for metric, outcome in UNANSWERED.items():
        for code, name in enumerate(grouping.names):
            mine = outcomes[grouping.codes == code] == outcome
            found = Proportion(int(mine.sum()), len(mine))
            figure = _Figure(found.rate, wilson(found, resampling.confidence), found.trials, "lower")
            estimates.append(_estimate(labels, metric, grouping.attribute, name, figure, resampling))
    return estimates


def accuracy_estimate(decisions: Decisions, labels: Labels, resampling: Resampling) -> Estimate:
    """Accuracy over all rows, with a Wilson interval."""
    found = Proportion(int((decisions.label == decisions.prediction).sum()), len(decisions.label))
    figure = _Figure(found.rate, wilson(found, resampling.confidence), found.trials, "higher")
    return _estimate(labels, "accuracy", None, None, figure, resampling)


def stage_effects(
    before: Decisions, after: Decisions, grouping: Grouping, labels: Labels, resampling: Resampling
) -> list[Estimate]:
    """Paired change of every disparity, `after` minus `before`, on the same rows; negative is fairer.

    The bootstrap draws rows, so both predictions of a row stay together. Where a group's denominator holds fewer than
    `FEWEST_ROWS` the effect is ``partial``.

    Raises
    ------
    ValueError
        The two have not the same labels row by row.
    """
    if not np.array_equal(before.label, after.label):
        raise ValueError("a paired effect needs predictions of the same rows in the same order")
    joint = _joint_cells(before, after, grouping)
    draws = row_bootstrap(joint, resampling)
    rows = int((grouping.codes >= 0).sum())
    estimates = []
    for metric, rates in DISPARITIES.items():
        value = float(_disparity(rates, joint.sum(-2)) - _disparity(rates, joint.sum(-1)))
        changes = _disparity(rates, draws.sum(-2)) - _disparity(rates, draws.sum(-1))
        limits = NOTHING if np.isnan(value) else percentiles(changes, resampling.confidence)
        few = any(rate.trials(joint.sum(-1)).min(initial=FEWEST_ROWS) < FEWEST_ROWS for rate in rates)
        figure = _Figure(value, limits, rows, "lower", "partial" if few else grouping.status)
        estimates.append(_estimate(labels, metric, grouping.attribute, None, figure, resampling))
    return estimates


def accuracy_effect(before: Decisions, after: Decisions, labels: Labels, resampling: Resampling) -> Estimate:
    """Paired change of accuracy on the same rows, `after` minus `before`."""
    changes = (after.prediction == after.label).astype(int) - (before.prediction == before.label).astype(int)
    cells = np.array([(changes == step).sum() for step in (-1, 0, 1)])
    n = len(changes)
    draws = row_bootstrap(cells, resampling) @ np.array([-1, 0, 1]) / max(n, 1)
    value = float(changes.mean()) if n else float("nan")
    figure = _Figure(value, percentiles(draws, resampling.confidence), n, "higher")
    return _estimate(labels, "accuracy", None, None, figure, resampling)


def count_cells(decisions: Decisions, grouping: Grouping) -> Counts:
    """Rows per group, label and prediction, int64 [G, 2, 2]; rows without a group are left out."""
    cell = (grouping.codes * 2 + decisions.label) * 2 + decisions.prediction
    return np.bincount(cell[grouping.codes >= 0], minlength=len(grouping.names) * 4).reshape(-1, 2, 2)


def _joint_cells(before: Decisions, after: Decisions, grouping: Grouping) -> Counts:
    """[G, 2, 2, 2]: group x label x prediction before x prediction after."""
    cell = ((grouping.codes * 2 + before.label) * 2 + before.prediction) * 2 + after.prediction
    return np.bincount(cell[grouping.codes >= 0], minlength=len(grouping.names) * 8).reshape(-1, 2, 2, 2)


def _disparity(rates: tuple[Rate, ...], counts: NDArray) -> NDArray:
    """Largest difference between two groups in any of the rates; NaN if any group lacks a denominator or is alone."""
    if counts.shape[-3] < 2:
        return np.full(counts.shape[:-3], np.nan)
    values = [rate.of(counts) for rate in rates]
    return np.max([v.max(-1) - v.min(-1) for v in values], axis=0)  # max and min pass NaN on


def _estimate(
    labels: Labels, metric: str, attribute: str | None, group: str | None, figure: _Figure, resampling: Resampling
) -> Estimate:
    missing = bool(np.isnan(figure.value))
    return Estimate(
        task=labels.task,
        stage=labels.stage,
        model=labels.model,
        metric=metric,
        attribute=attribute,
        group=group,
        value=None if missing else figure.value,
        low=None if missing else figure.limits.low,
        high=None if missing else figure.limits.high,
        confidence=resampling.confidence,
        n=figure.n,
        status="not_estimable" if missing else figure.status,
        direction=figure.direction,
    )
