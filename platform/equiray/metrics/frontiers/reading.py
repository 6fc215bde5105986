"""A frontier's rules applied to other rows than those that chose them."""

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.metrics.frontiers.curves import Split, disparity_of, group_curves, lacking
from equiray.metrics.frontiers.rules import Frontier, FrontierReading, Read, Trade
from equiray.metrics.intervals.binomial import rate_interval
from equiray.metrics.intervals.limits import Counted
from equiray.metrics.intervals.simultaneous import projected
from equiray.metrics.rates import ACCURACY


def read_frontier(frontier: Frontier, split: Split, *, confidence: float = 0.95) -> FrontierReading:
    """What each rule of a frontier does on another split: the only values that may be reported.

    Parameters
    ----------
    frontier : Frontier
    split : Split
        Rows that had no part in choosing; the same groups of the same attribute.
    confidence : float
        Of each point's limits (`rate_interval` of accuracy, `projected` of disparity). They hold for a rule fixed
        beforehand, not for the best of the points. Of a rule that draws they are wider than need be: its expected
        decisions vary less than decisions do.

    Returns
    -------
    FrontierReading
        ``not_estimable`` where the frontier is, or a group lacks a denominator here; ``partial`` where the frontier
        is, rows here have no score, or a threshold falls inside a bin of scores that are counted on a grid (whose rows
        are then decided negatively).

    Raises
    ------
    BadInput
        The split is the one that chose the frontier, by name or by its counts; or its groups are others.
    """
    _refuse_the_choosers(frontier, split)
    order = _order(frontier, split)
    reason = frontier.reason if frontier.status == "not_estimable" else None
    reason = reason or lacking(split, group_curves(split), disparity_of(frontier.metric))
    caveats = [] if reason else [*filter(None, [frontier.reason]), *split.caveats]
    points = () if reason else _points(frontier, decided(frontier, split, order), confidence)
    if split.scores.weight is not None:
        points = tuple(point._replace(low=None, high=None) for point in points)
    return FrontierReading(
        metric=frontier.metric,
        attribute=frontier.attribute,
        groups=frontier.groups,
        kind=frontier.kind,
        chosen_on=frontier.chosen_on,
        read_on=split.name,
        n=split.rows,
        confidence=confidence,
        points=points,
        status="not_estimable" if reason else "partial" if caveats else "estimated",
        reason=reason or "; ".join(caveats),
    )


def decided(frontier: Frontier, split: Split, order: list[int]) -> NDArray[np.float64]:
    """Rows (or weights) of a split under each of R rules, expected where it draws: [R, G, 2, 2], label x decision.

    `order` gives the place in the split of each of the frontier's groups.
    """
    scores = split.scores
    mass = np.asarray(scores.count if scores.weight is None else scores.weight, dtype=np.float64)[order]
    # at or above the s-th score; nothing is above the last
    above = np.concatenate([np.cumsum(mass[..., ::-1], axis=-1)[..., ::-1], np.zeros((*mass.shape[:2], 1))], axis=-1)
    selected = np.zeros((len(frontier.points), len(order), 2))
    for at, point in enumerate(frontier.points):
        for group, steps in enumerate(point.rule):
            for step in steps:
                place = np.searchsorted(scores.values, step.threshold, "left")
                selected[at, group] += step.probability * above[group, :, place]
    return np.stack([mass.sum(-1) - selected, selected], axis=-1)


def _points(frontier: Frontier, mass: NDArray[np.float64], confidence: float) -> tuple[Read, ...]:
    disparity = disparity_of(frontier.metric)
    counted = [Counted(rate.events(mass), rate.trials(mass)) for rate in disparity.rates]
    right, rows = (part(mass).sum(-1) for part in (ACCURACY.events, ACCURACY.trials))
    between, among = projected(disparity.combined, counted, confidence), rate_interval(right, rows, confidence)
    pairs = ((disparity.of(mass), right / rows), (between.low, among.low), (between.high, among.high))
    trades = [[Trade(*pair) for pair in np.stack(both, axis=-1).tolist()] for both in pairs]
    return tuple(Read(*point, *read) for point, *read in zip(frontier.points, *trades, strict=True))


def _refuse_the_choosers(frontier: Frontier, split: Split) -> None:
    same_name = split.name == frontier.chosen_on
    if same_name or split.fingerprint == frontier.fingerprint:
        why = f"the split {split.name!r} itself" if same_name else f"the same counts as {frontier.chosen_on!r}"
        raise BadInput(
            f"a frontier chosen on {frontier.chosen_on!r} would be read on {why}: its best of many would look real",
            place=f"{split.name} split, attribute {frontier.attribute}",
            fix="read it on rows that had no part in choosing, such as the test split",
        )


def _order(frontier: Frontier, split: Split) -> list[int]:
    there = split.groups
    if split.table.attribute != frontier.attribute or set(there) != set(frontier.groups):
        ours, theirs = ", ".join(frontier.groups), ", ".join(there)
        raise BadInput(
            f"rules for {frontier.attribute} ({ours}) do not decide {split.table.attribute} ({theirs})",
            place=f"{split.name} split",
            fix="count both splits with the same attribute and the same declared groups",
        )
    return [there.index(group) for group in frontier.groups]
