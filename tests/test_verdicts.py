"""Verdicts of claims: what limits decide, what blocks PASS and never causes FAIL, and how many rows are needed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from equiray.metrics.intervals.limits import Counted, Limits
from equiray.metrics.intervals.simultaneous import largest_difference
from equiray.metrics.looks import Look
from equiray.metrics.power import rows_needed
from equiray.metrics.verdicts import Claim, judge, overall
from judged import Proportion, claim, estimate, selections, wilson

ONCE = Look(alpha=0.05)
DP = "demographic_parity_difference"


def verdict(of: Claim, look: Look = ONCE):
    return judge([of], look)[0]


@pytest.mark.parametrize(
    ("bound", "limits", "answer"),
    [
        ({"max": 0.1}, (0.02, 0.1), "PASS"),  # the bound itself is allowed
        ({"max": 0.1}, (0.1, 0.2), "INCONCLUSIVE"),
        ({"max": 0.1}, (0.11, 0.2), "FAIL"),
        ({"max": 0.1}, (0.0, 0.2), "INCONCLUSIVE"),
        ({"min": 0.8}, (0.8, 0.9), "PASS"),
        ({"min": 0.8}, (0.7, 0.8), "INCONCLUSIVE"),
        ({"min": 0.8}, (0.7, 0.79), "FAIL"),
        ({"min": 0.8}, (float("nan"), float("nan")), "INCONCLUSIVE"),
    ],
)
def test_limits_decide_and_not_the_value(bound: dict, limits: tuple, answer: str):
    assert claim(selections(f=(40, 100), m=(50, 100)), DP, **bound).answer(Limits(*limits)) == answer


def test_a_verdict_carries_what_is_needed_to_read_it():
    found = verdict(claim(selections(f=(300, 1000), m=(500, 1000)), DP, max=0.1))
    low, high = found.low, found.high
    assert (found.verdict, found.n, found.family_size, found.alpha) == ("FAIL", 2000, 1, 0.05)
    assert found.rule == "demographic_parity_difference of sex at most 0.1"
    assert found.value == pytest.approx(0.2) and low is not None and high is not None and 0.1 < low < 0.2 < high
    assert f"{low:.4g} is above 0.1" in found.reason


def test_the_policy_fails_with_any_fail_and_passes_only_if_all_do():
    answers = {"PASS": (100, 1000), "FAIL": (300, 1000), "INCONCLUSIVE": (150, 1000)}
    made = {}
    for answer, counts in answers.items():
        made[answer] = verdict(claim(selections(f=counts), "selection_rate", "f", max=0.15))
        assert made[answer].verdict == answer
    assert overall([made["PASS"]]) == "PASS"
    assert overall([made["PASS"], made["INCONCLUSIVE"]]) == "INCONCLUSIVE"
    assert overall([made["INCONCLUSIVE"], made["FAIL"], made["PASS"]]) == "FAIL"
    with pytest.raises(ValueError, match="nothing to judge"):
        overall([])


def test_a_group_without_a_denominator_is_inconclusive_and_listed_with_its_count():
    evidence = selections(f=(50, 100), m=(50, 100), x=(0, 0))
    found = verdict(claim(evidence, DP, max=0.9))
    assert (found.verdict, found.value, found.n_needed) == ("INCONCLUSIVE", None, None)
    assert "x (0)" in found.reason and "f (" not in found.reason
    assert verdict(claim(evidence, "selection_rate", "x", max=0.9)).verdict == "INCONCLUSIVE"


def test_a_small_group_blocks_pass_and_never_causes_fail():
    equal = selections(f=(500, 1000), m=(500, 1000), x=(29, 29))
    assert verdict(claim(selections(f=(500, 1000), m=(500, 1000)), DP, max=0.1)).verdict == "PASS"
    found = verdict(claim(equal, DP, max=0.1))  # x alone would make it FAIL: its limits begin far above
    assert equal.limits(equal.estimates[-1], 0.95).low > 0.1  # type: ignore[union-attr]
    assert found.verdict == "INCONCLUSIVE" and "x (29)" in found.reason
    assert found.n_needed == 2099  # 29 of 2,029 rows are x: in 2,099 such rows, 30 are
    alone = verdict(claim(equal, "selection_rate", "x", max=0.1))
    assert (alone.verdict, alone.n_needed) == ("INCONCLUSIVE", 30)


def test_groups_beside_a_small_one_fail_by_themselves():
    found = verdict(claim(selections(f=(300, 1000), m=(700, 1000), x=(3, 5)), DP, max=0.1))
    alone = verdict(claim(selections(f=(300, 1000), m=(700, 1000)), DP, max=0.1))
    assert found.verdict == "FAIL" and (found.value, found.low) == (alone.value, alone.low)
    assert "x (5)" in found.reason
    # a bound from below on a disparity is met more easily with more groups: the others prove nothing
    assert verdict(claim(selections(f=(500, 1000), m=(500, 1000), x=(3, 5)), DP, min=0.5)).verdict == "INCONCLUSIVE"


def test_unanswered_rows_bound_the_estimate_and_pass_only_where_the_bounds_do():
    answered = selections(f=(200, 1000))
    assert verdict(claim(answered, "selection_rate", "f", max=0.3)).verdict == "PASS"
    few, many = selections(unanswered={"f": 20}, f=(200, 1000)), selections(unanswered={"f": 400}, f=(200, 1000))
    assert verdict(claim(few, "selection_rate", "f", max=0.3)).verdict == "PASS"
    blocked = verdict(claim(many, "selection_rate", "f", max=0.3))
    assert (blocked.verdict, blocked.n_needed) == ("INCONCLUSIVE", None)  # more rows do not answer these
    assert "missing rows" in blocked.reason and blocked.high == pytest.approx(wilson(Proportion(600, 1400), 0.95).high)
    assert verdict(claim(many, "selection_rate", "f", max=0.1)).verdict == "FAIL"  # even had all been refused


def test_a_larger_family_has_wider_limits_at_the_same_alpha():
    one = claim(selections(f=(300, 1000)), "selection_rate", "f", max=0.33)
    single, (first, *_) = verdict(one), judge([one] * 20, ONCE)
    assert (first.family_size, first.alpha) == (20, 0.05)
    expected = wilson(Proportion(300, 1000), 1 - 0.05 / 20)
    assert (first.low, first.high) == pytest.approx(expected)
    assert single.verdict == "PASS" and first.verdict == "INCONCLUSIVE"


@given(looks=st.integers(1, 200), alpha=st.floats(1e-4, 0.4))
def test_spent_alpha_adds_up_to_alpha_at_most(looks: int, alpha: float):
    spent = sum(Look(alpha=alpha, number=k, spend=True).level for k in range(1, looks + 1))
    assert spent == pytest.approx(alpha * looks / (looks + 1)) and spent < alpha


def test_a_later_look_says_so_or_spends_alpha():
    one = claim(selections(f=(300, 1000)), "selection_rate", "f", max=0.33)
    assert "look" not in verdict(one).reason
    repeated = verdict(one, Look(alpha=0.05, number=3))
    assert "repeated look 3" in repeated.reason and repeated.alpha == 0.05
    spent = verdict(one, Look(alpha=0.05, number=3, spend=True))
    assert spent.alpha == pytest.approx(0.05 / 12) and "look 3" in spent.reason
    assert (spent.low, spent.high) == pytest.approx(wilson(Proportion(300, 1000), 1 - 0.05 / 12))


@pytest.mark.parametrize(("rate", "bound"), [(0.25, 0.2), (0.85, 0.8), (0.1, 0.15)])
def test_with_the_rows_needed_most_verdicts_are_decided(rate: float, bound: float):
    n, confidence = 100, 0.99
    present = estimate("selection_rate", rate, n, group="f")
    needed = rows_needed(present, wilson(Proportion(round(rate * n), n), confidence), bound, confidence)
    assert needed is not None and needed > n

    def decided(rows: int) -> float:
        """Exactly, over all counts that may be drawn."""
        counts = np.arange(rows + 1)
        z, shares = norm.ppf((1 + confidence) / 2), counts / rows
        # the score limit passes the bound where the score test at the bound rejects
        beyond = np.abs(shares - bound) > z * np.sqrt(bound * (1 - bound) / rows)
        return float(binom.pmf(counts[beyond], rows, rate).sum())

    assert 0.7 < decided(needed) < 0.95
    assert decided(n) < 0.5


@pytest.mark.parametrize(("gap", "bound", "share"), [(0.15, 0.1, 0.8), (0.0, 0.05, 0.6)])
def test_with_the_rows_needed_a_gap_near_0_is_decided_less_often(gap: float, bound: float, share: float):
    rates, trials = np.array([0.3, 0.3 + gap]), np.array([200, 200])
    low, high = largest_difference([Counted(rates * trials, trials)], 0.95)
    needed = rows_needed(estimate(DP, gap, 400), Limits(float(low), float(high)), bound, 0.95)
    assert needed is not None and needed > 400
    drawn = np.random.default_rng(0).binomial(needed // 2, rates, (1000, 2))
    lows, highs = largest_difference([Counted(drawn, np.full(2, needed // 2))], 0.95)
    assert ((lows > bound) | (highs <= bound)).mean() == pytest.approx(share, abs=0.06)


def test_rows_needed_where_none_are_and_where_none_help():
    present = estimate(DP, 0.05, 400)
    assert rows_needed(present, Limits(0.01, 0.09), 0.1, 0.95) == 400
    assert rows_needed(replace(present, value=0.1), Limits(0.05, 0.15), 0.1, 0.95) is None
    assert rows_needed(replace(present, value=None), Limits(0.05, 0.15), 0.1, 0.95) is None
    assert rows_needed(replace(present, status="partial"), Limits(0.0, 0.15), 0.1, 0.95) is None
    on_it = verdict(claim(selections(f=(100, 1000)), "selection_rate", "f", max=0.1))
    assert on_it.n_needed is None and "lies on the bound" in on_it.reason
    short = verdict(claim(selections(f=(310, 1000)), "selection_rate", "f", max=0.3))
    assert short.n_needed is not None and f"{short.n_needed - 1000:,} more rows" in short.reason
