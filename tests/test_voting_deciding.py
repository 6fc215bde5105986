"""The weighted vote: against votes counted by hand, at both ends, in every order, and on the whole grid."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiray.errors import BadInput
from equiray.mitigation.voting.chains import NO_ANSWER, REFUSED, UNPARSED
from equiray.mitigation.voting.deciding import decide, decide_grid
from equiray.mitigation.voting.votes import Votes
from equiray.mitigation.voting.weighting import chain_weights
from voting_cases import by_hand, chains_of, drawn_votes, votes_of

TAUS = [0.0, 1e-320, 1e-9, 0.01, 0.2, 0.8, 50.0, math.inf]


@given(st.integers(0, 10**6), st.integers(2, 4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_point_of_the_grid_is_the_vote_counted_by_hand(seed, options, coarse):
    votes = drawn_votes(12, 7, options, seed=seed, coarse=coarse)
    counts = [1, 2, 3, 5, 7, 9]
    grid = decide_grid(votes, TAUS, counts)
    for t, tau in enumerate(TAUS):
        for m, chains in enumerate(counts):
            expected = [by_hand(votes, row, tau, chains) for row in range(12)]
            expected = [NO_ANSWER if answer is None else answer for answer in expected]
            assert grid[t, m].tolist() == expected == decide(votes, tau, chains).answer.tolist()


def test_a_grid_that_takes_several_blocks_of_cases_is_whole():
    votes = drawn_votes(300, 5, 3, seed=5)
    taus = np.geomspace(0.01, 10, 700)
    grid = decide_grid(votes, taus, [2, 5])
    for t in (0, 350, 699):
        for m, chains in enumerate((2, 5)):
            assert np.array_equal(grid[t, m], decide(votes, taus[t], chains).answer)


def test_an_infinite_temperature_is_the_majority_vote_and_zero_the_best_chain():
    votes = votes_of([(0, 0.9), (1, 0.4), (1, 0.5)])
    assert decide(votes, math.inf).answer.tolist() == [1]
    assert decide(votes, math.inf).share[0].tolist() == [1 / 3, 2 / 3]
    assert decide(votes, 0).answer.tolist() == [0] and decide(votes, 0).share[0].tolist() == [1.0, 0.0]
    assert decide(votes, 0.2).answer.tolist() == [0]
    alone = decide(drawn_votes(200, 9, unanswered=0.6, seed=1), 0.1).share
    assert alone.max() == 1.0 and set(alone.sum(1).round(12).tolist()) <= {0.0, 1.0}
    assert decide(votes, 1.0).answer.tolist() == [1]


def cast(votes, row):
    """Answers and scores of one case's chains that have an answer."""
    answered = votes.answers[row] != NO_ANSWER
    return votes.answers[row, answered].tolist(), votes.score[row, answered]


@given(st.integers(0, 10**6), st.integers(2, 4), st.sampled_from([1e-12, 1.0, 1e9]))
@settings(max_examples=60, deadline=None)
def test_towards_infinity_the_vote_is_the_majority_from_a_bound_on(seed, options, spread):
    """n votes of scores within R outweigh m < n others once n exp(-R / τ) > m, that is τ > R / ln(n / m)."""
    votes = drawn_votes(15, 9, options, seed=seed)
    votes = Votes(**(vars(votes) | {"score": votes.score * spread}))
    at_once = decide(votes, math.inf)
    for row in range(15):
        answers, scores = cast(votes, row)
        if not answers:
            continue
        number = Counter(answers)
        most = max(number.values())
        tied = [answer for answer in number if number[answer] == most]  # in the order in which they were given
        assert at_once.answer[row] == tied[0]
        assert at_once.share[row].tolist() == pytest.approx(
            [number[option] / len(answers) for option in range(at_once.share.shape[1])]
        )
        if len(tied) == 1 and len(number) > 1:
            second = max(count for answer, count in number.items() if answer != tied[0])
            bound = np.ptp(scores) / math.log(most / second)
            for tau in (bound * (1 + 1e-9) + 1e-300, bound * 7 + 1e-300):
                assert decide(votes, tau).answer[row] == tied[0]


@given(st.integers(0, 10**6), st.integers(2, 4), st.sampled_from([1e-9, 1.0, 1e9]))
@settings(max_examples=60, deadline=None)
def test_towards_zero_the_vote_is_the_best_chain_from_a_bound_on(seed, options, spread):
    """It outweighs m others that score less by g or more once m exp(-g / τ) < 1, that is τ < g / ln(m)."""
    votes = drawn_votes(15, 9, options, seed=seed)
    votes = Votes(**(vars(votes) | {"score": votes.score * spread}))
    at_once = decide(votes, 0)
    for row in range(15):
        answers, scores = cast(votes, row)
        if not answers:
            continue
        best = int(scores.argmax())  # drawn from a continuum: there is one
        assert at_once.answer[row] == answers[best] and at_once.share[row, answers[best]] == 1
        assert decide_grid(votes, [0], [9])[0, 0, row] == answers[best]
        if len(answers) > 2:
            gap = scores[best] - np.delete(scores, best).max()
            bound = gap / math.log(len(answers) - 1)
            for tau in (bound * (1 - 1e-9), bound / 7):
                assert decide(votes, tau).answer[row] == answers[best]


def test_ties_go_to_the_majority_and_then_to_the_answer_given_first():
    best_tie = [(1, 0.5), (0, 0.9), (2, 0.9), (2, 0.1)]  # the best chains say 0 and 2, and 2 has more chains
    assert decide(votes_of(best_tie, options=3), 0).answer.tolist() == [2]
    assert decide(votes_of([(1, 0.5), (0, 0.5)]), 0.2).answer.tolist() == [1]
    assert decide(votes_of([(0, 0.5), (1, 0.5)]), math.inf).answer.tolist() == [0]
    # .1 + .2 != .3: the same weights in another order must still tie
    mixed = [(0, 0.3), (1, 0.7), (0, 0.5), (1, 0.5), (0, 0.7), (1, 0.3)]
    for tau in (0.01, 0.2, 3.0):
        assert decide(votes_of(mixed, mixed[::-1]), tau).answer.tolist() == [0, 1]


@given(st.integers(0, 10**6), st.floats(-20, 20), st.sampled_from([0.01, 0.2, 2.0]))
@settings(max_examples=40, deadline=None)
def test_only_differences_of_scores_count(seed, shift, tau):
    votes = drawn_votes(20, 6, 3, seed=seed)
    moved = Votes(**(vars(votes) | {"score": votes.score + shift}))
    assert np.array_equal(decide(votes, tau).answer, decide(moved, tau).answer)


def test_no_temperature_underflows_for_any_prefix():
    votes = votes_of([(1, 0.0), (0, 1e-3), (1, 1.0)])
    grid = decide_grid(votes, [1e-6], [1, 2, 3])
    assert grid[0, :, 0].tolist() == [1, 0, 1]


def test_weights_are_the_softmax_over_chains_that_answered():
    score = np.array([[0.2, np.nan, 0.9], [np.nan] * 3])
    found = chain_weights(score, 0.2)
    raw = np.exp([1.0, 4.5])
    assert found[0] == pytest.approx([raw[0] / raw.sum(), 0, raw[1] / raw.sum()])
    assert found[1].tolist() == [0, 0, 0]
    assert chain_weights(score, math.inf)[0].tolist() == [0.5, 0, 0.5]
    assert chain_weights(score, 0)[0].tolist() == [0, 0, 1]


def test_a_case_without_any_answer_is_none_and_says_why():
    votes = votes_of([("refused", math.nan), ("refused", math.nan), ("unparsed", math.nan)], [("unparsed", math.nan)])
    found = decide(votes, 0.2)
    assert found.answer.tolist() == [NO_ANSWER, NO_ANSWER] and not found.share.any()
    assert votes.unanswered(3).tolist() == [REFUSED, UNPARSED]
    assert (decide_grid(votes, [0, 1], [1, 3, 4]) == NO_ANSWER).all()


def test_shuffled_chains_are_the_same_chains_in_another_order():
    votes = drawn_votes(40, 8, seed=1)
    once, again, other = votes.shuffled(3, 0), votes.shuffled(3, 0), votes.shuffled(3, 1)
    assert np.array_equal(once.score, again.score, equal_nan=True)
    assert not np.array_equal(once.score, other.score, equal_nan=True)
    assert np.array_equal(once.sampled, votes.sampled)
    for row in range(40):
        sampled = votes.sampled[row]
        assert sorted(map(str, once.score[row, :sampled])) == sorted(map(str, votes.score[row, :sampled]))


def test_what_cannot_be_decided_is_refused():
    votes = drawn_votes(3, 4)
    for tau in (-0.1, math.nan):
        with pytest.raises(BadInput, match="temperature"):
            decide(votes, tau)
    with pytest.raises(BadInput, match="0 chains"):
        decide(votes, 0.2, 0)
    for counts in ([], [0, 1], [2, 2], [3, 1]):
        with pytest.raises(BadInput, match="chain counts"):
            decide_grid(votes, [0.2], counts)
    chains = chains_of([(0, [0.5]), ("refused", [0.5])])
    assert Votes.of(chains, [[0.5, math.nan]]).score[0, 0] == 0.5
    with pytest.raises(BadInput, match="score nan"):
        Votes.of(chains, [[math.nan, 0.5]])
    with pytest.raises(BadInput, match="shape"):
        Votes.of(chains, [[0.5]])
