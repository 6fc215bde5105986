"""How estimates change from one model to another on the same rows: joint counts to `Estimate` records.

Notable: rows that one of the models did not answer are left out of the value, and rows of no known group out of what
compares groups; the limits allow for all that they may be (`paired.Ends`), and the status is ``partial``. What is made
of scores, and each group's ratio to the highest, has no paired limits here and is left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.catalogue import METRICS
from equiray.metrics.disparities import COMBINED
from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation.records import Columns, Setting, to_estimates
from equiray.metrics.estimation.shapes import each_part
from equiray.metrics.estimation.unknown import known
from equiray.metrics.intervals.bootstrap import FEWEST_EVENTS
from equiray.metrics.intervals.limits import Completed, Counted, Interval, rate
from equiray.metrics.metric import Metric
from equiray.metrics.paired import Ends, PairedRate, paired_rate
from equiray.metrics.paired_disparities import disparity_change
from equiray.metrics.rates import Rate
from equiray.metrics.tables import MISSING, JointTable, Mass


def changes_of(tables: Sequence[JointTable], setting: Setting) -> list[Estimate]:
    """The change, second model minus first, of every metric that is made of rates.

    Parameters
    ----------
    tables : the same rows by different attributes
    setting : Setting
        Labels and confidence of the estimates, each by itself. Of more than two classes, metrics that are about a
        positive one are left out.

    Returns
    -------
    list of Estimate
        First over all rows (attribute None), then for each attribute: of its groups, and of what compares them. `n`
        counts rows that both answered and that are in a denominator of either.
    """
    return [estimate for change in _changes(tables) for estimate in _records(change, setting)]


class _Change(NamedTuple):
    """Changes of one metric: of `groups`, or of one figure (group None)."""

    metric: Metric
    attribute: str | None
    groups: tuple[str | None, ...]
    pairs: tuple[PairedRate, ...]


def _changes(tables: Sequence[JointTable]) -> Iterator[_Change]:
    whole = each_part(tables[0].mass, lambda part: part.sum(0, keepdims=True))
    for metric in _metrics(tables[0]):
        if metric.scope == "group":
            yield _Change(metric, None, (None,), _pairs(metric, whole))
    for table in tables:
        people, missing = _people_and_missing(table)
        for metric in _metrics(table):
            if metric.scope == "group":
                yield _Change(metric, table.attribute, table.groups, _pairs(metric, table.mass))
            else:
                yield _Change(metric, table.attribute, (None,), _pairs(metric, people, missing))


def _metrics(table: JointTable) -> Iterator[Metric]:
    for metric in METRICS.values():
        if metric.reads == "mass" and metric.scope != "relative" and not (metric.binary and len(table.classes) > 2):
            yield metric


def _people_and_missing(table: JointTable) -> tuple[Mass, Mass | None]:
    """Rows of the groups that are compared, and those that may belong to any of them."""
    if MISSING not in table.groups:
        return table.mass, None
    place = table.groups.index(MISSING)
    people = each_part(table.mass, lambda part: np.delete(part, place, axis=0))
    return people, each_part(table.mass, lambda part: part[[place]])


def _pairs(metric: Metric, joint: Mass, joining: Mass | None = None) -> tuple[PairedRate, ...]:
    return tuple(_pair(of, joint, joining) for of in metric.rates)


def _pair(of: Rate, joint: Mass, joining: Mass | None) -> PairedRate:
    pair = paired_rate(of, joint)
    ends = [known(of, _summed(joint, axis), joining and _summed(joining, axis)) for axis in (-1, -2)]
    if not any(end.partial.any() for end in ends):
        return pair
    return replace(pair, ends=Ends(*(_completed(end.of) for end in ends)))


def _summed(joint: Mass, axis: int) -> Mass:
    """Counts of one model's predictions: the sum over those of the other."""
    return each_part(joint, lambda part: part.sum(axis))


def _completed(of: Counted | Completed) -> Completed:
    return of if isinstance(of, Completed) else Completed(of, of)


def _records(change: _Change, setting: Setting) -> Iterator[Estimate]:
    metric, attribute, groups, pairs = change
    rows = np.sum([pair.rows for pair in pairs], axis=0)
    doubt = np.any([_open(pair) | _few(pair) for pair in pairs], axis=0)
    if metric.scope == "group":
        (pair,) = pairs
        values, limits = pair.change, pair.interval(setting.confidence)
    else:
        values, limits = _disparity(metric, pairs, setting.confidence)
        rows, doubt = rows.sum(keepdims=True), doubt.any(keepdims=True)
    low, high = (np.where(np.isnan(values), np.nan, limit) for limit in limits)
    yield from to_estimates(metric, attribute, groups, Columns(values, low, high, rows, doubt), setting)


def _disparity(metric: Metric, pairs: Sequence[PairedRate], confidence: float) -> tuple[NDArray[np.float64], Interval]:
    """Value and limits of the change of a disparity, each [1]; NaN where a group has nothing to compare."""
    combined = metric.interval
    assert combined not in ("rate", "smooth", "bins", "none"), f"{metric.id} compares groups by their rates"
    if not pairs[0].rows.size:
        return np.full(1, np.nan), Interval(*np.full((2, 1), np.nan))
    first, second = [pair.first for pair in pairs], [pair.second for pair in pairs]
    before, after = ([rate(counted) for counted in of] for of in (first, second))
    value = COMBINED[combined](after) - COMBINED[combined](before)
    limits = disparity_change(combined, pairs, confidence)
    return np.atleast_1d(value), Interval(*(np.atleast_1d(limit) for limit in limits))


def _open(pair: PairedRate) -> NDArray[np.bool_]:
    return np.zeros(pair.rows.shape, bool) if pair.ends is None else pair.ends.open


def _few(pair: PairedRate) -> NDArray[np.bool_]:
    """Where correlated intervals are combined and rest on too few events, or others."""
    if pair.discordant is not None:
        return np.zeros(pair.rows.shape, bool)
    fewest = [np.minimum(events, np.subtract(trials, events)) for events, trials in (pair.first, pair.second)]
    return np.min(fewest, axis=0) < FEWEST_EVENTS
