r"""What changes from one model to another on the same rows, with limits that hold for all changes at once.

Notable: what both models share cancels row by row, so limits of a change of rates come from joint counts
(`estimation.changes`), and those of a mean over rows from the rows' own differences. Areas under the curve, calibration
errors and what compares groups' means have no paired limits here: their change lies between the models' own limits,

.. math:: l_B - u_A \le \theta_B - \theta_A \le u_B - l_A,

each at half the error, which is wider, and right whatever the two have in common.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation.changes import changes_of
from equiray.metrics.estimation.figures import Figure
from equiray.metrics.estimation.records import Columns, Setting, figures_of, to_estimates
from equiray.metrics.estimation.shapes import each_part, everyone, only
from equiray.metrics.estimation.targeted import prediction_moments
from equiray.metrics.intervals.limits import Interval
from equiray.metrics.intervals.means import mean_interval
from equiray.metrics.intervals.shifts import Shifts, shift_interval
from equiray.metrics.rates import divide
from equiray.metrics.tables import GroupTable, JointTable

SAME_CLAIM: Mapping[str, str] = {
    "tnr": "fpr",
    "fnr": "tpr",
    "fnr_difference": "equal_opportunity_difference",
    "equalized_odds_difference_mean": "equalized_odds_difference_sum",
}
"""Metrics that change exactly as another one does, up to sign and scale: together with it they are one claim."""

_UNANSWERED = ("refusal_rate", "parse_failure_rate")
_BOUNDS = {"brier": (-1.0, 1.0), "mean_score": (-1.0, 1.0)}


@dataclass(frozen=True, kw_only=True)
class PairedTables:
    """Tables of two models over the same rows, each sequence in the order of the same attributes.

    `joint` is empty where the target is real-valued. `shifts` has, by metric that is a mean over rows, tables of what
    each row changes in it (`counting.joint`), as the targets' predictions.
    """

    first: Sequence[GroupTable]
    second: Sequence[GroupTable]
    joint: Sequence[JointTable]
    shifts: Mapping[str, Sequence[GroupTable]]


class Families(NamedTuple):
    """How many claims hold at once: those over all groups together, and those about single groups."""

    overall: int
    groups: int


class Comparison(NamedTuple):
    """Changes, second model minus first, and the families within which their limits hold at once."""

    estimates: list[Estimate]
    families: Families


def compare(tables: PairedTables, setting: Setting) -> Comparison:
    """The change of every figure that both models have, but for each group's place among the others.

    Rates of unanswered rows are left out where both models answered all. The error is split evenly over the claims of
    a family (Bonferroni); an estimate's `confidence` is its own, `setting.confidence` that of its whole family.
    """
    plain = _changes(tables, setting)
    claims = {(SAME_CLAIM.get(e.metric, e.metric), e.attribute, e.group) for e in plain}
    single = sum(group is not None for _, _, group in claims)
    sizes = Families(len(claims) - single, single)
    found: dict[bool, list[Estimate]] = {}
    for of_groups, size in ((False, sizes.overall), (True, sizes.groups)):
        at_once = replace(setting, confidence=1 - (1 - setting.confidence) / max(1, size))
        found[of_groups] = _changes(tables, at_once)
    return Comparison([found[e.group is not None][place] for place, e in enumerate(plain)], sizes)


def differing(joint: JointTable) -> int:
    """Rows about which the two models do not say the same."""
    count = joint.mass.count
    return int(count.sum() - np.trace(count, axis1=-2, axis2=-1).sum())


def _changes(tables: PairedTables, setting: Setting) -> list[Estimate]:
    """At `setting.confidence` each; over all rows first, then of each attribute's groups and of what compares them."""
    found = _rate_changes(tables.joint, setting) if tables.joint else []
    for change in _other_changes(tables, setting.positive):
        found += _records(change, setting)
    order = [None, *(table.attribute for table in tables.first)]
    return sorted(found, key=lambda e: (order.index(e.attribute), e.attribute is not None and e.group is None))


def _rate_changes(joint: Sequence[JointTable], setting: Setting) -> list[Estimate]:
    found = changes_of(joint, setting)
    classes = len(joint[0].classes)
    if classes > 2 and setting.positive is not None:
        known = {e.metric for e in found}
        two = [one_against_rest(table, setting.positive) for table in joint]
        found += [e for e in changes_of(two, setting) if e.metric not in known]
    count = joint[0].mass.count
    if not count[:, :, classes:].any() and not count[..., classes:].any():
        found = [e for e in found if e.metric not in _UNANSWERED]
    return found


def one_against_rest(table: JointTable, positive: str) -> JointTable:
    """Joint counts with two classes, the positive one last; of two classes the other keeps its name.

    Raises
    ------
    ValueError
        There is no such class.
    """
    if positive not in table.classes:
        raise ValueError(f"positive class {positive!r}: the classes are {', '.join(table.classes)}")
    place, classes = table.classes.index(positive), len(table.classes)
    other = table.classes[1 - place] if classes == 2 else f"not {positive}"

    def along(part: NDArray[Any], axis: int) -> NDArray[Any]:
        decided, rest = np.split(part, [classes], axis=axis)
        others = np.delete(decided, place, axis=axis).sum(axis, keepdims=True)
        return np.concatenate([others, np.take(decided, [place], axis=axis), rest], axis=axis)

    mass = each_part(table.mass, lambda part: along(along(along(part, -3), -2), -1))
    return replace(table, classes=(other, positive), mass=mass)


@dataclass(frozen=True, kw_only=True)
class _Change:
    """A figure under either model, and the rows' own differences where it is a mean over rows."""

    attribute: str | None
    first: Figure
    second: Figure
    shift: GroupTable | None

    @property
    def partial(self) -> NDArray[np.bool_]:
        return self.first.partial | self.second.partial

    def limits(self, confidence: float) -> Interval:
        first, second = (figure.limits(1 - (1 - confidence) / 2) for figure in (self.first, self.second))
        apart = Interval(second.low - first.high, second.high - first.low)
        if self.shift is None:
            return apart
        paired = mean_change(self.shift, self.first.metric.id, confidence)
        return Interval(*(np.where(self.partial, other, one) for one, other in zip(paired, apart, strict=True)))


def _other_changes(tables: PairedTables, positive: str | None) -> Iterator[_Change]:
    """Of figures that are not made of rates of decisions."""
    attributes = [table.attribute for table in tables.first]
    pairs = zip(figures_of(tables.first, positive), figures_of(tables.second, positive), strict=True)
    for (attribute, first), (_, second) in pairs:
        metric = first.metric
        if metric.reads == "mass" or metric.scope == "relative":
            continue
        shift = None
        if metric.id in tables.shifts:
            of_attribute = tables.shifts[metric.id][0 if attribute is None else attributes.index(attribute)]
            kept = frozenset(first.read.table.groups)
            shift = everyone(of_attribute) if attribute is None else only(of_attribute, kept)
        yield _Change(attribute=attribute, first=first, second=second, shift=shift)


def _records(change: _Change, setting: Setting) -> Iterator[Estimate]:
    first, second = change.first, change.second
    values, rows = second.values - first.values, np.minimum(first.rows, second.rows)
    low, high = (np.where(np.isnan(values), np.nan, limit) for limit in change.limits(setting.confidence))
    groups = first.groups if change.attribute is not None else (None,)
    columns = Columns(values, low, high, rows, change.partial)
    yield from to_estimates(first.metric, change.attribute, groups, columns, setting)


def mean_change(table: GroupTable, metric: str, confidence: float) -> Interval:
    """Limits of the mean of the rows' differences, which stand as predictions of the target 0, [G].

    Weighted rows count as their effective number.
    """
    sums = table.targets
    assert sums is not None
    if metric not in _BOUNDS:
        return mean_interval(prediction_moments(sums), confidence)
    of = prediction_moments(sums, *_BOUNDS[metric])
    absolute = sums.absolute_error * divide(np.asarray(of.rows), sums.rows)
    return shift_interval(Shifts(of.rows, of.total, absolute, of.squares), confidence)
