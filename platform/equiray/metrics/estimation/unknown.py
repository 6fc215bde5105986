"""What a rate could be if the rows were known that it leaves out: unanswered ones, and those of no known group.

Notable: what such a row may count as follows from the rate itself. An unanswered row of label k may turn out as any of
the classes; a row of no known group may be of this group or not. So nothing is said here about any particular rate.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.intervals.limits import Completed, Counted
from equiray.metrics.intervals.weighted import Weights, effective
from equiray.metrics.rates import Rate
from equiray.metrics.tables import UNANSWERED, Mass

_Array = NDArray[Any]


class Known(NamedTuple):
    """A rate as it can be known: `of` its counts, `partial` [G] where rows that are left out could change it."""

    of: Counted | Completed
    partial: NDArray[np.bool_]


class _Sides(NamedTuple):
    """Rows with the event and rows without, [G]."""

    events: _Array
    others: _Array


class _Outcomes(NamedTuple):
    """What a row of label k can turn out as, bool [K, C] for each of the C rates that a group has of this kind."""

    event: _Array
    other: _Array
    neither: _Array


def known(rate: Rate, mass: Mass, joining: Mass | None = None) -> Known:
    """Events and trials of a rate, completed both ways where rows are left out that could change it.

    Parameters
    ----------
    rate : Rate
    mass : Mass
        Of the groups, [G, K, K + 2]. Weighted rows give effective numbers.
    joining : Mass, optional
        Rows that may belong to any of the groups, [1, K, K + 2]. Each group is completed by itself, so what comes of
        all groups together is as wide as any assignment of these rows, or wider.
    """
    parts = _parts(mass)
    others = [part[:1] * 0 for part in parts] if joining is None else _parts(joining)
    lowest, highest = (
        [_completed(rate, *pair, in_favour) for pair in zip(parts, others, strict=True)] for in_favour in (False, True)
    )
    left_out = [
        (end.events + end.others != rate.trials(mass.count)) | (end.events != rate.events(mass.count))
        for end in (lowest[0], highest[0])
    ]
    partial = left_out[0] | left_out[1]
    if not partial.any():
        return Known(counted(rate, mass), partial)
    return Known(Completed(_counted(lowest), _counted(highest)), partial)


def counted(rate: Rate, mass: Mass) -> Counted:
    """Events and trials of a rate as they stand: counts, or of weighted rows effective numbers; [G]."""
    return _counted([_Sides(rate.events(part), rate.others(part)) for part in _parts(mass)])


def _parts(mass: Mass) -> list[_Array]:
    """Counts, and of weighted rows the sums of w and of w^2."""
    return [part for part in mass if part is not None]


def _counted(parts: list[_Sides]) -> Counted:
    """From counts alone, or from counts, sums of weights and sums of their squares."""
    if len(parts) == 1:
        ((events, others),) = parts
        return Counted(events, events + others)
    _, weight, squared = parts
    return effective(Weights(weight.events, squared.events), Weights(weight.others, squared.others))


def _completed(rate: Rate, mass: _Array, joining: _Array, in_favour: bool) -> _Sides:
    """The rate's rows if all that are left out were as bad as can be for it, or as good."""
    classes = mass.shape[-2]
    can = _outcomes(rate, classes)
    unanswered, joined = (part[..., classes:].sum(-1) for part in (mass, joining))  # [G, K], [1, K]
    if in_favour:
        gained, lost = can.event, ~can.event & ~can.neither & can.other
        more = _Sides(rate.events(joining) + (joined @ can.event).ravel(), 0 * rate.others(joining))
    else:
        gained, lost = ~can.other & ~can.neither & can.event, can.other
        more = _Sides(0 * rate.events(joining), rate.others(joining) + (joined @ can.other).ravel())
    groups = len(mass)
    return _Sides(
        rate.events(mass) + (unanswered @ gained).ravel() + np.tile(more.events, groups),
        rate.others(mass) + (unanswered @ lost).ravel() + np.tile(more.others, groups),
    )


@lru_cache(maxsize=256)
def _outcomes(rate: Rate, classes: int) -> _Outcomes:
    """Read off the rate itself, label by label: of one row with each decision, how many are events, others, neither."""
    rows = np.zeros((1, classes, classes + len(UNANSWERED)), np.uint8)
    rows[..., classes:] = 1
    if (counted := rate.trials(rows)).any():  # it counts unanswered rows as such: they are what they are
        nothing = np.zeros((classes, counted.size), bool)
        return _Outcomes(nothing, nothing, ~nothing)
    events, others = np.zeros((2, classes, counted.size), np.int64)
    for label in range(classes):
        rows[:] = 0
        rows[0, label, :classes] = 1
        events[label], others[label] = rate.events(rows), rate.others(rows)
    return _Outcomes(events > 0, others > 0, events + others < classes)
