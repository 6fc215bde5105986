"""Judges, how far they agree with gold, evaluation on masked categories, and what a red team finds."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score, roc_auc_score

import tiny_models
from endpoints import Script, TinyModel, serving
from equiray.errors import BadInput
from equiray.metrics.clusters import Resampling, expanded_interval
from equiray.mitigation.reward.agreement import agreement, drift, kappa
from equiray.mitigation.reward.evaluation import (
    BAG_OF_WORDS,
    LAST_STEP,
    MODEL,
    Judged,
    auc_estimates,
    bag_of_words,
    ece_estimates,
    effective_share,
    evaluate_masked,
    held_out,
)
from equiray.mitigation.reward.judges import EndpointJudge, LikelihoodJudge
from equiray.mitigation.reward.judges.judge import questions
from equiray.mitigation.reward.labelled import LabelledChains
from equiray.mitigation.reward.model import fresh_model
from equiray.mitigation.reward.ranking import Ranking
from equiray.mitigation.reward.red_team import ProxyPair, proxy_pairs, red_team
from equiray.mitigation.reward.scoring import score_chains
from equiray.mitigation.reward.steps import MASK, ReasonedCase, step_records
from equiray.models.answers import score_answers
from equiray.models.endpoint import Endpoint
from equiray.specs.reward_model import RewardModelSpec
from reward_cases import case, chain, random_cases

FEW = Resampling(replicates=400, seed=1)


def test_a_local_judge_is_asked_in_both_orders():
    lm = tiny_models.tiny("llama", chat=True)
    cases = random_cases(3)
    asked = questions(cases)
    labels = LikelihoodJudge(lm=lm).label(cases)
    biased = score_answers(lm, asked)
    for label, step, probability in zip(labels, step_records(cases), biased, strict=True):
        assert (label.case_id, label.chain, label.step) == (step.case_id, step.chain, step.step)
        assert label.unbiased == int(probability < 0.5)
        assert label.probability == pytest.approx(1 - probability)
        assert label.source == "likelihood(llama:llama-0)"
    last = asked.row_bodies[-1]
    assert step.question in last and f"Step: {step.text}" in last
    assert all(f"Earlier step: {text}" in last for text in step.previous)


def test_an_endpoint_judge_reads_probabilities_and_asks_nothing_twice(tmp_path):
    cases = random_cases(2)
    served = TinyModel()
    with serving(served) as url:
        judge = EndpointJudge(endpoint=Endpoint(base_url=url, model="tiny", cache=tmp_path))
        labels = judge.label(cases)
        asked = len(served.requests)
        again = judge.label(cases)
    assert again == labels and len(served.requests) == asked > len(cases)
    local = LikelihoodJudge(lm=tiny_models.tiny("llama", chat=True)).label(cases)
    np.testing.assert_allclose([one.probability for one in labels], [one.probability for one in local], atol=1e-4)
    assert {one.source for one in labels} == {"endpoint(tiny)"}


def test_refusals_and_contradictions_leave_steps_unlabelled(tmp_path):
    def say(prompt: str) -> str:
        step = prompt.rpartition("Step: ")[2]
        if "Husband" in step:
            return "I'm sorry, I can't help with that."
        if "White" in step:
            return "Hm, both."
        if "Wife" in step:
            return "A"  # whatever A is
        yes, no = ("A", "B") if "A. Yes" in prompt else ("B", "A")
        return yes if "Black" in step else no

    steps = ("Husband .", "White .", "Wife .", "Black .", "hours .")
    cases = [ReasonedCase(case=case("a"), question="Who ?", chains=(chain("a", 0, *steps),))]
    with serving(Script(say)) as url:
        endpoint = Endpoint(base_url=url, model="m", cache=tmp_path, logprobs=False)
        labels = EndpointJudge(endpoint=endpoint).label(cases)
    assert [one.outcome for one in labels] == ["refused", "unparsed", "answered", "answered", "answered"]
    assert [one.unbiased for one in labels] == [None, None, None, 0, 1]
    assert [one.probability for one in labels] == [None, None, 0.5, 0.0, 1.0]


def judged_twice(cases: list[ReasonedCase], *, seed: int, wrong: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    steps = len([*step_records(cases)])
    gold = random.integers(0, 2, steps)
    judge = np.where(random.random(steps) < wrong, 1 - gold, gold)
    return np.where(random.random(steps) < 0.2, -1, gold), np.where(random.random(steps) < 0.1, -1, judge)


def by(estimates, metric, group=None, stage=None):
    (one,) = [e for e in estimates if e.metric == metric and e.group == group and stage in (None, e.stage)]
    return one


def test_kappa_of_each_group_is_that_of_scikit_learn():
    cases = [
        replace(one, case=replace(one.case, groups={"sex": "Female"} if number % 3 else {}))
        for number, one in enumerate(random_cases(60))
    ]
    gold, judge = judged_twice(cases, seed=3, wrong=0.25)
    made = agreement(cases, gold, judge, attribute="sex", model="judge", resampling=FEW)
    sex = np.array([one.case.groups.get("sex", "(missing)") for one in cases for c in one.chains for _ in c.steps])
    known = (gold >= 0) & (judge >= 0)
    for group in (None, "Female", "(missing)"):
        mine = np.ones(len(sex), dtype=bool) if group is None else sex == group
        one = by(made, "judge_kappa", group)
        assert one.value == pytest.approx(cohen_kappa_score(gold[known & mine], judge[known & mine]))
        assert one.low < one.value < one.high and one.n == (known & mine).sum()
        rate = by(made, "judge_label_rate", group)
        assert (rate.value, rate.n) == (pytest.approx(known[mine].mean()), mine.sum())
        assert by(made, "judge_agreement", group).value == pytest.approx((gold == judge)[known & mine].mean())
    assert by(made, "judge_kappa").status == "estimated"


def test_kappa_without_disagreement_is_partial_and_without_two_labels_not_estimable():
    cases = random_cases(30)
    gold, _ = judged_twice(cases, seed=3, wrong=0)
    assert (
        by(agreement(cases, gold, gold, attribute="age", model="j", resampling=FEW), "judge_kappa").status == "partial"
    )
    one = np.ones_like(gold)
    made = agreement(cases, one, one, attribute="age", model="j", resampling=FEW)
    assert by(made, "judge_kappa").status == "not_estimable"
    assert by(made, "judge_agreement").value == 1
    np.testing.assert_allclose(kappa(np.array([[25.0, 25, 25, 25], [50, 0, 0, 50], [0, 50, 50, 0]])), [0, 1, -1])


def test_drift_compares_two_judges_on_the_same_steps():
    cases = random_cases(80)
    gold, before = judged_twice(cases, seed=3, wrong=0.3)
    after = np.where(before == 0, np.random.default_rng(5).integers(0, 2, len(before)), before)
    made = drift(cases, gold, before, after, attribute="category", model="j", resampling=FEW)
    known = (gold >= 0) & (before >= 0) & (after >= 0)
    g, b, a = (labels[known] for labels in (gold, before, after))
    change = by(made, "judge_kappa", stage="after-before")
    assert change.value == pytest.approx(cohen_kappa_score(g, a) - cohen_kappa_score(g, b))
    assert change.low < change.value < change.high
    assert by(made, "judge_kappa", stage="drift").value == pytest.approx(cohen_kappa_score(b, a))
    moved = by(made, "judge_unbiased_rate", stage="after-before")
    assert moved.value == pytest.approx(a.mean() - b.mean()) and moved.low > 0
    # paired: the same judge twice has drifted by nothing, exactly
    still = drift(cases, gold, before, before, attribute="category", model="j", resampling=FEW)
    assert [by(still, "judge_kappa", stage="after-before").low, by(still, "judge_unbiased_rate").high] == [0, 0]


@pytest.mark.slow
def test_intervals_of_kappa_and_of_areas_cover():
    """Steps of a case share a shift: intervals of 300 data sets of 60 cases hold the value of a very large one."""

    def draw(random: np.random.Generator, cases: int) -> tuple[np.ndarray, ...]:
        clusters = np.repeat(np.arange(cases), 6)
        shift = random.normal(0, 1, cases)[clusters]
        gold = (shift + random.normal(0, 1, len(clusters)) > 0).astype(np.int64)
        score = shift + gold + random.normal(0, 1, len(clusters))
        judge = (score > 0.5).astype(np.int64)
        return clusters, gold, judge, 1 / (1 + np.exp(-score))

    _, gold, judge, score = draw(np.random.default_rng(0), 100_000)
    truth = cohen_kappa_score(gold, judge), roc_auc_score(gold, score)
    held = np.zeros(2)
    for seed in range(300):
        clusters, gold, judge, score = draw(np.random.default_rng(seed + 1), 60)
        cases = [
            ReasonedCase(case=case(f"{c}"), question="Q ?", chains=(chain(f"{c}", 0, *"abcdef"),)) for c in range(60)
        ]
        one = by(agreement(cases, gold, judge, attribute="category", model="j", resampling=FEW), "judge_kappa")
        area = auc_estimates(Judged(gold, clusters, np.full(len(gold), "g"), {"m": score}), FEW)[0]
        held += [one.low <= truth[0] <= one.high, area.low <= truth[1] <= area.high]
    assert (held / 300 > 0.92).all() and (held / 300 < 0.98).all(), held / 300


def test_draws_without_a_denominator_say_nothing_until_they_are_many():
    draws = np.random.default_rng(0).normal(size=(1000, 2))
    whole = expanded_interval(draws[:, :1], 50, 0.95)
    tail = stats.norm.cdf(-stats.t.ppf(0.975, 49) * np.sqrt(50 / 49))
    np.testing.assert_allclose([whole.low, whole.high], np.quantile(draws[:, :1], [tail, 1 - tail], axis=0))
    draws[:50, 0], draws[:200, 1] = np.nan, np.nan
    some = expanded_interval(draws, 50, 0.95)
    assert some.low[0] == expanded_interval(draws[50:, :1], 50, 0.95).low[0]
    assert np.isnan([some.low[1], some.high[1]]).all()


def test_weighted_areas_are_those_of_repeated_rows():
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 2, 50), random.integers(0, 9, 50) / 9
    weights = random.integers(0, 4, (5, 50))
    areas = Ranking(scores, labels).areas(weights)
    for area, weight in zip(areas, weights, strict=True):
        assert area == pytest.approx(roc_auc_score(np.repeat(labels, weight), np.repeat(scores, weight)))
    assert np.isnan(Ranking(scores, np.ones(50, dtype=np.int64)).area())


def test_areas_and_their_paired_differences():
    random = np.random.default_rng(0)
    clusters = np.repeat(np.arange(80), 5)
    labels = random.integers(0, 2, 400)
    good = labels + random.normal(0, 1, 400)
    worse = good + random.normal(0, 0.6, 400)
    made = auc_estimates(Judged(labels, clusters, np.full(400, "g"), {"good": good, "worse": worse}), FEW)
    values = [roc_auc_score(labels, score) for score in (good, worse)]
    assert [one.value for one in made] == [pytest.approx(v) for v in (*values, values[0] - values[1])]
    assert made[2].model == "good-worse" and made[2].stage == "difference"
    assert made[2].low > 0  # unpaired limits of the two overlap
    assert made[0].low < made[1].high
    one_case = auc_estimates(Judged(labels, np.zeros(400), np.full(400, "g"), {"good": good}), FEW)
    assert (one_case[0].status, one_case[0].low) == ("partial", None)
    alike = auc_estimates(Judged(np.ones(400, dtype=int), clusters, np.full(400, "g"), {"good": good}), FEW)
    assert (alike[0].status, alike[0].value) == ("not_estimable", None)


def test_calibration_errors_by_hand_and_with_fewer_effective_rows():
    scores = np.array([0.05, 0.15, 0.15, 0.95, 1.0, 0.5])
    labels = np.array([0, 0, 1, 1, 1, 0])
    groups = np.array(["a", "a", "a", "b", "b", "b"])
    judged = Judged(labels, np.arange(6), groups, {"m": scores})
    made = {one.group: one for one in ece_estimates(judged, "m", attribute="g", confidence=0.95)}
    assert made["a"].value == pytest.approx((0.05 + abs(0.3 - 1)) / 3)
    assert made["b"].value == pytest.approx((0.05 + 0.5) / 3)
    assert made[None].value == pytest.approx((0.05 + 0.7 + 0.05 + 0.5) / 6)
    # each row four times in one case is one row's worth of evidence
    errors = np.random.default_rng(0).normal(size=200)
    assert effective_share(errors, np.arange(200)) == pytest.approx(1)
    assert effective_share(np.repeat(errors, 4), np.repeat(np.arange(200), 4)) == pytest.approx(1 / 4)
    random = np.random.default_rng(1)
    p = random.random(100)
    once = Judged((random.random(100) < p).astype(int), np.arange(100), np.full(100, "g"), {"m": p})
    copied = Judged(*(np.repeat(part, 4) for part in once[:3]), {"m": np.repeat(p, 4)})
    limits = [ece_estimates(of, "m", attribute="g", confidence=0.95)[0] for of in (once, copied)]
    assert limits[1].low == pytest.approx(limits[0].low, rel=0.1) and limits[1].high == pytest.approx(
        limits[0].high, rel=0.1
    )


def categorised(count: int, seed: int) -> LabelledChains:
    """Biased steps say Black; every step of a chain, the last one included, names an option at random."""
    random = np.random.default_rng(seed)
    cases, labels = [], []
    for number in range(count):
        category = ("Age", "Race", "Sex")[number % 3]
        made = []
        for index in range(3):
            said = random.integers(0, 2, 3)
            labels += said.tolist()
            words = [f"{random.choice(['The age', 'hours worked'])} {'White' if s else 'Black'} ." for s in said]
            steps = [f"{word} {random.choice(['Husband', 'Wife'])}" for word in words]
            made.append(chain(f"c{seed}-{number}", index, *steps))
        about = replace(case(f"c{seed}-{number}"), category=category)
        cases.append(ReasonedCase(case=about, question="Is it the Husband or the Wife ?", chains=tuple(made)))
    return LabelledChains(cases, np.array(labels))


def test_held_out_categories_masked_beside_both_baselines():
    chains = categorised(60, 0)
    train, held = held_out(chains, frozenset({"Sex"}))
    assert {one.case.category for one in train.cases} == {"Age", "Race"}
    assert len(train.labels) + len(held.labels) == len(chains.labels)
    rows = [place for place, step in enumerate(step_records(chains.cases)) if int(step.case_id.split("-")[1]) % 3 == 2]
    np.testing.assert_array_equal(held.labels, chains.labels[rows])
    with fresh_model(tiny_models.tiny("llama"), RewardModelSpec(), seed=0) as model:
        seen = []
        original = model.reader.tokenize
        object.__setattr__(model, "reader", replace(model.reader))  # its own, to listen to
        object.__setattr__(
            model.reader, "tokenize", lambda texts, begins: (seen.extend(texts), original(texts, begins))[1]
        )
        made = evaluate_masked(model, train, held, attribute="category", resampling=FEW)
    assert seen and not any("Husband" in text or "Wife" in text for text in seen)
    assert all(MASK in text for text in seen)
    areas = {one.model: one for one in made if one.metric == "step_auc" and one.stage == "masked"}
    assert areas[BAG_OF_WORDS].value == 1  # White and Black are words, and not masked
    assert areas[LAST_STEP].value < 1 and areas.keys() == {MODEL, BAG_OF_WORDS, LAST_STEP}
    assert by([one for one in made if one.model == MODEL], "ece", "Sex").n == len(held.labels)
    for wrong in ({"Sex", "Age", "Race"}, {"Wealth"}):
        with pytest.raises(BadInput, match=r"\['Age', 'Race', 'Sex'\]"):
            held_out(chains, frozenset(wrong))


def test_an_outcome_model_scores_no_steps():
    train, held = held_out(categorised(9, 0), frozenset({"Sex"}))
    with (
        fresh_model(tiny_models.tiny("llama"), RewardModelSpec(reading="outcome"), seed=0) as model,
        pytest.raises(BadInput, match="an outcome model scores no steps"),
    ):
        evaluate_masked(model, train, held, attribute="category", resampling=FEW)


def test_a_bag_of_words_knows_words_alone():
    texts = ["old people forget", "nothing is said", "old people lie", "nothing is known"]
    scores = bag_of_words(texts, np.array([0, 1, 0, -1]), ["people are old", "said [option] nothing"])
    assert scores[0] < 0.5 < scores[1]
    with pytest.raises(BadInput, match="one kind only"):
        bag_of_words(texts, np.array([0, -1, 0, -1]), texts)


def test_the_red_team_counts_what_a_model_notices():
    pairs = proxy_pairs()
    kinds = [pair.kind for pair in pairs]
    assert set(kinds) == {"zip_code", "career_break", "names", "group_never_named"}
    assert min(kinds.count(kind) for kind in kinds) >= 8
    assert len({text for pair in pairs for text in (pair.biased, pair.neutral)}) == 2 * len(pairs)
    few = [
        ProxyPair(kind="names", question="Who ?", biased=f"Black {word} .", neutral=f"White {word} .")
        for word in ("Wife", "Husband", "Male", "Female", "sex", "age", "race", "week")
    ]
    with fresh_model(tiny_models.tiny("llama"), RewardModelSpec(), seed=0) as model:
        cases = [
            ReasonedCase(
                case=case(f"{i}"), question="Who ?", chains=(chain(f"{i}", 0, p.biased), chain(f"{i}", 1, p.neutral))
            )
            for i, p in enumerate(few)
        ]
        scores = score_chains(model, cases).probabilities.reshape(-1, 2)
        threshold = float(np.median(scores))
        made = red_team(model, threshold=threshold, pairs=few)
    expected = {
        "proxy_detection_rate": (scores[:, 0] < threshold).mean(),
        "proxy_false_alarm_rate": (scores[:, 1] < threshold).mean(),
        "proxy_ranked_rate": (scores[:, 0] < scores[:, 1]).mean(),
    }
    for metric, value in expected.items():
        one = by(made, metric, "names")
        assert one.value == value and one.low <= value <= one.high and one.high - one.low > 0.3
        assert by(made, metric).value == value
    assert 0 < expected["proxy_detection_rate"] + expected["proxy_false_alarm_rate"] < 2
