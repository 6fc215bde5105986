"""`decided`: of scored chains, the answers that are returned and all that is told about them."""

import math

from equiray.bundles.manifest import RewardPart
from equiray.serving.chat.records import ChainVote, Usage, Vote, Words
from equiray.serving.chat.rounds import OpenQuestion
from equiray.serving.chat.voting import Ballot


def decided(question: OpenQuestion, ballot: Ballot, part: RewardPart) -> tuple[Vote, Words]:
    """The vote, and its words.

    Each of the heaviest answers is told by its best-scored chain. Where no chain has an answer, the best-scored chains
    are returned that say different things.
    """
    assert question.stopped is not None, "chains are drawn until something stops them"
    ranked, shares = ballot.ranked(question.tau)
    places, majority = ranked.tolist(), ballot.majority()
    if ballot.votes is None:
        chosen = _distinct(question, ballot)
    else:
        chosen = [ballot.best_of(answer) for answer in places[: question.asked.choices]]
    texts = [chain.completion.text for chain in question.chains]
    vote = Vote(
        rule=ballot.grouped.rule,
        vote_shares=tuple(shares.tolist()),
        answer_chains=tuple(ballot.grouped.place.count(answer) for answer in places),
        majority=None if majority is None else places.index(majority),
        chains=_chains(question, ballot, places),
        step_scores=tuple(question.step_scores),
        chosen=tuple(chosen),
        stopped=question.stopped,
        most=question.most,
        tau=question.tau,
        aggregator=part.aggregator,
        seed=question.sampling.seed,
        as_evaluated=_as_evaluated(question, part),
        usage=_usage(question, chosen),
    )
    words = Words(
        answers=tuple(ballot.grouped.answers[answer] for answer in places),
        texts=tuple(texts[chain] for chain in chosen),
        majority_text=None if majority is None else texts[ballot.first_of(majority)],
    )
    return vote, words


def _distinct(question: OpenQuestion, ballot: Ballot) -> list[int]:
    """The best chains of different texts."""
    first: dict[str, int] = {}
    for chain in ballot.best_chains():
        first.setdefault(question.chains[chain].completion.text.strip(), chain)
    return list(first.values())[: question.asked.choices]


def _chains(question: OpenQuestion, ballot: Ballot, places: list[int]) -> tuple[ChainVote, ...]:
    weights = ballot.weights(question.tau).tolist()
    rows = zip(question.chains, ballot.grouped.place, ballot.score.tolist(), weights, strict=True)
    return tuple(
        ChainVote(
            outcome=chain.outcome,
            answer=None if place is None else places.index(place),
            score=None if math.isnan(score) else score,
            weight=weight,
            tokens=chain.completion.tokens,
            finish=chain.completion.finish,
        )
        for chain, place, score, weight in rows
    )


def _usage(question: OpenQuestion, chosen: list[int]) -> Usage:
    every = [chain.completion.tokens for chain in question.chains]
    return Usage(
        prompt_tokens=question.prompt_tokens,
        completion_tokens=sum(every),
        unseen_tokens=sum(every) - sum(every[chain] for chain in chosen),
    )


def _as_evaluated(question: OpenQuestion, part: RewardPart) -> bool:
    """Whether chains were drawn and weighed as when the bundle was evaluated, on a conversation as there."""
    used, evaluated = question.sampling, part.sampling
    return (
        not question.asked.plain
        and question.tau == part.tau
        and (used.temperature, used.top_p, used.max_tokens, used.stop)
        == (evaluated.temperature, evaluated.top_p, evaluated.max_tokens, evaluated.stop)
    )
