r"""Stop sampling a case once its vote can no longer change, or with a stated probability will not.

Certain (`risk` 0). Let :math:`S_a` be the weight of the leading answer and m chains be left. The worst that can come
is m chains with the best possible score r* and the same other answer b, so the decision stands iff
:math:`S_a > S_b + m e^{r^* / \tau}` for every b (of plain votes: also where they are equal and a was given first). It
is exact: short of it, some continuation ties or changes the decision.

With risk :math:`\delta`. A posterior over what the next chains may be: of n chains seen, each is as likely to come
again as any other, and there is one chance each for a chain of each of the K options with the best score r*. That is a
Dirichlet process of mass K; of plain votes, the Dirichlet posterior with a uniform prior. (New chains with scores like
those seen would be too sure: the best score is what decides, and a sample has not seen it yet.) Sampling stops where at
most :math:`\delta` of its continuations (`DRAWS` of them, by Pólya's urn, plus one that is always counted against) tie
or change the decision. The error is :math:`\delta` or less on average over cases that are like the prior, at whatever
moment sampling stops; a test simulates it.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.mitigation.voting.chains import NO_ANSWER
from equiray.mitigation.voting.deciding import TIE
from equiray.mitigation.voting.votes import tie_ranks
from equiray.mitigation.voting.weighting import inverse_temperatures

DRAWS = 2000
_STEEP = 600.0  # exponent: weights stay finite
_CASES = 500  # of which all continuations are held at once


@dataclass(frozen=True, kw_only=True)
class StoppingRule:
    """When a case has chains enough.

    Attributes
    ----------
    chains : int
        That are sampled at most.
    tau : float
        Of the vote, 0 to inf.
    risk : float
        Probability, 0 to 1, with which a decision may change if sampling went on; 0: it cannot.
    highest : float
        The best score that a chain can have (`aggregation.HIGHEST`).
    seed : int
        Of the continuations.
    """

    chains: int
    tau: float
    risk: float = 0.0
    highest: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        inverse_temperatures(self.tau)
        if self.chains < 1 or not 0 <= self.risk < 1 or not np.isfinite(self.highest):
            raise BadInput(
                f"chains {self.chains}, risk {self.risk}, highest {self.highest}",
                place="stopping rule",
                fix="give at least one chain, a risk from 0 to below 1 and a finite highest score",
            )

    def settled(
        self, answers: NDArray[np.int64], scores: NDArray[np.float64], options: int, left: int
    ) -> NDArray[np.bool_]:
        """Which of C cases have chains enough after n chains, with m = `left` to come, [C].

        Parameters
        ----------
        answers : int64 [C, n]
            `NO_ANSWER` where a chain has none.
        scores : float64 [C, n]
            NaN likewise.
        options : int
        left : int
        """
        if left == 0:
            return np.ones(len(answers), bool)
        state = _State.of(answers, scores, options, self.tau)
        found = state.certain(left, self.highest)
        open_ = np.flatnonzero(~found & state.any)
        if self.risk > 0 and len(open_):
            counts = continuations(answers.shape[1], left, options, self.seed)
            for which in np.array_split(open_, -(-len(open_) // _CASES)):
                found[which] = state.changed(counts, which, self.highest) <= self.risk
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class _State:
    """C cases after n chains; weights are relative to that of the best chain.

    `weight` [C, n, K] is each chain's weight under its answer, `total` [C, K] their sums, `best` [C] the best score,
    `first` [C, K] where each answer was given first, `leader` [C] the decision.
    """

    weight: NDArray[np.float64]
    total: NDArray[np.float64]
    best: NDArray[np.float64]
    first: NDArray[np.int64]
    leader: NDArray[np.int64]
    steepness: float

    @classmethod
    def of(cls, answers: NDArray[np.int64], scores: NDArray[np.float64], options: int, tau: float) -> "_State":
        (steepness,) = inverse_temperatures(tau)
        answered = answers != NO_ANSWER
        best = np.where(answered, scores, -np.inf).max(1, initial=-np.inf)
        apart = np.where(answered, best[:, None] - scores, 0)
        plain = np.where(answered, np.exp(-np.where(answered, apart, 0) * steepness), 0)
        given = answers[:, :, None] == np.arange(options)
        weight = plain[:, :, None] * given
        total = weight.sum(1)
        first = np.where(given.any(1), given.argmax(1), answers.shape[1])
        leader = (total * (1 + TIE * tie_ranks(given.sum(1), first))).argmax(1)
        return cls(weight=weight, total=total, best=best, first=first, leader=leader, steepness=float(steepness))

    @property
    def any(self) -> NDArray[np.bool_]:
        """Cases with an answer, [C]."""
        return np.isfinite(self.best)

    def certain(self, left: int, highest: float) -> NDArray[np.bool_]:
        """Where no continuation can change the decision, [C]."""
        mine, rest = self._apart(self.total)
        reachable = rest + (left * self._top(highest))[:, None]
        beaten = mine[:, None] > reachable * (1 + TIE * self.total.shape[1])
        if self.steepness == 0:
            lead, behind = self._apart(self.first)
            beaten |= (mine[:, None] == reachable) & (lead[:, None] < behind)
        return beaten.all(1) & self.any

    def changed(self, counts: NDArray[np.float64], which: NDArray[np.intp], highest: float) -> NDArray[np.float64]:
        """Share of continuations, and one more, in which the leader is caught up; of the cases at places [B], [B]."""
        weight, total, leader = self.weight[which], self.total[which], self.leader[which]
        options, every = total.shape[1], np.arange(len(which))
        seen, new = weight.shape[1], self._top(highest)[which]
        caught = np.zeros((len(which), len(counts)), bool)
        for place in range(1, options):
            other = (leader + place) % options
            gained = np.zeros((len(which), seen + options))  # by the leader on the other, whenever a chain comes
            gained[:, :seen] = weight[every, :, leader] - weight[every, :, other]
            gained[every, seen + leader], gained[every, seen + other] = new, -new
            ahead = total[every, leader] - total[every, other]
            caught |= gained @ counts.T <= TIE - ahead[:, None]
        return (caught.sum(1) + 1) / (len(counts) + 1)

    def _top(self, highest: float) -> NDArray[np.float64]:
        """Weight of a chain with the best possible score, [C]."""
        behind = (highest - np.where(self.any, self.best, highest)) * self.steepness
        return np.exp(np.minimum(behind, _STEEP))

    def _apart(self, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The leader's value [C] and the others' [C, K - 1]."""
        options = values.shape[1]
        others = (self.leader[:, None] + np.arange(1, options)) % options
        return (
            np.take_along_axis(values, self.leader[:, None], axis=1)[:, 0],
            np.take_along_axis(values, others, axis=1),
        )


@lru_cache(maxsize=64)  # the same for all cases
def continuations(seen: int, left: int, options: int, seed: int) -> NDArray[np.float64]:
    """How often each chain comes in `DRAWS` continuations, [DRAWS, n + K]: the n chains seen, and a new one of K."""
    draw = np.random.default_rng([seed, seen, left, options])
    picked = np.zeros((DRAWS, left), np.int64)
    every, kinds = np.arange(DRAWS), seen + options
    for step in range(left):
        ball = draw.integers(0, kinds + step, DRAWS)
        earlier = picked[every, np.maximum(ball - kinds, 0)]  # the urn gets a ball like the one that was drawn
        picked[:, step] = np.where(ball < kinds, ball, earlier)
    counts = np.bincount((every[:, None] * kinds + picked).ravel(), minlength=DRAWS * kinds)
    return counts.reshape(DRAWS, kinds).astype(np.float64)


class Stopper:
    """Follows the chains of one case as they are sampled.

    stopper = Stopper(rule, options=2)
    while not stopper.update(answer, score): sample the next chain

    Parameters
    ----------
    rule : StoppingRule
    options : int
        Answers that the case offers.
    """

    def __init__(self, rule: StoppingRule, *, options: int) -> None:
        if options < 2:
            raise BadInput(f"{options} options", place="stopper", fix="a vote needs two or more")
        self.rule, self.options = rule, options
        self._answers: list[int] = []
        self._scores: list[float] = []

    def update(self, answer: int | None, score: float | None) -> bool:
        """Take one more chain, None and None where it gave no answer; return whether sampling can stop.

        Raises
        ------
        BadInput
            The answer is none of the options, the score is not finite or above `StoppingRule.highest`, or there are
            more chains than the rule allows.
        """
        where = f"chain {len(self._answers)} of a case"
        if len(self._answers) >= self.rule.chains:
            raise BadInput(f"more than {self.rule.chains} chains", place=where, fix="stop where `update` says so")
        if answer is None:
            self._answers.append(NO_ANSWER)
            self._scores.append(np.nan)
        else:
            if not 0 <= answer < self.options:
                raise BadInput(f"option {answer} of {self.options}", place=where, fix="count options from 0")
            if score is None or not -np.inf < score <= self.rule.highest:
                fix = f"give a finite score of at most {self.rule.highest:g}, or another `highest`"
                raise BadInput(f"score {score}", place=where, fix=fix)
            self._answers.append(answer)
            self._scores.append(score)
        left = self.rule.chains - len(self._answers)
        answers, scores = np.array([self._answers]), np.array([self._scores])
        return bool(self.rule.settled(answers, scores, self.options, left)[0])
