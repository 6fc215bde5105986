"""Tables made from tables: all groups as one, some alone, groups without a row, another class as the positive one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.rates import one_versus_rest
from equiray.metrics.tables import MISSING, UNANSWERED, GroupTable, Mass, ScoreCounts, ScoreSums, TargetSums

EVERYONE = "(all)"
"""The one group of a table of all rows."""

_Array = NDArray[Any]
_Part = TypeVar("_Part", Mass, ScoreSums, TargetSums)


def everyone(table: GroupTable) -> GroupTable:
    """All rows as one group, those whose sensitive value is missing too."""

    def total(part: _Array) -> _Array:
        return part.sum(0, keepdims=True)

    return replace(_over_groups(table, total), groups=(EVERYONE,))


def only(table: GroupTable, names: frozenset[str]) -> GroupTable:
    """The table of some of its groups, in its order, as if no other had a row."""
    kept = [place for place, name in enumerate(table.groups) if name in names]

    def take(part: _Array) -> _Array:
        return np.take(part, kept, axis=0)

    return replace(_over_groups(table, take), groups=tuple(table.groups[place] for place in kept))


def without(table: GroupTable, names: frozenset[str]) -> GroupTable:
    """The table as if these groups had no row."""
    return only(table, frozenset(table.groups) - names)


def listed(table: GroupTable, names: Sequence[str]) -> GroupTable:
    """The table with all these groups, in that order; those that it does not have get no row. `MISSING` stays last.

    Raises
    ------
    ValueError
        The table has a group that is not among them.
    """
    strange = set(table.groups) - {MISSING, *names}
    if strange:
        raise ValueError(f"groups {sorted(strange)} of {table.attribute} are not among {', '.join(names)}")
    groups = (*names, *([MISSING] if MISSING in table.groups else []))
    places = [groups.index(name) for name in table.groups]

    def spread(part: _Array) -> _Array:
        found = np.zeros((len(groups), *part.shape[1:]), part.dtype)
        found[places] = part
        return found

    return replace(_over_groups(table, spread), groups=groups)


def missing_rows(table: GroupTable) -> GroupTable | None:
    """The rows whose sensitive value is missing, None where it never is."""
    return only(table, frozenset({MISSING})) if MISSING in table.groups else None


def with_positive(table: GroupTable, positive: str) -> GroupTable:
    """The table with a class as the positive one, which is the last.

    Of more than two classes the others become one, ``not`` it: rates of a positive class are about two.

    Raises
    ------
    ValueError
        There is no such class.
    """
    if positive not in table.classes:
        raise ValueError(f"positive class {positive!r}: the classes are {', '.join(table.classes)}")
    place = table.classes.index(positive)
    if len(table.classes) > 2:
        assert table.mass is not None, "scores are those of two classes"
        mass = each_part(table.mass, lambda part: one_versus_rest(part, place))
        return replace(table, classes=(f"not {positive}", positive), mass=mass)
    order = [1 - place, place]
    decided = [*order, *range(2, 2 + len(UNANSWERED))]
    mass, scores, sums = table.mass, table.scores, table.score_sums
    return replace(
        table,
        classes=(table.classes[1 - place], positive),
        mass=mass and each_part(mass, lambda part: part[..., order, :][..., decided]),
        scores=scores and _scores(scores, lambda part: part[..., order, :]),
        score_sums=sums and each_part(sums, lambda part: part[..., order, :]),
    )


def _over_groups(table: GroupTable, change: Callable[[_Array], _Array]) -> GroupTable:
    return replace(
        table,
        mass=table.mass and each_part(table.mass, change),
        scores=table.scores and _scores(table.scores, change),
        score_sums=table.score_sums and each_part(table.score_sums, change),
        targets=table.targets and each_part(table.targets, change),
    )


def _scores(scores: ScoreCounts, change: Callable[[_Array], _Array]) -> ScoreCounts:
    changed: list[Any] = [None if part is None else change(part) for part in scores[2:]]
    return ScoreCounts(scores.values, scores.exact, *changed)


def each_part(parts: _Part, change: Callable[[_Array], _Array]) -> _Part:
    """The same function of every part that there is: of counts, and of sums of weights."""
    changed: list[Any] = [None if part is None else change(part) for part in parts]
    return type(parts)(*changed)
