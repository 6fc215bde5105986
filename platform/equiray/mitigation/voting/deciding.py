r"""The weighted vote: :math:`\arg\max_a \sum_k w_k 1[a_k = a]`, at one temperature or at all of them and every N.

Notable: the grid is one pass over the chains, whatever the number of temperatures and chain counts. Each case carries
its best score so far and each answer's weight relative to it; one more chain costs one exponential per temperature, for
the chain's own weight, or, where it is the best so far, to scale the others down. So no temperature underflows, and the
vote of the first n chains is there for every n.

Answers whose weights differ by less than a 1e-12th count as equal: ties go to the majority, then to the answer given
first, and do not hang on the order in which weights were added.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.errors import BadInput
from equiray.mitigation.voting.chains import NO_ANSWER
from equiray.mitigation.voting.votes import Votes, answer_counts, first_places, tie_ranks
from equiray.mitigation.voting.weighting import chain_weights, inverse_temperatures

TIE = 1e-12
"""Relative difference of two answers' weights below which they tie."""

_CELLS = 1 << 15  # temperatures times cases at a time: what is added up stays in cache


class Decisions(NamedTuple):
    """Decisions of C cases: `answer` int64 [C], `NO_ANSWER` where no chain has one; `share` float64 [C, K].

    `share` is each answer's part of the weight; they add up to 1, or are all 0 where there is no answer.
    """

    answer: NDArray[np.int64]
    share: NDArray[np.float64]


class Decided(NamedTuple):
    """Part of a grid: `answer` int16 [B, T] of the cases `rows` after `counts[place]` chains, at every temperature."""

    rows: slice
    place: int
    answer: NDArray[np.int16]


def decide(votes: Votes, tau: float, chains: int | None = None) -> Decisions:
    """Decisions at temperature tau by the first so many chains (default: all).

    Parameters
    ----------
    votes : Votes
    tau : float
        0 (best chain) to inf (majority vote), both exact. Paper: .2.
    chains : int, optional

    Raises
    ------
    BadInput
        The temperature is negative, or fewer than one chain is asked for.
    """
    kept = votes if chains is None else votes.first(chains)
    weights = chain_weights(kept.score, tau)
    counts = answer_counts(kept)
    share = np.stack([np.where(kept.answers == option, weights, 0).sum(1) for option in range(counts.shape[1])], 1)
    total = share.sum(1, keepdims=True)
    share = np.divide(share, total, out=share, where=total > 0)  # one answer alone has exactly 1
    answer = (share * (1 + TIE * tie_ranks(counts, first_places(kept)))).argmax(1)
    return Decisions(np.where(counts.any(1), answer, NO_ANSWER), share)


def decide_grid(votes: Votes, taus: ArrayLike, counts: Sequence[int]) -> NDArray[np.int16]:
    """Decisions [T, M, C] at T temperatures by M numbers of chains; 2 T M C bytes.

    Raises
    ------
    BadInput
        As `grid_decisions`.
    """
    found = np.empty((len(np.atleast_1d(taus)), len(counts), votes.shape[0]), np.int16)
    for rows, place, answer in grid_decisions(votes, taus, counts):
        found[:, place, rows] = answer.T
    return found


def grid_decisions(votes: Votes, taus: ArrayLike, counts: Sequence[int]) -> Iterator[Decided]:
    """The same part by part, for figures that need no more than counts of decisions.

    Parameters
    ----------
    votes : Votes
    taus : [T]
        From 0 to inf.
    counts : sequence of int, length M
        Numbers of chains, ascending. A case with fewer is decided by all it has.

    Raises
    ------
    BadInput
        A temperature is negative, or numbers of chains do not ascend from 1 on.
    """
    steepness = inverse_temperatures(taus)
    wanted = list(counts)
    if not wanted or wanted[0] < 1 or any(b <= a for a, b in pairwise(wanted)):
        raise BadInput(f"chain counts {wanted}", place="counts", fix="give ascending numbers from 1 on")
    block = max(1, _CELLS // len(steepness))
    for start in range(0, votes.shape[0], block):
        rows = slice(start, min(start + block, votes.shape[0]))
        yield from _block(votes, rows, steepness, wanted)


def _block(votes: Votes, rows: slice, steepness: NDArray[np.float64], counts: list[int]) -> Iterator[Decided]:
    score, answers = votes.score[rows], votes.answers[rows]
    cases, width, options = len(score), votes.shape[1], int(votes.options.max())
    weight = np.zeros((options, cases, len(steepness)))  # relative to the best chain so far
    best = np.full(cases, -np.inf)
    given, first = np.zeros((cases, options), np.int64), np.full((cases, options), width)
    decided = None
    for chain in range(min(counts[-1], width)):
        here = np.flatnonzero(answers[:, chain] != NO_ANSWER)
        _add(weight, best, here, answers[here, chain], score[here, chain], steepness)
        given[here, answers[here, chain]] += 1
        first[here, answers[here, chain]] = np.minimum(first[here, answers[here, chain]], chain)
        if chain + 1 in counts:
            decided = _heaviest(weight, given, first)
            yield Decided(rows, counts.index(chain + 1), decided)
    beyond = [place for place, count in enumerate(counts) if count > width]
    for place in beyond:
        decided = _heaviest(weight, given, first) if decided is None else decided
        yield Decided(rows, place, decided)


def _add(
    weight: NDArray[np.float64],
    best: NDArray[np.float64],
    here: NDArray[np.intp],
    answer: NDArray[np.int64],
    score: NDArray[np.float64],
    steepness: NDArray[np.float64],
) -> None:
    """One more chain of the cases `here`: their weights and best scores, in place."""
    new = best[here] == -np.inf
    apart = np.where(new, 0, score - best[here])
    with np.errstate(over="ignore"):  # far beyond the steepest, a weight is 0
        lesser = np.exp(-np.abs(apart)[:, None] * steepness)
    better = apart > 0
    up, down = here[better], here[~better]
    weight[:, up] *= lesser[better]
    weight[answer[better], up] += 1
    weight[answer[~better], down] += lesser[~better]
    best[here] = np.maximum(best[here], score)


def _heaviest(weight: NDArray[np.float64], given: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.int16]:
    """The answer of each case at each temperature, [B, T]."""
    prefer = 1 + TIE * tie_ranks(given, first)
    found = np.zeros(weight.shape[1:], np.int16)
    top = weight[0] * prefer[:, :1]
    for option in range(1, len(weight)):
        mine = weight[option] * prefer[:, option, None]
        wins = mine > top
        found[wins] = option
        if option + 1 < len(weight):
            np.maximum(top, mine, out=top)
    found[~given.any(1)] = NO_ANSWER
    return found
