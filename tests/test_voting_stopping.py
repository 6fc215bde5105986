"""Early stopping: no continuation changes what is certain, and the stated risk is what simulated cases suffer."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom

from equiray.errors import BadInput
from equiray.mitigation.voting.chains import NO_ANSWER
from equiray.mitigation.voting.deciding import decide
from equiray.mitigation.voting.replay import replay
from equiray.mitigation.voting.stopping import DRAWS, Stopper, StoppingRule, continuations
from voting_cases import by_hand, drawn_votes, votes_of

TAUS = [0.0, 0.05, 0.4, 3.0, math.inf]


def stops_at(rule, options, chains):
    """How many chains a live sampler takes."""
    stopper = Stopper(rule, options=options)
    for place, (answer, score) in enumerate(chains):
        if stopper.update(answer, score):
            return place + 1
    return len(chains)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=4),
    st.integers(1, 3),
    st.sampled_from(TAUS),
)
@settings(max_examples=60, deadline=None)
def test_sampling_stops_exactly_where_no_continuation_could_change_the_decision(seen, left, tau):
    rule = StoppingRule(chains=len(seen) + left, tau=tau)
    answers, scores = (np.array([part]) for part in zip(*seen, strict=True))
    settled = bool(rule.settled(answers, scores.astype(float), 2, left)[0])
    now = by_hand(votes_of(seen), 0, tau, len(seen))
    coming = list(itertools.product([0, 1], [0.0, 0.3, 1.0]))
    others = {
        by_hand(votes_of([*seen, *more]), 0, tau, len(seen) + left) for more in itertools.product(coming, repeat=left)
    }
    if settled:
        assert others == {now}
    elif others == {now}:  # short of certain only where the worst continuation ties
        worst = votes_of([*seen, *[(1 - now, 1.0)] * left])
        share = decide(worst, tau).share[0]
        assert share[0] == pytest.approx(share[1], rel=1e-9)


def test_a_majority_stops_as_soon_as_it_has_more_than_half():
    rule = StoppingRule(chains=5, tau=math.inf)
    assert stops_at(rule, 2, [(1, 0.1)] * 5) == 3
    assert stops_at(rule, 2, [(0, 0.1), (1, 0.1), (1, 0.1), (0, 0.1), (0, 0.1)]) == 5
    assert stops_at(StoppingRule(chains=4, tau=math.inf), 2, [(0, 0.1), (0, 0.1), (1, 0.1), (1, 0.1)]) == 2
    assert stops_at(StoppingRule(chains=4, tau=math.inf), 2, [(1, 0.1), (0, 0.1), (0, 0.1), (0, 0.1)]) == 4
    assert stops_at(rule, 2, [(None, None)] * 5) == 5


def test_weights_of_fairer_chains_to_come_delay_the_stop_and_zero_waits_for_a_perfect_one():
    low, high = [(1, 0.2)] * 8, [(1, 0.9)] * 8
    rule = StoppingRule(chains=8, tau=0.5)
    assert stops_at(rule, 2, high) < stops_at(rule, 2, low)
    best = StoppingRule(chains=3, tau=0.0)
    assert stops_at(best, 2, [(1, 0.99)] * 3) == 3
    assert stops_at(best, 2, [(1, 1.0)] * 3) == 2


@given(st.integers(0, 10**6), st.sampled_from(TAUS), st.sampled_from([0.0, 0.1]), st.integers(2, 3))
@settings(max_examples=25, deadline=None)
def test_a_replay_is_what_a_live_sampler_does_case_by_case(seed, tau, risk, options):
    votes = drawn_votes(12, 7, options, seed=seed)
    rule = StoppingRule(chains=6, tau=tau, risk=risk, seed=1)
    found = replay(votes, rule)
    for row in range(12):
        there = min(6, int(votes.sampled[row]))
        live = [
            (None, None) if answer == NO_ANSWER else (int(answer), float(score))
            for answer, score in zip(votes.answers[row, :there], votes.score[row, :there], strict=True)
        ]
        own = StoppingRule(chains=there, tau=tau, risk=risk, seed=1)
        assert found.used[row] == stops_at(own, int(votes.options[row]), live)
    if not risk:
        assert np.array_equal(found.stopped, found.full) and found.changed == 0
    assert found.saved == 1 - found.used.sum() / np.minimum(votes.sampled, 6).sum()


@pytest.mark.parametrize(("mine", "other", "left"), [(3, 1, 4), (4, 2, 7), (6, 0, 10), (2, 2, 5)])
def test_continuations_of_plain_votes_follow_the_beta_binomial_law(mine, other, left):
    seen = mine + other
    counts = continuations(seen, left, 2, seed=3)
    assert counts.shape == (DRAWS, seen + 2) and (counts.sum(1) == left).all()
    theirs = np.append(np.arange(seen) >= mine, [False, True])  # answers 0 first, then 1
    drawn = counts[:, theirs].sum(1)
    law = betabinom(left, 1 + other, 1 + mine)
    for at_most in range(left):
        p = law.cdf(at_most)
        assert (drawn <= at_most).mean() == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / DRAWS) + 1e-9)


def simulated(cases, chains, options, seed, sway):
    """Cases like the prior: shares of answers uniform on the simplex, scores that may hang on the answer."""
    draw = np.random.default_rng(seed)
    shares = draw.dirichlet(np.ones(options), cases)
    answers = (draw.random((cases, chains, 1)) > shares.cumsum(1)[:, None, :-1]).sum(2)
    centre = np.clip(0.6 + sway * (answers - 0.5) * draw.uniform(-1, 1, (cases, 1)), 0.1, 0.9)
    score = draw.beta(8 * centre, 8 * (1 - centre))
    return votes_of(*[list(zip(a, s, strict=True)) for a, s in zip(answers.tolist(), score.tolist(), strict=True)],
                    options=options)  # fmt: skip


@pytest.mark.parametrize(
    ("tau", "options", "sway"), [(math.inf, 2, 0.0), (math.inf, 3, 0.0), (0.2, 2, 0.0), (0.2, 2, 0.6)]
)
def test_no_more_decisions_change_than_the_stated_risk(tau, options, sway):
    votes = simulated(400, 16, options, seed=7, sway=sway)
    found = replay(votes, StoppingRule(chains=16, tau=tau, risk=0.05))
    certain = replay(votes, StoppingRule(chains=16, tau=tau))
    assert found.changed <= 0.05 and found.changed_limits().low <= 0.05
    assert found.saved > certain.saved + 0.1 and certain.changed == 0
    if tau == math.inf:
        assert found.changed > 0  # of weighted votes the posterior is too careful for that


def test_what_a_rule_cannot_follow_is_refused():
    with pytest.raises(BadInput, match="risk 1"):
        StoppingRule(chains=4, tau=0.2, risk=1)
    with pytest.raises(BadInput, match="temperature -1"):
        StoppingRule(chains=4, tau=-1)
    stopper = Stopper(StoppingRule(chains=1, tau=0.2), options=2)
    for answer, score, said in ((2, 0.5, "option 2 of 2"), (1, 1.5, "score 1.5"), (1, None, "score None")):
        with pytest.raises(BadInput, match=said):
            stopper.update(answer, score)
    assert stopper.update(1, 0.5)
    with pytest.raises(BadInput, match="more than 1 chains"):
        stopper.update(1, 0.5)
    with pytest.raises(BadInput, match=r"score 0\.5"):
        replay(votes_of([(0, 0.5)]), StoppingRule(chains=1, tau=0.2, highest=0.0))
