"""Scores of chains: formulas, padding, weights of steps, and the association with length."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from equiray.errors import BadInput
from equiray.metrics.clusters import Resampling
from equiray.mitigation.voting.aggregation import HIGHEST, LEAST_PROBABILITY, chain_scores
from equiray.mitigation.voting.deciding import decide
from equiray.mitigation.voting.length import length_effect
from equiray.mitigation.voting.votes import Votes
from equiray.mitigation.voting.weighting import chain_weights
from voting_cases import chains_of

PROBABILITY = st.floats(0, 1)
STEPS = st.lists(PROBABILITY, min_size=1, max_size=8)


@given(st.lists(STEPS, min_size=1, max_size=5), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_scores_are_the_formulas_chain_by_chain(chains, k):
    made = chains_of([(0, steps) for steps in chains], [("refused", [])])
    for aggregator, by_hand in {
        "mean": lambda steps: sum(steps) / len(steps),
        "log_mean": lambda steps: sum(math.log(max(p, LEAST_PROBABILITY)) for p in steps) / len(steps),
        "low": lambda steps: sum(sorted([*steps, *[1.0] * k])[:k]) / k,
    }.items():
        found = chain_scores(made, aggregator, lowest=k)
        assert found[0] == pytest.approx([by_hand(steps) for steps in chains], abs=1e-12)
        assert np.isnan(found[1]).all() and (found[0] <= HIGHEST[aggregator]).all()
    assert chain_scores(made, "low")[0].tolist() == [min(steps) for steps in chains]


@given(STEPS, st.lists(PROBABILITY, min_size=1, max_size=12), st.integers(1, 6))
@settings(max_examples=150, deadline=None)
def test_no_appended_step_raises_low(steps, appended, k):
    plain, padded = chain_scores(chains_of([(0, steps), (0, [*steps, *appended])]), "low", lowest=k)[0]
    assert padded <= plain


@given(
    st.lists(st.tuples(st.integers(0, 2), STEPS), min_size=2, max_size=6),
    st.lists(PROBABILITY, min_size=1, max_size=12),
    st.integers(1, 4),
    st.sampled_from([0.0, 1e-3, 0.2, 5.0, math.inf]),
)
@settings(max_examples=200, deadline=None)
def test_under_low_no_appended_step_raises_a_chain_s_weight_or_its_answer_s(chains, appended, k, tau):
    answer, steps = chains[0]
    padded = [(answer, [*steps, *appended]), *chains[1:]]
    scores = [chain_scores(chains_of(made, options=3), "low", lowest=k) for made in (chains, padded)]
    (plain,), (after,) = (chain_weights(score, tau) for score in scores)
    assert after[0] <= plain[0] * (1 + 1e-12)
    votes = [Votes.of(chains_of(made, options=3), score) for made, score in zip((chains, padded), scores, strict=True)]
    plain_share, after_share = (decide(of, tau).share[0, answer] for of in votes)
    assert after_share <= plain_share + 1e-12


def test_appended_fair_steps_raise_both_means():
    made = chains_of([(0, [0.2, 0.6]), (0, [0.2, 0.6, *[0.99] * 6])])
    for aggregator in ("mean", "log_mean"):
        plain, padded = chain_scores(made, aggregator)[0]
        assert padded > plain


def test_steps_weigh_by_the_size_of_their_effect():
    made = chains_of([(0, [0.2, 0.6]), (0, [0.4, 0.8])], [(1, [0.5, 0.25, 0.125])])
    found = chain_scores(made, "mean", effects=[3.0, -1.0, 0.0, 0.0, 1e-310, 0.0, 1e-310])
    assert found[0] == pytest.approx([(3 * 0.2 + 0.6) / 4, 0.6])  # the second chain's effects are all 0: uniform
    assert found[1, 0] == pytest.approx((0.5 + 0.125) / 2)
    uniform = chain_scores(made, "log_mean", effects=np.full(7, 2.5))
    assert uniform == pytest.approx(chain_scores(made, "log_mean"), nan_ok=True)


def test_what_cannot_be_aggregated_is_refused():
    made = chains_of([(0, [0.2, 0.6])])
    with pytest.raises(BadInput, match="aggregator 'median'"):
        chain_scores(made, "median")  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput, match="lowest 0"):
        chain_scores(made, "low", lowest=0)
    with pytest.raises(BadInput, match="effects with `low`"):
        chain_scores(made, "low", effects=[1, 1])
    for effects in ([1.0], [1.0, math.inf]):
        with pytest.raises(BadInput, match="each of 2 steps"):
            chain_scores(made, "mean", effects=effects)


def drawn(cases, seed, slope):
    """Chains of which each further step is fair with a probability that rises by `slope`."""
    draw = np.random.default_rng(seed)
    made = []
    for base in draw.uniform(0.3, 0.6, cases):
        lengths = draw.integers(1, 6, 6)
        made.append([(0, np.clip(base + slope * n + draw.normal(0, 0.1, n), 0, 1).tolist()) for n in lengths])
    return chains_of(*made)


def test_the_length_effect_is_the_rank_correlation_of_one_case():
    chains = drawn(1, seed=3, slope=0.02)
    scores = chain_scores(chains, "mean")
    found = length_effect(chains, scores, Resampling(replicates=50))
    assert found.value == pytest.approx(spearmanr(scores[0], chains.lengths[0]).statistic)
    assert math.isnan(found.limits.low) and found.cases == 1


def test_the_length_effect_finds_what_is_there_and_its_limits_hold_the_truth():
    flat, rising = (drawn(150, seed=1, slope=slope) for slope in (0.0, 0.05))
    none = length_effect(flat, chain_scores(flat, "mean"), Resampling(replicates=500))
    some = length_effect(rising, chain_scores(rising, "mean"), Resampling(replicates=500))
    assert none.limits.low < 0 < none.limits.high and some.limits.low > 0.3
    falling = length_effect(flat, chain_scores(flat, "low"), Resampling(replicates=500))
    assert falling.limits.high < 0  # a minimum over more steps is lower


def test_equal_lengths_make_the_length_effect_not_estimable():
    chains = chains_of([(0, [0.2]), (1, [0.6])], [(0, [0.1]), ("refused", [0.1, 0.2])])
    found = length_effect(chains, chain_scores(chains, "mean"), Resampling(replicates=20))
    assert math.isnan(found.value) and found.cases == 1
