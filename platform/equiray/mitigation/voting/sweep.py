"""Figures at every temperature and every number of chains, from votes alone.

Notable: cases are counted by cell, group x label, as the grid's decisions come by; from there on all is read off
counts, by the same `Rate`s and `Disparity`s as everywhere. The curve over N hangs on the order in which chains happened
to be drawn; averaged over random orders it is that of N chains drawn anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.metrics.catalogue import METRICS
from equiray.metrics.disparities import Disparity
from equiray.metrics.rates import ACCURACY
from equiray.metrics.tables import MISSING
from equiray.mitigation.voting.cases import JudgedCases, View
from equiray.mitigation.voting.chains import ANSWERED
from equiray.mitigation.voting.deciding import grid_decisions

_Array = NDArray[np.float64]

SHARE_RIGHT = "share_right"
"""Share of all cases that are decided, and rightly: unlike accuracy it does not rise as cases go unanswered."""

SWEPT = (
    "demographic_parity_difference",
    "disparate_impact_ratio",
    "equalized_odds_difference_max",
    "equalized_odds_difference_mean",
    "equalized_odds_difference_sum",
    "equal_opportunity_difference",
    "fpr_difference",
    "accuracy_parity_difference",
    "worst_group_accuracy_groups",
    "worst_group_accuracy_cells",
)
"""What is read at every point, where the cases have it, beside accuracy, `SHARE_RIGHT` and ``unanswered``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VoteSweep:
    """Figures at T temperatures by M numbers of chains.

    Attributes
    ----------
    attribute : str
        Whose groups are compared.
    split : str
    cases : int
    taus : float64 [T]
    counts : tuple of int, length M
    orders : int
        Random orders of the chains averaged over; 0: the order in which they were drawn.
    figures : mapping of str to float64 [T, M]
        NaN is not estimable. Others may be added, as of bias benchmarks, and be chosen by.
    """

    attribute: str
    split: str
    cases: int
    taus: _Array
    counts: tuple[int, ...]
    orders: int
    figures: Mapping[str, _Array]


def sweep(
    cases: JudgedCases, attribute: str, taus: ArrayLike, counts: Sequence[int], *, orders: int = 0, seed: int = 0
) -> VoteSweep:
    """Figures at every temperature and number of chains.

    Parameters
    ----------
    cases : JudgedCases
    attribute : str
    taus : [T]
        From 0 to inf.
    counts : sequence of int, length M
        Ascending; cases with fewer chains are decided by all they have.
    orders : int
        Average figures over so many random orders of each case's chains; 0: take them as they were drawn.
    seed : int
        Of the orders.

    Raises
    ------
    BadInput
        There are no groups of that attribute, or temperatures or numbers of chains do not fit (`grid_decisions`).
    """
    if orders < 0:
        raise ValueError(f"{orders} orders")
    parts = [_figures(cases, attribute, taus, counts)] if not orders else []
    for draw in range(orders):
        shuffled = replace(cases, votes=cases.votes.shuffled(seed, draw))
        parts.append(_figures(shuffled, attribute, taus, counts))
    return VoteSweep(
        attribute=attribute,
        split=cases.split,
        cases=cases.votes.shape[0],
        taus=np.atleast_1d(np.asarray(taus, dtype=np.float64)),
        counts=tuple(counts),
        orders=orders,
        figures={name: np.mean([part[name] for part in parts], axis=0) for name in parts[0]},
    )


def _figures(cases: JudgedCases, attribute: str, taus: ArrayLike, counts: Sequence[int]) -> dict[str, _Array]:
    _, groups, code = cases.grouped(attribute)
    views = cases.views
    # one row for each cell of each view; a case lies in one cell of each
    members = [_members(code * 2 + view.label, 2 * len(groups)) for view in views]
    ones = [np.zeros((len(np.atleast_1d(taus)), len(counts), 2 * len(groups)), np.float32) for _ in views]
    for rows, place, answer in grid_decisions(cases.votes, taus, counts):
        for view, member, into in zip(views, members, ones, strict=True):
            chosen = (answer == view.one[rows, None]).astype(np.float32)
            into[:, place] += (member[:, rows] @ chosen).T
    answered = np.stack([cases.votes.unanswered(count) == ANSWERED for count in counts])
    found: dict[str, _Array] = {}
    for view, member, positive in zip(views, members, ones, strict=True):
        known = np.stack([member @ each.astype(np.float32) for each in answered])
        mass = _mass(positive, known, len(groups))
        found |= _disparities(view, mass, len(groups) - (MISSING in groups))
        if "accuracy" in view.metrics:
            everyone = mass.sum(2, keepdims=True)
            right = everyone[..., 0, 0, 0] + everyone[..., 0, 1, 1]
            found["accuracy"] = ACCURACY.of(everyone)[..., 0]
            found[SHARE_RIGHT] = right / cases.votes.shape[0]
    found["unanswered"] = np.broadcast_to(1 - answered.mean(1), found["accuracy"].shape)
    return found


def _members(cell: NDArray[np.int64], cells: int) -> NDArray[np.float32]:
    return (cell == np.arange(cells)[:, None]).astype(np.float32)


def _mass(positive: NDArray[Any], answered: NDArray[Any], groups: int) -> NDArray[np.int64]:
    """Counts [T, M, G, 2, 2] by group, label and decision; float32 holds counts up to 2^24 exactly."""
    chosen = np.rint(positive).astype(np.int64)
    rest = np.rint(answered).astype(np.int64) - chosen
    return np.stack([rest, chosen], -1).reshape(*chosen.shape[:2], groups, 2, 2)


def _disparities(view: View, mass: NDArray[np.int64], compared: int) -> dict[str, _Array]:
    found = {}
    for name in SWEPT:
        if name in view.metrics:
            metric = METRICS[name]
            combined = metric.interval
            assert combined not in ("rate", "smooth", "bins", "none"), f"{name} compares groups by their rates"
            found[name] = Disparity(metric.rates, combined).of(mass[:, :, :compared])
    return found
