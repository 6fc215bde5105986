r"""How far a weighted vote can take groups apart, whatever its weights say: bounds from vote counts alone.

Derivation. Let a case have :math:`n_a` chains for answer a.

Any scores. Scores within a span s of each other give weights within a factor :math:`\rho = e^{s / \tau}`. Answer b
beats a under some such weights exactly if :math:`\rho\, n_b > n_a`: chains of b get the largest weight and all others
the smallest, and no weights do better. So p can win iff :math:`\rho\, n_p > \max_{b \ne p} n_b` (or it is the majority
already, which equal weights give), and p can lose iff :math:`\rho \max_{b \ne p} n_b > n_p`. At
:math:`\tau = \infty` nothing moves; the bound is the price of not looking at the reward model.

Given weights. The weights of the chains are known, and only how many chains give each answer, not which: the worst
assignment gives b the :math:`n_b` largest weights and a the :math:`n_a` smallest. So p can lose iff for some b the sum
of the :math:`n_b` largest weights is at least that of the :math:`n_p` smallest; p can win only if its :math:`n_p`
largest reach the :math:`n_b` smallest for every b. With two options this is exact, with more it may allow too much.

From cases to gaps. Cases move independently, so a group's rate of positive decisions is anything between the share of
cases that must be positive and the share that can be. The largest gap of two groups is :math:`\max_{g \ne h}
(\overline{r}_g - \underline{r}_h)`, and it is reached; the smallest is at least :math:`\max(0, \max_g \underline{r}_g -
\min_g \overline{r}_g)`.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.metrics.estimation import GroupedScores
from equiray.metrics.rates import divide
from equiray.metrics.tables import MISSING
from equiray.mitigation.voting.deciding import TIE, decide
from equiray.mitigation.voting.votes import Votes, answer_counts
from equiray.mitigation.voting.weighting import chain_weights

_Array = NDArray[np.float64]


class Reach(NamedTuple):
    """Decisions that weights allow, bool [C] each: that the positive option wins, that another one does.

    Neither, where a case has no answer at all.
    """

    positive: NDArray[np.bool_]
    other: NDArray[np.bool_]


class GapBound(NamedTuple):
    """Bounds of each compared group's rate, [G], and of the gap between any two; NaN without cases in a group."""

    groups: tuple[str, ...]
    lowest: _Array
    highest: _Array
    least: float
    most: float


def reach_of_scores(votes: Votes, positive: NDArray[np.int64], tau: float, *, span: float = 1.0) -> Reach:
    """What scores within `span` of each other can decide at temperature tau, with the answers as they are.

    Parameters
    ----------
    votes : Votes
        Their scores are not read.
    positive : int64 [C]
        The option whose rate is bounded.
    tau : float
    span : float
        Largest less smallest score of any case: 1 for whatever a score of 0 to 1 may be.
    """
    if not span > 0 or not math.isfinite(span) or not tau >= 0:
        raise BadInput(f"span {span}, temperature {tau}", place="bound of the gap", fix="give a span above 0, tau >= 0")
    ours, others = _split(answer_counts(votes), positive)
    most = others.max(1)
    majority = decide(votes, math.inf).answer
    log_ratio = math.inf if tau == 0 else span / tau
    return Reach(
        _beats(ours, most, log_ratio) | (majority == positive),
        _beats(most, ours, log_ratio) | ((majority != positive) & (majority >= 0)),
    )


def reach_of_answers(votes: Votes, positive: NDArray[np.int64], tau: float) -> Reach:
    """What the same answers could decide, given in other chains of the case, with the weights as they are."""
    weights = np.sort(chain_weights(votes.score, tau), axis=1)  # chains without an answer weigh 0 and come first
    ours, others = _split(answer_counts(votes), positive)
    answered = (ours + others.sum(1))[:, None]
    width = votes.shape[1]
    below = np.concatenate([np.zeros((len(weights), 1)), weights.cumsum(1)], axis=1)
    total = below[:, -1:]

    def largest(count: NDArray[np.int64]) -> _Array:
        return total - np.take_along_axis(below, width - count, axis=1)

    def smallest(count: NDArray[np.int64]) -> _Array:
        return np.take_along_axis(below, width - answered + count, axis=1)

    mine = ours[:, None]
    slack = TIE * (1 + others.shape[1])
    wins = (largest(mine) >= smallest(others) - slack) & (mine > 0)
    loses = (largest(others) >= smallest(mine) - slack) & (others > 0)
    return Reach(wins.all(1), loses.any(1))


def gap_bound(reach: Reach, grouped: GroupedScores, among: NDArray[np.bool_] | None = None) -> GapBound:
    """Bounds of the groups' rates of positive decisions and of their gap.

    Parameters
    ----------
    reach : Reach
    grouped : GroupedScores
        Cases of no known group (`MISSING`, last) are left out.
    among : bool [C], optional
        Cases that count: those labelled positive for the gap of true positive rates, the others for false ones.
        Default: all, for demographic parity.
    """
    decided = reach.positive | reach.other
    kept = decided if among is None else decided & among
    groups = tuple(name for name in grouped.groups if name != MISSING)

    def by_group(which: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(grouped.code[which & kept], minlength=len(grouped.groups))[: len(groups)]

    cases = by_group(decided)
    lowest, highest = divide(by_group(~reach.other), cases), divide(by_group(reach.positive), cases)
    if len(groups) < 2 or not cases.all():
        return GapBound(groups, lowest, highest, math.nan, math.nan)
    apart = highest[:, None] - lowest
    np.fill_diagonal(apart, -np.inf)
    return GapBound(groups, lowest, highest, max(0.0, float(lowest.max() - highest.min())), float(apart.max()))


def _split(counts: NDArray[np.int64], positive: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Chains of the positive option [C], and of each other one [C, K - 1]."""
    options = counts.shape[1]
    others = (positive[:, None] + np.arange(1, options)) % options
    return np.take_along_axis(counts, positive[:, None], axis=1)[:, 0], np.take_along_axis(counts, others, axis=1)


def _beats(count: NDArray[np.int64], other: NDArray[np.int64], log_ratio: float) -> NDArray[np.bool_]:
    """Whether `count` chains times the ratio outweigh `other` chains."""
    some = count > 0
    with np.errstate(divide="ignore"):
        needed = np.log(other) - np.log(np.where(some, count, 1))
    return some & (log_ratio > needed)
