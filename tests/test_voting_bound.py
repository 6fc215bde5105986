"""Bounds of the parity gap: against all weights, all assignments and all decisions of small cases."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiray.errors import BadInput
from equiray.metrics.tables import MISSING
from equiray.mitigation.voting.bound import Reach, gap_bound, reach_of_answers, reach_of_scores
from equiray.mitigation.voting.deciding import decide
from equiray.mitigation.voting.votes import Votes
from voting_cases import drawn_votes, grouped, votes_of


@given(st.lists(st.integers(0, 2), min_size=1, max_size=5), st.sampled_from([0.0, 0.4, 0.9, 1.5, 30.0, math.inf]))
@settings(max_examples=120, deadline=None)
def test_scores_reach_just_the_decisions_that_some_scores_make(answers, tau):
    plain = [(answer, 0.0) for answer in answers]
    reach = reach_of_scores(votes_of(plain, options=3), np.array([1]), tau)
    made = {
        int(decide(votes_of(list(zip(answers, scores, strict=True)), options=3), tau).answer[0])
        for scores in itertools.product([0.0, 1.0], repeat=len(answers))
    }
    assert (bool(reach.positive[0]), bool(reach.other[0])) == (1 in made, bool(made - {1}))


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.05, 0.3, 2.0, math.inf]))
@settings(max_examples=80, deadline=None)
def test_answers_reach_just_the_decisions_that_some_assignment_makes_but_for_ties(seed, tau):
    votes = drawn_votes(1, 6, 2, seed=seed)
    answered = np.flatnonzero(votes.answers[0] >= 0)
    reach = reach_of_answers(votes, np.array([1]), tau)
    made = set()
    for order in set(itertools.permutations(votes.answers[0, answered].tolist())):
        answers = votes.answers.copy()
        answers[0, answered] = order
        share = decide(Votes(**(vars(votes) | {"answers": answers})), tau).share[0]
        top = share.max()
        made |= {option for option in (0, 1) if share[option] >= top - 1e-12 and share[option] > 0}
    assert (bool(reach.positive[0]), bool(reach.other[0])) == (1 in made, 0 in made)


def test_three_options_are_never_promised_too_little():
    for seed in range(30):
        votes = drawn_votes(1, 5, 3, seed=seed, unanswered=0)
        reach = reach_of_answers(votes, np.array([0]), 0.3)
        for order in set(itertools.permutations(votes.answers[0, : votes.sampled[0]].tolist())):
            answers = votes.answers.copy()
            answers[0, : votes.sampled[0]] = order
            answer = decide(Votes(**(vars(votes) | {"answers": answers})), 0.3).answer[0]
            assert (reach.positive if answer == 0 else reach.other)[0]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), min_size=1, max_size=7))
@settings(max_examples=100, deadline=None)
def test_the_bound_of_the_gap_is_the_largest_over_all_decisions(cases):
    reach = Reach(np.array([bool(may & 1) for may, _, _ in cases]), np.array([bool(may & 2) for may, _, _ in cases]))
    code, among = np.array([group for _, group, _ in cases]), np.array([kept for *_, kept in cases])
    bound = gap_bound(reach, grouped(code, ("a", "b", MISSING)), among)
    gaps, rates = [], []
    allowed = [[d for d in (1, 0) if may >> (1 - d) & 1] or [None] for may, _, _ in cases]
    for decision in itertools.product(*allowed):
        parts = [
            [d for d, g, keep in zip(decision, code, among, strict=True) if g == group and keep and d is not None]
            for group in (0, 1)
        ]
        if all(parts):
            rate = [sum(part) / len(part) for part in parts]
            rates.append(rate)
            gaps.append(abs(rate[0] - rate[1]))
    if not gaps:
        assert math.isnan(bound.most) and math.isnan(bound.least)
        return
    assert bound.most == pytest.approx(max(gaps)) and bound.least <= min(gaps) + 1e-12
    assert bound.lowest == pytest.approx(np.min(rates, axis=0)) and bound.highest == pytest.approx(
        np.max(rates, axis=0)
    )


@given(st.integers(0, 10**6), st.sampled_from([0.05, 0.2, 0.8, 5.0, math.inf]))
@settings(max_examples=40, deadline=None)
def test_the_actual_vote_lies_within_both_bounds_and_narrows_to_the_majority(seed, tau):
    votes = drawn_votes(40, 7, seed=seed)
    code, ones = np.arange(40) % 2, np.ones(40, np.int64)
    answer = decide(votes, tau).answer
    rates = np.array([(answer[(code == g) & (answer >= 0)] == 1).mean() for g in (0, 1)])
    for reach in (reach_of_scores(votes, ones, tau), reach_of_answers(votes, ones, tau)):
        bound = gap_bound(reach, grouped(code))
        assert (bound.lowest <= rates + 1e-12).all() and (rates <= bound.highest + 1e-12).all()
        assert bound.least - 1e-12 <= abs(rates[0] - rates[1]) <= bound.most + 1e-12
    if tau == math.inf:
        bound = gap_bound(reach_of_scores(votes, ones, tau), grouped(code))
        assert np.array_equal(bound.lowest, bound.highest)


def test_a_span_that_is_none_is_refused():
    for span in (0.0, math.inf):
        with pytest.raises(BadInput, match="span"):
            reach_of_scores(drawn_votes(2, 3), np.array([1, 1]), 0.2, span=span)
