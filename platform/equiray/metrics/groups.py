"""Group metrics of binary decisions from counts: rates by group, disparities between groups, effects of a stage.

Everything is computed from one array of counts, ``counts[..., G, 2, 2]``: group x label x prediction. The same
functions serve the point estimate and the replicates of a row bootstrap, which for counts is a multinomial draw.
NaN means not estimable: a group without positives has no true positive rate, and no disparity that needs it.

Intervals here are plain: Wilson for the rate of a group, bootstrap percentiles for the rest. Disparities over
groups are never negative, so a percentile interval of theirs never reaches 0 and would find bias in any sample:
each pair of groups gets a signed interval instead, at the family's level (Bonferroni over pairs), and the limits of
the largest gap are read off those.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from equiray.metrics.clusters import Resampling
from equiray.metrics.estimates import Direction, Estimate

Counts = NDArray[np.int64]
Rates = Callable[[NDArray], NDArray]


def _ratio(part: NDArray, whole: NDArray) -> NDArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def selection_rate(counts: NDArray) -> NDArray:
    """P(prediction = 1 | group); range 0..1, descriptive. [..., G, 2, 2] -> [..., G]."""
    return _ratio(counts[..., 1].sum(-1), counts.sum((-1, -2)))


def tpr(counts: NDArray) -> NDArray:
    """P(prediction = 1 | label = 1, group), true positive rate; range 0..1, higher is better; NaN without positives."""
    return _ratio(counts[..., 1, 1], counts[..., 1, :].sum(-1))


def fpr(counts: NDArray) -> NDArray:
    """P(prediction = 1 | label = 0, group), false positive rate; range 0..1, lower is better; NaN without negatives."""
    return _ratio(counts[..., 0, 1], counts[..., 0, :].sum(-1))


def accuracy(counts: NDArray) -> NDArray:
    """P(prediction = label | group); range 0..1, higher is better."""
    return _ratio(counts[..., 0, 0] + counts[..., 1, 1], counts.sum((-1, -2)))


GROUP_RATES: Mapping[str, tuple[Rates, Direction]] = {
    "selection_rate": (selection_rate, "none"),
    "tpr": (tpr, "higher"),
    "fpr": (fpr, "lower"),
    "accuracy": (accuracy, "higher"),
}

DISPARITIES: Mapping[str, tuple[Rates, ...]] = {
    # the largest difference between two groups in any of the rates; range 0..1, 0 = equal, lower is fairer
    "demographic_parity_difference": (selection_rate,),
    "accuracy_parity_difference": (accuracy,),
    "equal_opportunity_difference": (tpr,),
    "equalized_odds_difference_max": (tpr, fpr),
}


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
    def of(cls, attribute: str, values: Sequence[str | None]) -> "Grouping":
        """Groups in alphabetical order."""
        names = sorted({value for value in values if value is not None})
        place = {name: code for code, name in enumerate(names)}
        return cls(attribute, np.array([-1 if v is None else place[v] for v in values]), tuple(names))


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What every estimate of one evaluation has in common."""

    task: str
    stage: str
    model: str


def group_estimates(decisions: Decisions, grouping: Grouping, labels: Labels, resampling: Resampling) -> list[Estimate]:
    """Rates of every group and disparities between groups, for one attribute.

    Rows whose sensitive value is missing belong to no group here; a disparity that leaves rows out for that reason
    has status ``partial``.
    """
    known = grouping.codes >= 0
    counts = count_cells(decisions, grouping)
    status = "estimated" if known.all() else "partial"
    draws = _draws(counts, resampling)
    estimates = []
    for metric, (rates, direction) in GROUP_RATES.items():
        values = rates(counts)
        denominators = _denominator(metric, counts)
        for code, name in enumerate(grouping.names):
            low, high = wilson(values[code], denominators[code], resampling.confidence)
            figures = (values[code], low, high, denominators[code])
            estimates.append(_estimate(labels, metric, grouping.attribute, name, figures, resampling, direction))
    for metric, rates in DISPARITIES.items():
        low, high = _projected_limits(rates, counts, draws, resampling)
        figures = (float(_disparity(rates, counts)), low, high, int(known.sum()))
        estimate = _estimate(labels, metric, grouping.attribute, None, figures, resampling, "lower", status)
        estimates.append(estimate)
    return estimates


def unanswered_estimates(
    unanswered: NDArray[np.bool_], grouping: Grouping, labels: Labels, resampling: Resampling
) -> list[Estimate]:
    """``refusal_rate`` of each group: share of its rows for which a model gave no usable answer; lower is better."""
    estimates = []
    for code, name in enumerate(grouping.names):
        mine = unanswered[grouping.codes == code]
        rate = float(mine.mean()) if len(mine) else float("nan")
        figures = (rate, *wilson(rate, len(mine), resampling.confidence), len(mine))
        estimates.append(_estimate(labels, "refusal_rate", grouping.attribute, name, figures, resampling, "lower"))
    return estimates


def accuracy_estimate(decisions: Decisions, labels: Labels, resampling: Resampling) -> Estimate:
    """Accuracy over all rows, with a Wilson interval."""
    n = len(decisions.label)
    value = float(np.mean(decisions.label == decisions.prediction)) if n else float("nan")
    low, high = wilson(value, n, resampling.confidence)
    return _estimate(labels, "accuracy", None, None, (value, low, high, n), resampling, "higher")


def stage_effects(
    before: Decisions, after: Decisions, grouping: Grouping, labels: Labels, resampling: Resampling
) -> list[Estimate]:
    """Paired change of accuracy and of every disparity, `after` minus `before`, on the same rows.

    The bootstrap draws rows, so both predictions of a row stay together. A negative change of a disparity is fairer.

    Raises
    ------
    ValueError
        The two have not the same labels row by row.
    """
    if not np.array_equal(before.label, after.label):
        raise ValueError("a paired effect needs predictions of the same rows in the same order")
    known = grouping.codes >= 0
    joint = _joint_cells(before, after, grouping)
    draws = _draws(joint, resampling)
    status = "estimated" if known.all() else "partial"
    estimates = []
    for metric, rates in DISPARITIES.items():

        def change(cells: NDArray, rates: tuple[Rates, ...] = rates) -> NDArray:
            return _disparity(rates, cells.sum(-2)) - _disparity(rates, cells.sum(-1))

        low, high = _percentiles(change(draws), resampling.confidence)
        figures = (float(change(joint)), low, high, int(known.sum()))
        estimate = _estimate(labels, metric, grouping.attribute, None, figures, resampling, "lower", status)
        estimates.append(estimate)
    return estimates


def accuracy_effect(before: Decisions, after: Decisions, labels: Labels, resampling: Resampling) -> Estimate:
    """Paired change of accuracy on the same rows, `after` minus `before`."""
    right = (before.prediction == before.label).astype(int), (after.prediction == after.label).astype(int)
    changes = right[1] - right[0]
    cells = np.array([(changes == step).sum() for step in (-1, 0, 1)])
    draws = _draws(cells, resampling) @ np.array([-1, 0, 1]) / len(changes)
    low, high = _percentiles(draws, resampling.confidence)
    figures = (float(changes.mean()), low, high, len(changes))
    return _estimate(labels, "accuracy", None, None, figures, resampling, "higher")


def count_cells(decisions: Decisions, grouping: Grouping) -> Counts:
    """Rows per group, label and prediction, int64 [G, 2, 2]; rows without a group are left out."""
    known = grouping.codes >= 0
    cell = (grouping.codes * 2 + decisions.label) * 2 + decisions.prediction
    return np.bincount(cell[known], minlength=len(grouping.names) * 4).reshape(-1, 2, 2)


def wilson(rate: float, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a binomial rate (Wilson 1927); NaN where `n` is 0."""
    if n == 0:
        return float("nan"), float("nan")
    z = float(norm.ppf((1 + confidence) / 2))
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def _joint_cells(before: Decisions, after: Decisions, grouping: Grouping) -> Counts:
    """[G, 2, 2, 2]: group x label x prediction before x prediction after."""
    known = grouping.codes >= 0
    cell = ((grouping.codes * 2 + before.label) * 2 + before.prediction) * 2 + after.prediction
    return np.bincount(cell[known], minlength=len(grouping.names) * 8).reshape(-1, 2, 2, 2)


def _disparity(rates: tuple[Rates, ...], counts: NDArray) -> NDArray:
    """Largest difference between two groups in any of the rates; NaN if any group lacks a denominator or is alone."""
    if counts.shape[-3] < 2:
        return np.full(counts.shape[:-3], np.nan)
    values = [rate(counts) for rate in rates]
    return np.max([v.max(-1) - v.min(-1) for v in values], axis=0)  # max and min pass NaN on


def _projected_limits(
    rates: tuple[Rates, ...], counts: Counts, draws: NDArray, resampling: Resampling
) -> tuple[float, float]:
    pairs = list(combinations(range(len(counts)), 2))
    if not pairs or np.isnan(_disparity(rates, counts)):
        return float("nan"), float("nan")
    confidence = 1 - (1 - resampling.confidence) / (len(pairs) * len(rates))
    low, high = 0.0, 0.0
    for rate in rates:
        values = rate(draws)
        for one, other in pairs:
            bottom, top = _percentiles(values[:, one] - values[:, other], confidence)
            low, high = max(low, bottom, -top), max(high, top, -bottom)
    return low, high


def _draws(cells: Counts, resampling: Resampling) -> NDArray:
    """Row bootstrap of a table of counts: [replicates, *cells.shape]."""
    generator = np.random.default_rng(resampling.seed)
    total = int(cells.sum())
    if total == 0:
        return np.zeros((resampling.replicates, *cells.shape), dtype=np.int64)
    drawn = generator.multinomial(total, cells.ravel() / total, size=resampling.replicates)
    return drawn.reshape(resampling.replicates, *cells.shape)


def _percentiles(values: NDArray, confidence: float) -> tuple[float, float]:
    if np.isnan(values).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _denominator(metric: str, counts: Counts) -> NDArray[np.int64]:
    if metric == "tpr":
        return counts[..., 1, :].sum(-1)
    if metric == "fpr":
        return counts[..., 0, :].sum(-1)
    return counts.sum((-1, -2))


def _estimate(
    labels: Labels,
    metric: str,
    attribute: str | None,
    group: str | None,
    figures: tuple[float, float, float, int],
    resampling: Resampling,
    direction: Direction,
    status: str = "estimated",
) -> Estimate:
    value, low, high, n = figures
    missing = bool(np.isnan(value))
    return Estimate(
        task=labels.task,
        stage=labels.stage,
        model=labels.model,
        metric=metric,
        attribute=attribute,
        group=group,
        value=None if missing else float(value),
        low=None if missing else low,
        high=None if missing else high,
        confidence=resampling.confidence,
        n=int(n),
        status="not_estimable" if missing else status,  # type: ignore[arg-type]
        direction=direction,
    )
