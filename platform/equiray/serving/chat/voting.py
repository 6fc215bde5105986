"""Which answer wins, which chain gives it its words, and whether more chains could change that."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equiray.mitigation.voting.aggregation import HIGHEST, Aggregator, chain_scores
from equiray.mitigation.voting.chains import NO_ANSWER, ScoredChain, ScoredChains
from equiray.mitigation.voting.deciding import TIE, decide
from equiray.mitigation.voting.stopping import StoppingRule
from equiray.mitigation.voting.votes import Votes, answer_counts, first_places, tie_ranks
from equiray.mitigation.voting.weighting import chain_weights
from equiray.serving.chat.grouping import Grouped, ReadCompletion

_FEWEST = 2
"""A vote is between two answers or more; one that nobody gives has no weight."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ballot:
    """Scored chains of one question.

    Attributes
    ----------
    grouped : Grouped
    score : float64 [N]
        Of each chain; NaN without steps.
    eligible : bool [N]
        Chains that may be chosen: those that answer; where none does, those that do not refuse.
    votes : Votes or None
        None where no chain has an answer.
    """

    grouped: Grouped
    score: NDArray[np.float64]
    eligible: NDArray[np.bool_]
    votes: Votes | None

    @classmethod
    def of(
        cls,
        grouped: Grouped,
        chains: Sequence[ReadCompletion],
        step_scores: Sequence[Sequence[float]],
        aggregator: Aggregator,
    ) -> "Ballot":
        """Aggregate the steps of each chain, as in the evaluation of the bundle."""
        rows = [
            ScoredChain(place, chain.outcome, steps)
            for place, chain, steps in zip(grouped.place, chains, step_scores, strict=True)
        ]
        scored = ScoredChains.of("test", {"question": (max(_FEWEST, len(grouped.answers), grouped.possible), rows)})
        score = chain_scores(scored, aggregator)
        if grouped.rule != "best_chain":
            eligible = np.array([place is not None for place in grouped.place])
            return cls(grouped=grouped, score=score[0], eligible=eligible, votes=Votes.of(scored, score))
        spoken = np.array([chain.outcome != "refused" for chain in chains]) & ~np.isnan(score[0])
        eligible = spoken if spoken.any() else ~np.isnan(score[0])
        eligible = eligible if eligible.any() else np.ones(len(rows), bool)
        return cls(grouped=grouped, score=score[0], eligible=eligible, votes=None)

    def weights(self, tau: float) -> NDArray[np.float64]:
        """Each chain's part of the vote, [N]."""
        return chain_weights(np.where(self.eligible, self.score, np.nan), tau)

    def ranked(self, tau: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Answers from the heaviest on, and the share of each; equal weights as in `decide`."""
        if self.votes is None:
            return np.empty(0, np.int64), np.empty(0)
        share = decide(self.votes, tau).share[0]
        counts = answer_counts(self.votes)
        order = np.argsort(-(share * (1 + TIE * tie_ranks(counts, first_places(self.votes))[0])), kind="stable")
        given = order[counts[0][order] > 0]
        return given, share[given]

    def majority(self) -> int | None:
        """The answer that equal weights give."""
        return None if self.votes is None else int(decide(self.votes, np.inf).answer[0])

    def best_of(self, answer: int) -> int:
        """The chain with the best score that gives an answer; of equal ones the first."""
        mine = np.array([place == answer for place in self.grouped.place])
        return int(np.where(mine, self.score, -np.inf).argmax())

    def first_of(self, answer: int) -> int:
        """The first chain that gives an answer."""
        return self.grouped.place.index(answer)

    def best_chains(self) -> list[int]:
        """Chains that may be chosen, by score, the best first; of equal ones the first."""
        score = np.where(np.isnan(self.score), -np.inf, self.score)
        return [int(chain) for chain in np.argsort(-score, kind="stable") if self.eligible[chain]]

    def settled(self, rule: StoppingRule) -> bool:
        """Whether chains to come can change which answer wins no more (or with the rule's risk will not)."""
        if self.votes is None:
            return False  # any chain to come may score better, or be the first with an answer
        left = rule.chains - len(self.score)
        score = np.where(self.votes.answers == NO_ANSWER, np.nan, self.score[None])
        return bool(rule.settled(self.votes.answers, score, max(_FEWEST, self.grouped.possible), left)[0])


def stopping_rule(chains: int, tau: float, risk: float, aggregator: Aggregator) -> StoppingRule:
    """When a question has chains enough."""
    return StoppingRule(chains=chains, tau=tau, risk=risk, highest=HIGHEST[aggregator])
