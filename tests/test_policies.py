"""Policies: what a document may say, and which claims it makes of what evidence."""

from pathlib import Path

import pytest
import yaml

from equiray.errors import BadInput
from equiray.metrics.looks import Look
from equiray.policies import READY, Judgement, NamedPolicy, Policy, StoredEvidence, Subject, apply_policy, load_policy
from equiray.policies.document import Rule
from judged import Selections, estimate, selections

CONTRACT = Path(__file__).parent.parent / "docs/contracts/policy.yaml"
HEAD = "schema: equiray.policy/1\n"
RULE = HEAD + "rules: [{metric: selection_rate, attribute: sex, max: 0.5}]\n"
ONE = Subject("loans", "audit", "m")


def policy(*rules: dict, **keys) -> NamedPolicy:
    document = Policy.model_validate({"schema": "equiray.policy/1", "rules": list(rules), **keys})
    return NamedPolicy(name="test", place="test.yaml", policy=document)


def judged(evidence, *rules: dict) -> Judgement:
    return apply_policy(policy(*rules), {ONE: evidence})


def test_the_contract_loads_and_shows_every_key():
    document = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))
    assert load_policy(CONTRACT).policy.alpha == document["alpha"]
    assert set(document) == {field.alias or name for name, field in Policy.model_fields.items()}
    assert set(document["rules"][0]) == set(Rule.model_fields)


def test_ready_policies_are_found_by_name():
    assert READY == ("four_fifths", "nyc_ll144")
    (four_fifths,) = load_policy("four_fifths").policy.rules
    assert (four_fifths.metric, four_fifths.side, four_fifths.bound) == ("disparate_impact_ratio", "min", 0.8)
    (nyc,) = load_policy("nyc_ll144").policy.rules
    assert (nyc.metric, nyc.attribute, nyc.min_share) == ("impact_ratio", "*", 0.02)
    with pytest.raises(BadInput, match="did you mean 'four_fifths'"):
        load_policy("four_fifth")


def test_equal_policies_have_equal_hashes(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(RULE)
    (tmp_path / "b.yaml").write_text("alpha: 0.05\n" + RULE.replace("max: 0.5", "max: 0.5, min_n: 30"))
    (tmp_path / "c.yaml").write_text("alpha: 0.01\n" + RULE)
    hashes = [load_policy(tmp_path / f"{name}.yaml").policy.sha256() for name in "abc"]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (
            RULE.replace("selection_rate", "selecton_rate"),
            "rules.0.metric: unknown metric; did you mean 'selection_rate'",
        ),
        (RULE.replace("max:", "maxx:"), "rules.0: unknown key 'maxx'; did you mean 'max'"),
        ("alfa: 0.1\n" + RULE, "unknown key 'alfa'; did you mean 'alpha'"),
        ("alpha: 0\n" + RULE, "alpha"),
        (RULE.replace("/1", "/2"), "schema"),
        (RULE.replace(", max: 0.5", ""), "needs one of `max` and `min`"),
        (RULE.replace("max: 0.5", "max: 0.5, min: 0.2"), "needs one of `max` and `min`"),
        (RULE.replace("max: 0.5", "max: 80"), "the bound 80 lies outside selection_rate's range, 0 to 1"),
        (RULE.replace("max: 0.5", "max: yes"), "rules.0.max"),
        (RULE.replace("max: 0.5", "max: .nan"), "rules.0.max"),
        (RULE.replace("max: 0.5", "max: 0.5, min_n: 0"), "rules.0.min_n"),
        (RULE.replace("attribute: sex", "group: f"), "needs the name of its `attribute`"),
        (RULE.replace("selection_rate", "fpr").replace("max", "min"), "lower is better, so a rule bounds it by `max`"),
        (RULE.replace("selection_rate", "accuracy"), "higher is better, so a rule bounds it by `min`"),
        (HEAD + "rules: []\n", "rules"),
        (RULE.replace("]", ", {metric: selection_rate, attribute: sex, max: 0.4}]"), "two rules give selection_rate"),
        ("- 1\n", "a policy is a mapping, this is list"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_wrong_policy_names_key_and_file(tmp_path: Path, text: str, named: str):
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        load_policy(path)
    assert named in str(caught.value) and str(path) in str(caught.value)


def test_the_family_is_all_rules_times_groups():
    evidence = selections(f=(480, 1000), m=(500, 1000), x=(490, 1000))
    rate = {"metric": "selection_rate", "attribute": "sex", "max": 0.6}
    gap = {"metric": "demographic_parity_difference", "attribute": "*", "max": 0.1}
    found = judged(evidence, rate, gap)
    assert [(v.metric, v.group) for v in found.verdicts] == [
        ("selection_rate", "f"),
        ("selection_rate", "m"),
        ("selection_rate", "x"),
        ("demographic_parity_difference", None),
    ]
    assert {v.family_size for v in found.verdicts} == {4} and found.answer == "PASS"
    (only,) = judged(evidence, {**rate, "group": "m"}).verdicts
    assert only.group == "m" and only.rule == "selection_rate of m (sex) at most 0.6"


def test_what_the_evidence_does_not_hold_is_refused_or_inconclusive():
    evidence = selections(f=(480, 1000), m=(500, 1000))
    rate = {"metric": "selection_rate", "max": 0.6}
    with pytest.raises(BadInput, match="unknown attribute 'sexx'; did you mean 'sex'") as caught:
        judged(evidence, {**rate, "attribute": "sexx"})
    assert "test.yaml, rules.0.attribute" in str(caught.value)
    with pytest.raises(BadInput, match="compares all groups of sex"):
        judged(evidence, {"metric": "demographic_parity_difference", "attribute": "sex", "group": "f", "max": 0.1})
    (nobody,) = judged(evidence, {**rate, "attribute": "sex", "group": "x"}).verdicts
    assert nobody.verdict == "INCONCLUSIVE" and "the groups are f, m" in nobody.reason
    (absent,) = judged(evidence, {"metric": "ece", "attribute": "*", "max": 0.1}).verdicts
    assert absent.verdict == "INCONCLUSIVE" and absent.family_size == 1


def test_rows_of_no_known_group_are_listed_not_judged_as_a_group():
    evidence = selections(f=(480, 1000), **{"(missing)": (3, 10)})
    rate = {"metric": "selection_rate", "attribute": "sex", "max": 0.6}
    found = judged(evidence, rate)
    assert [v.group for v in found.verdicts] == ["f"]
    assert [(left.group, left.rows) for left in found.left_out] == [("(missing)", 10)]
    (named,) = judged(evidence, {**rate, "group": "(missing)"}).verdicts
    assert named.group == "(missing)" and named.verdict == "INCONCLUSIVE"


def test_groups_below_the_share_are_left_out_listed_and_not_compared():
    whole = selections(f=(480, 1000), m=(500, 1000), x=(15, 15))
    gap = {"metric": "demographic_parity_difference", "attribute": "sex", "max": 0.15}
    assert judged(whole, gap).answer == "INCONCLUSIVE"
    found = judged(whole, {**gap, "min_share": 0.02})
    alone = judged(selections(f=(480, 1000), m=(500, 1000)), gap)
    assert found.answer == alone.answer == "PASS"
    assert found.verdicts[0].value == alone.verdicts[0].value
    ((left),) = found.left_out
    assert (left.group, left.rows, left.share) == ("x", 15, 15 / 2015)
    everyone = judged(selections(x=(15, 15)), {**gap, "metric": "selection_rate", "min_share": 0.02})
    assert everyone.left_out == ()


def test_the_published_table_compares_with_the_highest_rate_that_is_not_left_out():
    rates = {"a": (0.5, 100), "b": (0.25, 100), "tiny": (1.0, 2), "(missing)": (0.9, 50)}
    estimates = tuple(
        estimate("selection_rate", value, n, group=group, direction="none") for group, (value, n) in rates.items()
    )
    ratios = tuple(
        estimate("impact_ratio", value, n, group=group, direction="higher") for group, (value, n) in rates.items()
    )
    stored = StoredEvidence(estimates=estimates + ratios)
    found = apply_policy(load_policy("nyc_ll144"), {ONE: stored})
    shown = {row.group: row.ratio for row in found.impact_ratios}
    assert shown == {"a": 1.0, "b": 0.5, "tiny": None, "(missing)": None}
    assert {left.group for left in found.left_out} == {"tiny", "(missing)"}
    # the stored ratios compare with `tiny`: without counts nothing is claimed
    assert {(v.group, v.verdict) for v in found.verdicts} == {("a", "INCONCLUSIVE"), ("b", "INCONCLUSIVE")}


def test_every_subject_of_a_task_is_judged_and_a_silent_one_does_not_pass():
    other = Subject("loans", "audit", "other")
    third = Subject("hiring", "audit", "m")
    good = selections(f=(480, 1000), m=(500, 1000))
    silent = StoredEvidence(estimates=(estimate("accuracy", 0.8, 100, attribute=None),))
    gap = {"metric": "demographic_parity_difference", "attribute": "*", "max": 0.15}
    found = apply_policy(policy(gap), {ONE: good, other: silent, third: silent})
    assert [(v.rule.split(":")[0], v.verdict) for v in found.verdicts] == [
        ("loans, audit, m", "PASS"),
        ("loans, audit, other", "INCONCLUSIVE"),
    ]
    assert found.not_asked == ("demographic_parity_difference of *: not reported by hiring",)


def stored(confidence: float, **more) -> StoredEvidence:
    rates = [
        estimate("selection_rate", 0.5, 1000, group=group, low=0.47, high=0.53, confidence=confidence, **more)
        for group in ("f", "m")
    ]
    gap = estimate("demographic_parity_difference", 0.0, 2000, low=0.0, high=0.05, confidence=confidence, **more)
    return StoredEvidence(estimates=(*rates, gap))


def test_stored_limits_carry_what_their_confidence_supports_and_no_more():
    gap = {"metric": "demographic_parity_difference", "attribute": "sex", "max": 0.1}
    rate = {"metric": "selection_rate", "attribute": "sex", "max": 0.6}
    assert judged(stored(0.95), gap).answer == "PASS"
    (one, *_) = judged(stored(0.95), gap, rate).verdicts
    assert one.verdict == "INCONCLUSIVE" and one.low is None
    assert "stored at 95.0000%" in one.reason and "statistics.confidence=0.983334" in one.reason
    assert judged(stored(0.983334), gap, rate).answer == "PASS"
    spent = apply_policy(policy(gap), {ONE: stored(0.95)}, Look(alpha=0.05, number=1, spend=True))
    assert spent.answer == "INCONCLUSIVE"


def test_stored_partial_estimates_decide_nothing():
    gap = {"metric": "demographic_parity_difference", "attribute": "sex", "max": 0.1}
    (one,) = judged(stored(0.95, status="partial"), gap).verdicts
    assert one.verdict == "INCONCLUSIVE" and "partial" in one.reason


def test_stored_comparisons_know_the_rows_of_their_groups():
    odds = estimate("equalized_odds_difference_max", 0.02, 1000, low=0.0, high=0.05)
    tpr = [estimate("tpr", 0.5, n, group=group) for group, n in [("f", 500), ("m", 12)]]
    fpr = [estimate("fpr", 0.5, n, group=group) for group, n in [("f", 20), ("m", 480)]]
    rule = {"metric": "equalized_odds_difference_max", "attribute": "sex", "max": 0.1}
    (found,) = judged(StoredEvidence(estimates=(odds, *tpr, *fpr)), rule).verdicts
    assert found.verdict == "INCONCLUSIVE" and "f (20), m (12)" in found.reason
    (unknown,) = judged(StoredEvidence(estimates=(odds, *tpr)), rule).verdicts
    assert unknown.verdict == "INCONCLUSIVE" and "how many rows its groups have is not stored" in unknown.reason


def test_evidence_of_tests_and_of_files_agree():
    """The same rows through both: limits stored at the family's confidence give the verdicts of recomputed ones."""
    evidence = selections(f=(300, 1000), m=(500, 1000))
    rate = {"metric": "selection_rate", "attribute": "sex", "max": 0.4}

    def kept(evidence: Selections, confidence: float) -> StoredEvidence:
        from dataclasses import replace

        found = []
        for e in evidence.estimates:
            limits = evidence.limits(e, confidence)
            assert not hasattr(limits, "reason")
            found.append(replace(e, low=limits[0], high=limits[1], confidence=confidence))  # type: ignore[misc]
        return StoredEvidence(estimates=tuple(found))

    recomputed, stored = judged(evidence, rate), judged(kept(evidence, 0.975), rate)
    assert recomputed.verdicts == stored.verdicts and recomputed.answer == "FAIL"
