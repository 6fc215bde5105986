"""Scored chains for tests, and votes counted chain by chain in plain Python with exact fractions where they can be."""

import math
from collections import Counter

import numpy as np

from equiray.metrics.estimation import GroupedScores
from equiray.mitigation.voting.chains import ABSENT, ANSWERED, NO_ANSWER, ScoredChain, ScoredChains
from equiray.mitigation.voting.votes import Votes


def chains_of(*cases, options=2, split="validation"):
    """Each case a list of chains (answer or outcome, steps)."""
    made = {
        f"case{place}": (
            options,
            [
                ScoredChain(None, answer, steps) if isinstance(answer, str) else ScoredChain(answer, "answered", steps)
                for answer, steps in case
            ],
        )
        for place, case in enumerate(cases)
    }
    return ScoredChains.of(split, made)


def drawn_votes(cases, width, options=2, *, seed=0, coarse=False, unanswered=0.15, ragged=True, split="validation"):
    """Random votes, some of them refused, unparsed or absent; coarse scores tie often."""
    draw = np.random.default_rng(seed)
    sampled = draw.integers(1, width + 1, cases) if ragged else np.full(cases, width)
    outcomes = np.where(draw.random((cases, width)) < unanswered, draw.integers(1, 3, (cases, width)), ANSWERED)
    outcomes = np.where(np.arange(width) < sampled[:, None], outcomes, ABSENT).astype(np.int8)
    own = draw.integers(2, options + 1, cases) if options > 2 else np.full(cases, 2)
    answers = np.where(outcomes == ANSWERED, (draw.random((cases, width)) * own[:, None]).astype(int), NO_ANSWER)
    score = draw.integers(0, 4, (cases, width)) / 4 if coarse else draw.random((cases, width))
    return Votes(
        split=split,
        case_ids=tuple(f"case{place}" for place in range(cases)),
        options=own,
        answers=answers,
        outcomes=outcomes,
        score=np.where(outcomes == ANSWERED, score, np.nan),
    )


def votes_of(*cases, options=2, split="validation"):
    """Each case a list of (answer or outcome, score)."""
    chains = chains_of(*([(answer, [0.5]) for answer, _ in case] for case in cases), options=options, split=split)
    score = np.full(chains.shape, np.nan)
    for row, case in enumerate(cases):
        score[row, : len(case)] = [score for _, score in case]
    return Votes.of(chains, score)


def by_hand(votes, row, tau, chains):
    """The decision of one case by its first chains, or None: weights summed one by one."""
    cast = [
        (int(answer), float(score))
        for answer, score in zip(votes.answers[row, :chains], votes.score[row, :chains], strict=True)
        if answer != NO_ANSWER
    ]
    if not cast:
        return None
    best = max(score for _, score in cast)
    weight = Counter()
    for answer, score in cast:
        if tau == math.inf:
            weight[answer] += 1
        elif tau == 0:
            weight[answer] += score == best
        else:
            weight[answer] += math.exp((score - best) / tau)
    top = max(weight.values())
    tied = [answer for answer in weight if weight[answer] >= top * (1 - 1e-11)]
    number = Counter(answer for answer, _ in cast)
    order = list(dict.fromkeys(answer for answer, _ in cast))
    return min(tied, key=lambda answer: (-number[answer], order.index(answer)))


def grouped(code, names=("a", "b"), attribute="sex"):
    return GroupedScores(attribute, tuple(names), np.asarray(code, np.int64))
