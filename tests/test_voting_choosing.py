"""Temperature and chains chosen on validation cases: the best point by hand, ties, and what may never choose."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiray.errors import BadInput
from equiray.mitigation.voting.cases import HeldOutCases, ValidationCases
from equiray.mitigation.voting.choosing import FOUR_FIFTHS, Limit, VotePolicy, choose
from equiray.mitigation.voting.sweep import SHARE_RIGHT, sweep
from test_voting_sweep import figures_by_hand, judged
from voting_cases import grouped, votes_of

TAUS = [0.0, 0.1, 0.5]


@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.8]), st.sampled_from([None, 0.02]))
@settings(max_examples=12, deadline=None)
def test_no_point_that_keeps_the_policy_is_better(seed, ratio, loss):
    cases = judged(40, 4, seed=seed)
    policy = VotePolicy(limits=(Limit("disparate_impact_ratio", "least", ratio),), max_accuracy_loss=loss)
    found = choose(cases, "sex", TAUS, [1, 2, 4], policy)
    allowed = {}
    for chains in (1, 2, 4):
        plain = figures_by_hand(cases, math.inf, chains)[SHARE_RIGHT]
        for tau in [*TAUS, math.inf]:
            here = figures_by_hand(cases, tau, chains)
            lost = plain - here[SHARE_RIGHT]
            if here["disparate_impact_ratio"] >= ratio and (loss is None or lost <= loss + 1e-12):
                allowed[chains, -tau] = here
    assert found.candidates == 12 and found.feasible == len(allowed)
    if not allowed:
        assert found.chosen is None and found.status in ("infeasible", "inconclusive")
        return
    best = min(allowed, key=lambda point: (-round(allowed[point][SHARE_RIGHT], 12), *point))
    assert found.chosen is not None and (found.chosen.chains, -found.chosen.tau) == best
    assert found.chosen.figures == pytest.approx(allowed[best], nan_ok=True)
    assert found.majority.tau == math.inf and found.majority.chains == found.chosen.chains
    assert all(point.figures[SHARE_RIGHT] <= found.chosen.figures[SHARE_RIGHT] + 1e-12 for point in found.next_best)


def mended(cases):
    """Group b's positive cases are voted down, and their fairest chain says otherwise."""
    code = np.arange(cases) % 2
    right = (np.arange(cases) // 2) % 2
    votes = votes_of(*[
        [(1, 0.9), (0, 0.1), (0, 0.1)] if group and y else [(int(y), 0.5)] * 3
        for group, y in zip(code, right, strict=True)
    ])  # fmt: skip
    return ValidationCases(votes=votes, right=right, positive=np.ones(cases, np.int64), groups=(grouped(code),))


def test_the_four_fifths_rule_moves_the_temperature_where_the_majority_breaks_it():
    found = choose(mended(800), "sex", TAUS, [3], FOUR_FIFTHS)
    assert found.status == "chosen" and found.chosen is not None and found.chosen.tau == 0.5
    assert found.majority.figures["disparate_impact_ratio"] == 0.0
    assert found.excluded == {"disparate_impact_ratio at least 0.8": 1}
    assert found.checks[0].holds and found.checks[0].low > 0.8
    written = json.loads(json.dumps(found.to_json()))
    assert written["majority"]["tau"] == "inf" and written["checks"][0]["metric"] == "disparate_impact_ratio"


def test_too_few_cases_to_bear_it_out_are_inconclusive():
    found = choose(mended(24), "sex", TAUS, [3], FOUR_FIFTHS)
    assert found.status == "inconclusive" and found.chosen is not None and found.chosen.tau == 0.5
    assert "24 cases do not bear it out" in found.reason and not found.checks[0].holds


def test_an_accuracy_loss_needs_to_be_borne_out_too():
    policy = VotePolicy(best="equalized_odds_difference_mean", max_accuracy_loss=0.01)
    found = choose(mended(800), "sex", TAUS, [3], policy)
    assert found.status == "chosen" and found.chosen is not None
    assert found.chosen.figures["equalized_odds_difference_mean"] == 0.0
    assert found.checks[0].metric == "accuracy" and found.checks[0].bound == -0.01


def test_nothing_that_keeps_the_policy_is_said_and_nothing_falls_back():
    impossible = VotePolicy(limits=(Limit("worst_group_accuracy_groups", "least", 0.9),))
    cases = mended(40)
    wrong = ValidationCases(votes=cases.votes, right=1 - cases.right, positive=cases.positive, groups=cases.groups)
    found = choose(wrong, "sex", TAUS, [1, 3], impossible)
    assert found.status == "infeasible" and found.chosen is None and found.majority.chains == 3
    assert "worst_group_accuracy_groups reaches 0." in found.reason and "least 0.9 is asked" in found.reason
    assert json.loads(json.dumps(found.to_json()))["chosen"] is None


def test_a_figure_that_is_not_estimable_anywhere_is_inconclusive():
    votes = votes_of(*[[(0, 0.5)]] * 4)
    cases = ValidationCases(
        votes=votes, right=np.zeros(4, int), positive=np.ones(4, int), groups=(grouped([0, 0, 1, 1]),)
    )
    policy = VotePolicy(limits=(Limit("equal_opportunity_difference", "most", 0.1),))
    found = choose(cases, "sex", TAUS, [1], policy)
    assert found.status == "inconclusive" and found.chosen is None and "not estimable" in found.reason


def test_test_cases_cannot_choose():
    cases = judged(20, 3, split="test")
    assert isinstance(cases, HeldOutCases)
    with pytest.raises(BadInput, match="HeldOutCases of the 'test' split would choose"):
        choose(cases, "sex", TAUS, [1], FOUR_FIFTHS)  # pyright: ignore[reportArgumentType]
    sweep(cases, "sex", TAUS, [1])  # they can be read


def test_a_figure_that_the_cases_do_not_have_is_named():
    with pytest.raises(BadInput, match="no figure 'disparate_impact_ratio'"):
        choose(judged(20, 3, decisions=False), "sex", TAUS, [1], FOUR_FIFTHS)
