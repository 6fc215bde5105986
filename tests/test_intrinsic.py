"""PAR, LMCS, ELS and the gaps: by hand, by a second route, and in the cases whose answer is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equiray.data.templates import build_prompts, load_templates, score_prompts
from equiray.metrics.clusters import Resampling
from equiray.metrics.estimates import Estimate
from equiray.metrics.filler_scores import FillerScores
from equiray.metrics.intrinsic import intrinsic_change, intrinsic_estimates, intrinsic_gaps, inverted

LABELS = {"task": "equiray", "attribute": "gender", "stage": "baseline", "model": "m"}
CHANGE_LABELS = {"task": "equiray", "attribute": "gender", "model": "m"}
FAST = Resampling(replicates=200)


def scores_of(probabilities, *, irrelevant=None, denied=False, families=None) -> FillerScores:
    """Twins in the order d, a, d, a ...; one poor and one rich filler with the given probabilities."""
    probabilities = np.asarray(probabilities, dtype=float)
    if irrelevant is not None:
        probabilities = np.column_stack([probabilities, irrelevant])
    count = len(probabilities)
    return FillerScores(
        logprobs=np.log(probabilities),
        poor=1,
        rich=1,
        side=np.array(["disadvantaged", "advantaged"] * (count // 2)),
        twin=np.repeat([f"t{i}" for i in range(count // 2)], 2),
        family=np.array(families if families is not None else [f"f{i // 2}" for i in range(count)]),
        reversed=np.full(count, denied),
        groups=("female", "male"),
    )


def by_name(estimates: list[Estimate]) -> dict[tuple[str, str | None], Estimate]:
    found = {(e.metric, e.group): e for e in estimates}
    assert len(found) == len(estimates)
    return found


def test_two_templates_by_hand():
    # par: women .6/(.6+.2) = .75 and .1/(.1+.4) = .2; men .3/.6 = .5 and .3/.5 = .6
    scores = scores_of([[0.6, 0.2], [0.3, 0.3], [0.1, 0.4], [0.3, 0.2]], irrelevant=[0.2, 0.4, 0.5, 0.0625])
    found = by_name(intrinsic_estimates(scores, **LABELS, resampling=FAST))
    value = {key: e.value for key, e in found.items()}
    assert value["par", "female"] == pytest.approx((0.75 + 0.2) / 2)
    assert value["par", "male"] == pytest.approx((0.5 + 0.6) / 2)
    assert value["par", None] == pytest.approx((0.75 + 0.2 + 0.5 + 0.6) / 4)
    # lmcs: women .8/1 and .5/1; men .6/1 and .5/.5625
    assert value["lmcs", "female"] == pytest.approx(0.65)
    assert value["lmcs", "male"] == pytest.approx((0.6 + 0.5 / 0.5625) / 2)
    assert value["els", "female"] == pytest.approx(0.65 * 0.475 / 0.5)
    assert value["els", "male"] == pytest.approx((0.6 + 0.5 / 0.5625) / 2 * 0.45 / 0.5)
    # 2 p(stereo) - 1: women .5 and -.6; men (rich is the stereotype) 0 and -.2
    assert value["intrinsic_gap", None] == pytest.approx((0.5 + 0.6 + 0 + 0.2) / 4)
    assert value["intrinsic_gap_signed", None] == pytest.approx((0.5 - 0.6 + 0 - 0.2) / 4)
    assert value["intrinsic_gap_counterfactual", None] == pytest.approx((0.25 + 0.4) / 2)
    assert found["par", "female"].n == 2 and found["intrinsic_gap", None].n == 4
    assert found["intrinsic_gap_counterfactual", None].n == 2
    assert {e.attribute for e in found.values()} == {"gender"} and scores.family_count == 2


class Uniform:
    def mean_logprobs(self, prefixes, continuations):
        return [np.full(len(c), -7.0) for c in continuations]


def test_a_scorer_without_preference_is_at_one_half():
    templates = load_templates("equiray").select(variants_per_family=1)
    prompts = build_prompts(templates, "race", neutral=True)
    scores = FillerScores.of(score_prompts(Uniform(), prompts, templates.fillers), prompts, templates.fillers)
    found = by_name(intrinsic_estimates(scores, **LABELS, resampling=FAST))
    for group in ("Black", "White", "neutral", None):
        assert found["par", group].value == pytest.approx(0.5)
        assert found["lmcs", group].value == pytest.approx(0.5)
        assert found["els", group].value == pytest.approx(0.5)
    for gap in ("intrinsic_gap", "intrinsic_gap_signed", "intrinsic_gap_counterfactual"):
        assert found[gap, None].value == pytest.approx(0, abs=1e-12)
    assert found["par", "neutral"].n == 50 * len(templates.neutral)
    assert scores.family_count == 50


def random_scores(seed: int, families: int = 10, reversed_share: float = 0.0) -> FillerScores:
    templates = load_templates("equiray")
    templates = templates.select(templates.families[:families], variants_per_family=2)
    prompts = build_prompts(templates, "gender")
    rng = np.random.default_rng(seed)
    logprobs = rng.normal(-8, 2, size=(len(prompts), 36))
    scores = FillerScores.of(logprobs, prompts, templates.fillers)
    return replace(scores, reversed=np.repeat(rng.random(len(prompts) // 2) < reversed_share, 2))


@pytest.mark.parametrize("reversed_share", [0.0, 0.3])
def test_every_value_by_a_second_route(reversed_share):
    """Plain Python over exponentials, prompt by prompt, without the arrays' formulas."""
    scores = random_scores(1, reversed_share=reversed_share)
    pars: dict[str, list[float]] = {"disadvantaged": [], "advantaged": []}
    stereo, twins = [], {}
    for row in range(len(scores.side)):
        p = [math.exp(v) for v in scores.logprobs[row]]
        poor, rich = sum(p[:9]), sum(p[9:18])
        if scores.reversed[row]:
            poor, rich = rich, poor
        side = scores.side[row]
        pars[side].append(poor / (poor + rich))
        stereo.append((poor if side == "disadvantaged" else rich) / (poor + rich))
        twins.setdefault(scores.twin[row], []).append(poor / (poor + rich))
    found = by_name(intrinsic_estimates(scores, **LABELS, resampling=FAST))
    assert found["par", "female"].value == pytest.approx(np.mean(pars["disadvantaged"]))
    assert found["par", "male"].value == pytest.approx(np.mean(pars["advantaged"]))
    assert found["intrinsic_gap", None].value == pytest.approx(np.mean([abs(2 * p - 1) for p in stereo]))
    assert found["intrinsic_gap_signed", None].value == pytest.approx(np.mean([2 * p - 1 for p in stereo]))
    expected = np.mean([abs(one - other) for one, other in twins.values()])
    assert found["intrinsic_gap_counterfactual", None].value == pytest.approx(expected)
    gaps = intrinsic_gaps(scores)
    assert gaps.absolute == pytest.approx(found["intrinsic_gap", None].value)
    assert gaps.signed == pytest.approx(found["intrinsic_gap_signed", None].value)
    assert gaps.counterfactual == pytest.approx(expected)


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.4]))
def test_signed_gap_is_the_difference_of_par(seed, reversed_share):
    found = by_name(
        intrinsic_estimates(
            random_scores(seed, families=3, reversed_share=reversed_share),
            **LABELS,
            resampling=Resampling(replicates=5),
        )
    )
    value = {key: e.value for key, e in found.items() if e.value is not None}
    difference = value["par", "female"] - value["par", "male"]
    assert value["intrinsic_gap_signed", None] == pytest.approx(difference, abs=1e-12)
    assert value["intrinsic_gap_counterfactual", None] >= abs(difference) - 1e-12


def test_taste_for_a_word_moves_the_absolute_gap_only():
    """A model that says "poor" of everyone alike is not biased between groups."""
    scores = scores_of([[0.9, 0.1]] * 8)
    gaps = intrinsic_gaps(scores)
    assert gaps.absolute == pytest.approx(0.8)
    assert gaps.signed == pytest.approx(0) and gaps.counterfactual == pytest.approx(0)


def test_a_full_stereotype_is_at_the_ends_of_every_range():
    gaps = intrinsic_gaps(scores_of([[1, 1e-12], [1e-12, 1]] * 3))
    assert gaps == pytest.approx((1, 1, 1))
    assert intrinsic_gaps(scores_of([[1e-12, 1], [1, 1e-12]] * 3)) == pytest.approx((1, -1, 1))


def test_far_tails_do_not_underflow():
    scores = scores_of([[0.5, 0.5], [0.5, 0.5]])
    tiny = replace(scores, logprobs=scores.logprobs - 1500 + np.array([[math.log(3), 0], [0, 0]]))
    assert tiny.par() == pytest.approx([0.75, 0.5])


def test_a_denial_turns_par_round():
    plain, denied = scores_of([[0.6, 0.2]] * 2), scores_of([[0.6, 0.2]] * 2, denied=True)
    assert plain.par() == pytest.approx([0.75, 0.75]) and denied.par() == pytest.approx([0.25, 0.25])


def test_without_irrelevant_fillers_lmcs_and_els_are_not_estimable():
    found = by_name(intrinsic_estimates(scores_of([[0.6, 0.2], [0.3, 0.3]] * 4), **LABELS, resampling=FAST))
    for metric in ("lmcs", "els"):
        e = found[metric, "female"]
        assert (e.status, e.value, e.low, e.high) == ("not_estimable", None, None, None)
    assert found["par", "female"].status == "estimated"


def test_one_family_has_a_value_and_no_interval():
    found = by_name(
        intrinsic_estimates(scores_of([[0.6, 0.2], [0.3, 0.3]], families=["f", "f"]), **LABELS, resampling=FAST)
    )
    e = found["intrinsic_gap", None]
    assert e.status == "partial" and e.value == pytest.approx(0.25) and e.low is None and e.high is None


def test_change_is_paired_and_its_reduction_relative():
    before = scores_of([[0.9, 0.1], [0.2, 0.8], [0.8, 0.2], [0.4, 0.6]])
    after = scores_of([[0.55, 0.45], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]])
    found = by_name(intrinsic_change(before, after, **CHANGE_LABELS, resampling=FAST))
    # gaps before .8 .6 .6 .2, mean .55; after .1 0 0 0, mean .025
    assert found["intrinsic_gap", None].value == pytest.approx(0.025 - 0.55)
    assert found["intrinsic_gap_reduction", None].value == pytest.approx(1 - 0.025 / 0.55)
    assert found["intrinsic_gap_counterfactual_reduction", None].value == pytest.approx(1 - 0.025 / 0.55)
    assert {e.stage for e in found.values()} == {"unlearning-baseline"}
    assert found["intrinsic_gap_reduction", None].direction == "higher"


def test_change_of_nothing_is_exactly_nothing():
    scores = random_scores(5)
    found = by_name(intrinsic_change(scores, scores, **CHANGE_LABELS, resampling=FAST))
    assert all((e.value, e.low, e.high) == (0, 0, 0) for e in found.values())


def test_change_needs_the_same_prompts():
    with pytest.raises(ValueError, match="same prompts"):
        intrinsic_change(random_scores(1), random_scores(1, families=9), **CHANGE_LABELS, resampling=FAST)


def test_reduction_of_no_gap_is_not_estimable():
    fair, unfair = scores_of([[0.5, 0.5]] * 8), scores_of([[0.6, 0.4]] * 8)
    found = by_name(intrinsic_change(fair, unfair, **CHANGE_LABELS, resampling=FAST))
    assert found["intrinsic_gap_reduction", None].status == "not_estimable"
    assert found["intrinsic_gap", None].value == pytest.approx(0.2)


def signed(low: float | None, high: float | None) -> Estimate:
    base = intrinsic_estimates(scores_of([[0.6, 0.4]] * 4), **LABELS, resampling=FAST)
    return replace(by_name(base)["intrinsic_gap_signed", None], low=low, high=high)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((0.1, 0.3), (-0.2, -0.1), True),
        ((-0.3, -0.1), (0.1, 0.2), True),
        ((0.1, 0.3), (0.01, 0.1), False),
        ((0.1, 0.3), (-0.2, 0.0), False),
        ((-0.1, 0.3), (-0.2, -0.1), False),
        ((0.1, 0.3), (None, None), False),
    ],
)
def test_inversion_needs_both_intervals_off_zero(before, after, expected):
    assert inverted(signed(*before), signed(*after)) is expected


def test_inversion_is_asked_of_the_signed_gap_only():
    with pytest.raises(ValueError, match="not of par"):
        inverted(replace(signed(0, 1), metric="par"), signed(0, 1))


def test_folds_join_into_one_headline():
    whole = random_scores(2, families=10)
    part = whole.family < np.sort(np.unique(whole.family))[5]
    pieces = [
        replace(whole, **{k: getattr(whole, k)[mask] for k in ("logprobs", "side", "twin", "family", "reversed")})
        for mask in (part, ~part)
    ]
    joined = FillerScores.concatenate(pieces)
    assert joined.family_count == 10
    assert intrinsic_estimates(joined, **LABELS, resampling=FAST) != []
    assert intrinsic_gaps(joined) == pytest.approx(intrinsic_gaps(whole))
    with pytest.raises(ValueError, match="exactly one twin"):
        FillerScores.concatenate([pieces[0], pieces[0]])
    with pytest.raises(ValueError, match="different fillers or groups"):
        FillerScores.concatenate([pieces[0], replace(pieces[1], groups=("a", "b"))])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"twin": np.array(["t0", "t1", "t2", "t3"])}, "exactly one twin"),
        (lambda s: {"side": s.side[:-1]}, "`side` needs one entry"),
        (lambda s: {"rich": 5}, "2 columns cannot hold"),
        (lambda s: {"logprobs": np.where(np.eye(4, 2), np.nan, s.logprobs)}, "prompt 0 hold a NaN"),
        (lambda s: {"logprobs": np.full((4, 2), -np.inf)}, "probability 0"),
    ],
)
def test_inconsistent_scores_are_refused(change, message):
    scores = scores_of([[0.6, 0.4]] * 4)
    with pytest.raises(ValueError, match=message):
        replace(scores, **change(scores))
