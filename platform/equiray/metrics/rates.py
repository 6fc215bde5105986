"""Rates of each group: how many of its rows, out of those that count.

Notable: all rates read one array, ``mass[..., G, K, P]``: group x label x prediction, counts or sums of weights, with
any number of replicates in the leading axes. The K first predictions are the classes (the positive one last), those
after them rows without a decision (`UNANSWERED`). These are left out of every rate but the two last ones, which count
them; what they could change is a matter of bounds. A group named `MISSING` is a group like any other here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.tables import UNANSWERED, Mass

Array = NDArray[Any]


class Rate(NamedTuple):
    """`events` / (`events` + `others`): two functions of mass [..., G, K, P] -> [..., G].

    The two are disjoint and not nested, so that rounding of summed weights cannot take a rate above 1.
    """

    events: Callable[[Array], Array]
    others: Callable[[Array], Array]

    def trials(self, mass: Array) -> Array:
        """The denominator, [..., G]."""
        return self.events(mass) + self.others(mass)

    def of(self, mass: Array) -> NDArray[np.float64]:
        """The rate [..., G], NaN where the denominator is empty: not estimable."""
        return divide(self.events(mass), self.trials(mass))


def divide(part: Array, whole: Array) -> NDArray[np.float64]:
    """`part` / `whole`, NaN where `whole` is not positive."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(whole) > 0, part / np.asarray(whole, dtype=np.float64), np.nan)


def amounts(mass: Mass) -> Array:
    """What a rate reads: sums of weights where rows have them, else counts."""
    return mass.count if mass.weight is None else mass.weight


def one_versus_rest(mass: Array, positive: int) -> Array:
    """Two classes out of K: the class at place `positive` against all others.

    Parameters
    ----------
    mass : [..., G, K, K + U]
        U >= 0 kinds of unanswered rows.
    positive : int
        Place of the class among the K, from 0.

    Returns
    -------
    [..., G, 2, 2 + U]
        The named class last, like every positive class.
    """
    classes = mass.shape[-2]
    if not 0 <= positive < classes:
        raise ValueError(f"there is no class {positive} among {classes}")
    labels = _two(mass, positive, axis=-2)
    decided = _two(labels[..., :classes], positive, axis=-1)
    return np.concatenate([decided, labels[..., classes:]], axis=-1)


def _two(mass: Array, positive: int, axis: int) -> Array:
    rest = np.delete(mass, positive, axis=axis).sum(axis, keepdims=True)
    return np.concatenate([rest, np.take(mass, [positive], axis=axis)], axis=axis)


def _decided(mass: Array) -> Array:
    return mass[..., : mass.shape[-2]]


def _binary(mass: Array) -> Array:
    if mass.shape[-2] != 2:
        raise ValueError(f"this rate needs two classes, not {mass.shape[-2]}: name one (`one_versus_rest`)")
    return mass[..., :2]


def _right(mass: Array) -> Array:
    """Rows decided as labelled, by label [..., G, K]."""
    return np.diagonal(_decided(mass), axis1=-2, axis2=-1)


def _wrong(mass: Array) -> Array:
    """Rows decided otherwise than labelled, by label [..., G, K]."""
    return np.where(np.eye(mass.shape[-2], dtype=bool), 0, _decided(mass)).sum(-1)


def _flat(by_label: Array) -> Array:
    return by_label.reshape(*by_label.shape[:-2], -1)


def _unanswered(mass: Array, kind: str) -> Array:
    if mass.shape[-1] != mass.shape[-2] + len(UNANSWERED):
        raise ValueError(f"predictions {mass.shape[-1]} of {mass.shape[-2]} classes do not tell unanswered rows apart")
    return mass[..., mass.shape[-2] + UNANSWERED.index(kind)].sum(-1)


def _all_but(mass: Array, kind: str) -> Array:
    left_out = mass.shape[-2] + UNANSWERED.index(kind)
    return np.delete(mass, left_out, axis=-1).sum((-1, -2))


SELECTION_RATE = Rate(lambda m: _binary(m)[..., 1].sum(-1), lambda m: _binary(m)[..., 0].sum(-1))
"""P(ŷ=1 | g). Range 0..1; descriptive; 0 = nobody in the group is selected."""

TPR = Rate(lambda m: _binary(m)[..., 1, 1], lambda m: _binary(m)[..., 1, 0])
"""P(ŷ=1 | y=1, g). Range 0..1; higher is better; 0 = no positive row is found."""

FPR = Rate(lambda m: _binary(m)[..., 0, 1], lambda m: _binary(m)[..., 0, 0])
"""P(ŷ=1 | y=0, g). Range 0..1; lower is better; 0 = no negative row is selected."""

TNR = Rate(FPR.others, FPR.events)
"""P(ŷ=0 | y=0, g). Range 0..1; higher is better; 0 = every negative row is selected."""

FNR = Rate(TPR.others, TPR.events)
"""P(ŷ=0 | y=1, g). Range 0..1; lower is better; 0 = every positive row is found."""

PPV = Rate(lambda m: _binary(m)[..., 1, 1], lambda m: _binary(m)[..., 0, 1])
"""P(y=1 | ŷ=1, g). Range 0..1; higher is better; 0 = every selected row is a negative one."""

ACCURACY = Rate(lambda m: _right(m).sum(-1), lambda m: _wrong(m).sum(-1))
"""P(ŷ=y | g), over all classes. Range 0..1; higher is better; 0 = every decision is wrong."""

CELL_ACCURACY = Rate(lambda m: _flat(_right(m)), lambda m: _flat(_wrong(m)))
"""P(ŷ=y | y, g) of each group x label cell, [..., G * K], the labels of a group side by side.

Range 0..1; higher is better; 0 = every decision in the cell is wrong.
"""

REFUSAL_RATE = Rate(lambda m: _unanswered(m, UNANSWERED[0]), lambda m: _all_but(m, UNANSWERED[0]))
"""P(refused | g), over all rows. Range 0..1; lower is better; 0 = no row is refused."""

PARSE_FAILURE_RATE = Rate(lambda m: _unanswered(m, UNANSWERED[1]), lambda m: _all_but(m, UNANSWERED[1]))
"""P(unparsed | g), over all rows. Range 0..1; lower is better; 0 = every answer is understood."""
