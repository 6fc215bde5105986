"""`Votes`: of each chain its answer and one score, whatever made that score: steps, or an outcome model."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.errors import BadInput
from equiray.mitigation.voting.chains import ABSENT, ANSWERED, REFUSED, UNPARSED, ScoredChains


@dataclass(frozen=True, kw_only=True, eq=False)
class Votes:
    """Answers and scores of C cases with up to N chains each.

    Attributes
    ----------
    split, case_ids, options, answers, outcomes
        As `ScoredChains`.
    score : float64 [C, N]
        Higher is fairer; finite for every answered chain, else NaN: a chain without an answer has no weight.
    """

    split: str
    case_ids: tuple[str, ...]
    options: NDArray[np.int64]
    answers: NDArray[np.int64]
    outcomes: NDArray[np.int8]
    score: NDArray[np.float64]

    @classmethod
    def of(cls, chains: ScoredChains, score: ArrayLike) -> "Votes":
        """Chains and one score [C, N] for each, of `aggregation.chain_scores` or of an outcome model.

        Raises
        ------
        BadInput
            An answered chain has no finite score.
        """
        found = np.asarray(score, dtype=np.float64)
        if found.shape != chains.shape:
            raise _refused(f"scores of shape {found.shape}", "scores", f"give one of shape {chains.shape}")
        answered = chains.outcomes == ANSWERED
        unfit = answered & ~np.isfinite(found)
        if unfit.any():
            row, chain = (int(place) for place in np.argwhere(unfit)[0])
            where = f"case {chains.case_ids[row]!r}, chain {chain}"
            raise _refused(f"score {found[row, chain]}", where, "score every answered chain with a finite number")
        return cls(
            split=chains.split,
            case_ids=chains.case_ids,
            options=chains.options,
            answers=chains.answers,
            outcomes=chains.outcomes,
            score=np.where(answered, found, np.nan),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """C, N."""
        cases, chains = self.answers.shape
        return cases, chains

    @property
    def sampled(self) -> NDArray[np.int64]:
        """Chains of each case, [C]."""
        return (self.outcomes != ABSENT).sum(1)

    def first(self, chains: int) -> "Votes":
        """The first so many chains of every case; cases with fewer keep all of theirs."""
        if chains < 1:
            raise _refused(f"{chains} chains", "number of chains", "a vote takes one or more")
        kept = slice(min(chains, self.shape[1]))
        return replace(self, answers=self.answers[:, kept], outcomes=self.outcomes[:, kept], score=self.score[:, kept])

    def shuffled(self, seed: int, draw: int) -> "Votes":
        """Each case's chains in a random order of its own: the first n are then n chains drawn without replacement."""
        keys = np.random.default_rng([seed, draw]).random(self.shape)
        order = np.argsort(np.where(self.outcomes == ABSENT, np.inf, keys), axis=1, kind="stable")
        parts = (np.take_along_axis(part, order, axis=1) for part in (self.answers, self.outcomes, self.score))
        answers, outcomes, score = parts
        return replace(self, answers=answers, outcomes=outcomes, score=score)

    def unanswered(self, chains: int) -> NDArray[np.int8]:
        """What a case is whose first so many chains give no answer, [C]: `REFUSED` where most were, else `UNPARSED`.

        `ANSWERED` for the others.
        """
        outcomes = self.outcomes[:, :chains]
        refused, unparsed = ((outcomes == code).sum(1) for code in (REFUSED, UNPARSED))
        without = np.where(refused > unparsed, REFUSED, UNPARSED)
        return np.where((outcomes == ANSWERED).any(1), ANSWERED, without).astype(np.int8)


def answer_counts(votes: Votes) -> NDArray[np.int64]:
    """Chains of each answer, [C, K], K the most options of any case."""
    return np.stack([(votes.answers == option).sum(1) for option in range(int(votes.options.max()))], axis=1)


def tie_ranks(counts: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which answer of equal weights wins, [..., K]: the highest rank, 0 to K - 1.

    Parameters
    ----------
    counts : int [..., K]
        Chains of each answer: the majority wins.
    first : int [..., K]
        Place of the first chain that gave it: among equal counts, the answer given first. (Not the option named first:
        which group an option is about may hang on its place.)
    """
    key = counts * (first.max(initial=0) + 1) - first
    return key.argsort(-1, kind="stable").argsort(-1, kind="stable")


def first_places(votes: Votes) -> NDArray[np.int64]:
    """Place of the first chain of each answer, N where there is none, [C, K]."""
    width = votes.shape[1]
    given = votes.answers[:, :, None] == np.arange(int(votes.options.max()))
    return np.where(given.any(1), given.argmax(1), width)


def _refused(problem: str, where: str, fix: str) -> BadInput:
    return BadInput(problem, place=f"votes, {where}", fix=fix)
