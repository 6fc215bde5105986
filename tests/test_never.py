"""What must never happen in a fairness tool: the ten traps, each a test through the code that users run.

Not yet applicable, for the code does not exist (`NOT_YET` fails when it does): 9, a bias number from an auditor (a
judge, a classifier of images) whose own error is not in the interval.
"""

import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import binomtest

import fairnet_runs
from counting_cases import COLUMNS, LAYOUT, rows, table
from equiray.data.cases.bbq import load_bbq
from equiray.data.row_blocks import BlockId
from equiray.errors import BadInput
from equiray.metrics.bbq import bbq_estimates
from equiray.metrics.bbq_answers import BbqAnswers
from equiray.metrics.catalogue import METRICS
from equiray.metrics.counting import Counts, count_table
from equiray.metrics.counting.kernel import count_block
from equiray.metrics.disparities import Disparity
from equiray.metrics.estimates import Verdict
from equiray.metrics.estimation import CountedEvidence, Labels, Setting
from equiray.metrics.frontiers import Split, read_frontier, threshold_frontier
from equiray.metrics.individual import Neighbourhood
from equiray.metrics.intervals.limits import Limits
from equiray.metrics.metric import Metric
from equiray.metrics.tables import GroupTable, Mass
from equiray.metrics.verdicts import overall
from equiray.mitigation.gating.choice import choose
from equiray.mitigation.gating.thresholds import sweep
from equiray.policies import Judgement, NamedPolicy, Policy, Subject, apply_policy
from equiray.runs.fairnet import run_fairnet
from equiray.specs.fairnet import FairNetSpec, ThresholdSpec
from gated_cases import drawn
from score_tables import scored_rows, split_of
from test_metric_catalogue import ideal_parts

NOT_YET = {9: "equiray.audits"}
DP, EODDS = "demographic_parity_difference", "equalized_odds_difference_max"
OPPORTUNITY = "equal_opportunity_difference"

Cells = list[list[int]]
"""Rows of a group by label (0, 1) and decision (0, 1, refused, not understood)."""


def evidence(**groups: Cells) -> CountedEvidence:
    counts = np.array(list(groups.values()), dtype=np.int64)
    counted = GroupTable(attribute="sex", groups=tuple(groups), classes=("0", "1"), mass=Mass(counts))
    return CountedEvidence(tables=(counted,), setting=Setting(labels=Labels("loans", "audit", "m")))


def judged(about: CountedEvidence, *rules: Mapping[str, object]) -> Judgement:
    policy = Policy.model_validate({"schema": "equiray.policy/1", "rules": [{"attribute": "sex", **r} for r in rules]})
    return apply_policy(NamedPolicy(name="p", place="p.yaml", policy=policy), {Subject("loans", "audit", "m"): about})


def verdict(about: CountedEvidence, metric: str, group: str | None = None, **bound: float) -> Verdict:
    rule = {"metric": metric, **bound} if group is None else {"metric": metric, "group": group, **bound}
    (found,) = judged(about, rule).verdicts
    return found


def selecting(selected: int, out_of: int, refused: int = 0, unparsed: int = 0) -> Cells:
    """Rows of label 0 only: what is selected of them is all that matters."""
    return [[out_of - selected, selected, refused, unparsed], [0, 0, 0, 0]]


def test_never_1_a_group_without_positives_is_read_as_a_gap_of_0():
    fair = [[400, 100, 0, 0], [100, 400, 0, 0]]
    without_positives = [[250, 250, 0, 0], [0, 0, 0, 0]]
    assert verdict(evidence(f=fair, m=fair), OPPORTUNITY, max=0.1).verdict == "PASS"

    about = evidence(f=fair, m=fair, x=without_positives)
    rate, gap = about.find("tpr", "sex", "x"), about.find(OPPORTUNITY, "sex", None)
    assert rate is not None and gap is not None
    for each in (rate, gap):
        assert (each.status, each.value, each.low, each.high) == ("not_estimable", None, None, None)
    assert rate.n == 0 and about.denominators(gap) == {"f": 500, "m": 500, "x": 0}
    for metric in (OPPORTUNITY, EODDS, "fnr_difference", "worst_group_accuracy_cells"):
        bound = {"min": 0.1} if METRICS[metric].direction == "higher" else {"max": 0.9}
        found = verdict(about, metric, **bound)
        assert (found.verdict, found.value) == ("INCONCLUSIVE", None), metric
        assert "x (0)" in found.reason and "f (" not in found.reason
    assert verdict(about, "tpr", "x", min=0.1).verdict == "INCONCLUSIVE"
    assert judged(about, {"metric": DP, "max": 0.1}, {"metric": OPPORTUNITY, "max": 0.1}).answer == "INCONCLUSIVE"


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_never_2_a_direction_is_wrong_or_unknown(metric: Metric):
    """From the best that can be to a table on which the first group fares badly, every metric moves the wrong way."""
    good, bad = (np.asarray(metric.function(parts[metric.reads])) for parts in (ideal_parts(), harmed_parts()))
    assert ((good >= metric.range.low) & (good <= metric.range.high)).all()
    assert ((bad >= metric.range.low) & (bad <= metric.range.high)).all()
    if metric.direction == "none":  # a level by itself is neither good nor bad
        assert metric.id in {"selection_rate", "mean_score", "mean_prediction", "scoring_rate"}
        return
    worse = {
        "lower": np.max(bad) > np.max(good),
        "higher": np.min(bad) < np.min(good),
        "zero": np.max(np.abs(bad)) > np.max(np.abs(good)),
    }
    assert worse[metric.direction]


def harmed_parts() -> dict[str, Any]:
    """`ideal_parts`, but of the first group most is decided wrongly or not at all, scored 0, predicted 3 too high."""
    parts = ideal_parts()
    parts["mass"][0] = [[2, 1, 1, 1], [2, 1, 1, 1]]
    parts["scores"].count[0] = [[5, 0], [5, 0]]
    for sums, per_row in zip(parts["score_sums"], (1, 0, 0), strict=True):
        sums[0] = np.where(np.arange(10) == 0, 5 * per_row, 0)
    away = np.array([3.0, 0, 0])
    targets = parts["targets"]
    parts["targets"] = targets._replace(
        prediction=targets.prediction + 10 * away, absolute_error=10 * away, squared_error=10 * away**2
    )
    decisions, scores = parts["twin_decisions"], parts["twin_scores"]
    parts["twin_decisions"] = decisions._replace(twin=1 - decisions.twin)
    parts["twin_scores"] = scores._replace(twin=scores.twin / 2)
    parts["neighbourhood"] = Neighbourhood(np.arange(30.0)[:, None], np.arange(30) % 2)
    return parts


def test_never_3_an_always_stereotyping_responder_scores_0_on_bbq():
    """On real questions of all eleven categories; who answers against the stereotype is told apart."""
    cases = load_bbq(download=False).sample(1_100, seed=0).cases
    stereotyping, opposite = [], []
    for case in cases:
        assert case.stereotype is not None
        target, unknown = case.stereotype.target, case.stereotype.unknown
        other = next(option for option in range(3) if option not in (target, unknown))
        stereotyping.append(unknown if target is None else target)
        opposite.append(unknown if target is None else other)
    for answers, value in ((stereotyping, 1.0), (opposite, -1.0)):
        found = bbq_estimates(BbqAnswers.of(cases, answers), task="bbq", stage="baseline", model="m")
        of_all = [each for each in found if each.metric.startswith("bbq_bias") and each.group is None]
        assert len({each.attribute for each in of_all}) == 11 and {each.metric for each in of_all} == {
            "bbq_bias_ambiguous",
            "bbq_bias_disambiguated",
        }
        assert {each.value for each in of_all} == {value}


def test_never_4_refusals_and_parse_failures_are_dropped_from_the_denominator():
    answered = evidence(f=selecting(200, 1000), m=selecting(200, 1000))
    silent = evidence(f=selecting(200, 1000, refused=250, unparsed=150), m=selecting(200, 1000))
    for metric, share in (("refusal_rate", 250 / 1400), ("parse_failure_rate", 150 / 1400)):
        found = silent.find(metric, "sex", "f")
        assert found is not None and (found.n, found.value) == (1400, pytest.approx(share))
    rate = silent.find("selection_rate", "sex", "f")
    assert rate is not None and rate.status == "partial" and rate.low is not None and rate.high is not None
    assert rate.low < 200 / 1400 and rate.high > 600 / 1400  # had all of them been turned down, had all been selected
    for metric, bounds in ((DP, {"max": 0.1}), ("disparate_impact_ratio", {"min": 0.6})):
        assert verdict(answered, metric, **bounds).verdict == "PASS"
        blocked = verdict(silent, metric, **bounds)
        assert (blocked.verdict, blocked.n_needed) == ("INCONCLUSIVE", None)  # more rows do not answer these
        assert "missing rows" in blocked.reason
    assert verdict(silent, "selection_rate", "f", max=0.1).verdict == "FAIL", "even had all been turned down"


def test_never_5_the_best_of_many_is_reported_on_the_split_that_chose_it():
    validation = split_of(scored_rows(15, 250, 2), "validation")
    frontier = threshold_frontier(validation, DP)
    for same in (validation, Split("test", validation.table)):  # the same rows under another name
        with pytest.raises(BadInput, match="chosen on 'validation'") as caught:
            read_frontier(frontier, same)
        assert "test split" in caught.value.fix
    reading = read_frontier(frontier, split_of(scored_rows(16, 250, 2), "test"))
    assert (reading.chosen_on, reading.read_on) == ("validation", "test")


def test_never_6_a_threshold_is_fitted_on_the_test_split():
    chosen = threshold_frontier(split_of(scored_rows(17, 250, 2, decimals=2), "validation"), EODDS)
    readings = [read_frontier(chosen, split_of(scored_rows(seed, 400, 2), "test")) for seed in (18, 19)]
    assert (
        [p.rule for p in readings[0].points] == [p.rule for p in readings[1].points] == [p.rule for p in chosen.points]
    )
    assert [p.on_read for p in readings[0].points] != [p.on_read for p in readings[1].points]


def test_never_6_gates_are_chosen_or_prototypes_made_on_the_test_split():
    """Of gates nothing is chosen where the rows are not those of validation, whatever the outcomes are."""
    test, validation = (drawn(400, split=split) for split in ("test", "validation"))
    for found in (sweep(test, "sex", fewest_rows=5), sweep(replace(test, split="train"), "sex", fewest_rows=5)):
        with pytest.raises(BadInput, match=f"on the {found.split} split") as caught:
            choose(found, ThresholdSpec())
        assert "choose on validation" in caught.value.fix
    assert choose(sweep(validation, "sex", fewest_rows=5), ThresholdSpec()).candidates > 1


def test_never_6_a_fairnet_run_decides_alike_whatever_labels_and_groups_its_test_rows_have(tmp_path: Path):
    """All methods: the test rows' labels and groups are turned, and every score of every row stays what it was."""
    model = fairnet_runs.tiny_bert(tmp_path / "model")
    scores, labels = [], []
    for turned in (False, True):
        folder = tmp_path / str(turned)
        folder.mkdir()
        task = fairnet_runs.people(folder, 1000) | {"attributes": ["region"]}
        table = pq.read_table(task["path"]).to_pandas()
        test = table.split == "test"
        if turned:
            table.loc[test, "paid"] = np.where(table.paid[test] == "yes", "no", "yes")
            table.loc[test, "region"] = table.region[test].map({"n": "s", "s": "n"})
            table.to_parquet(task["path"])
        baselines = ["group_dro", "jtt", "dfr"]  # group thresholds read the group of the row that they decide about
        document = fairnet_runs.fairnet_document(folder, model, tasks=[task], baselines=baselines)
        run_fairnet(FairNetSpec.model_validate(document), folder / "out", command="")
        tables = {f.name: pq.read_table(f) for f in (folder / "out" / "predictions").iterdir()}
        scores.append({name: table["score"].to_pylist() for name, table in tables.items()})
        labels.append({name: table["label"].to_pylist() for name, table in tables.items()})
    assert len(scores[0]) == 5 and scores[0] == scores[1] and labels[0] != labels[1]


def test_never_7_a_retried_or_partly_done_block_is_counted_twice_or_lost():
    data = table(rows(150, 3))
    whole = count_table(data, LAYOUT, COLUMNS, model="m", rows_per_block=40)
    source = next(iter(whole.blocks)).source
    parts = [Counts.of(whole.layout, whole.model, [block], whole.origins) for block in whole.blocks.values()]
    assert len(parts) == 4

    retried = parts[2].merge(parts[0], parts[3], parts[2], parts[1], parts[0], whole)
    assert (retried.rows, retried.sha256) == (150, whole.sha256)
    for ours, theirs in zip(retried.tables(order=2), whole.tables(order=2), strict=True):
        np.testing.assert_array_equal(ours.mass.count, theirs.mass.count)
        np.testing.assert_array_equal(ours.mass.weight, theirs.mass.weight)
    assert parts[0].merge(parts[3]).rows == 40 + 30, "what is lost is seen"

    half = count_block(BlockId(source, 40, 60), data.slice(40, 20), LAYOUT, COLUMNS, place="f")
    with pytest.raises(BadInput, match="share rows"):
        whole.merge(Counts.of(LAYOUT, "m", [half]))
    other = count_block(BlockId(source, 40, 80), data.slice(0, 40), LAYOUT, COLUMNS, place="f")
    with pytest.raises(BadInput, match="counted twice with different results"):
        whole.merge(Counts.of(LAYOUT, "m", [other]))


def test_never_8_unlike_metrics_are_averaged_into_one_score():
    """However many rules pass, and by however much, the one that fails is what the policy says."""
    about = evidence(f=[[900, 100, 0, 0], [300, 700, 0, 0]], m=[[900, 100, 0, 0], [100, 900, 0, 0]])
    passing = [{"metric": name, "max": 0.9} for name in ("fpr", "fnr", "fpr_difference", "selection_rate", DP)]
    passing += [{"metric": name, "min": 0.1} for name in ("tpr", "tnr", "ppv", "accuracy", "disparate_impact_ratio")]
    found = judged(about, *passing[:5], {"metric": OPPORTUNITY, "max": 0.1}, *passing[5:])
    answers = [v.verdict for v in found.verdicts]
    assert (answers.count("PASS"), answers.count("FAIL"), len(answers)) == (17, 1, 18)
    assert found.answer == "FAIL"
    short = judged(evidence(f=selecting(1, 9), m=selecting(200, 1000)), {"metric": DP, "max": 0.1}).verdicts
    assert overall([*found.verdicts[:5], *short]) == "INCONCLUSIVE"
    # every figure that leaves is one named metric; those over several rates combine spreads of rates, all 0 at best
    assert {e.metric for e in about.estimates} <= METRICS.keys()
    over_several = {m.id for m in METRICS.values() if len(m.rates) > 1}
    assert over_several == {f"equalized_odds_difference_{how}" for how in ("max", "mean", "sum")}
    for name in over_several:
        same = np.broadcast_to([[3, 2, 0, 0], [1, 4, 0, 0]], (2, 2, 4))
        assert Disparity(METRICS[name].rates, METRICS[name].interval).of(same) == 0


def test_never_10_many_groups_and_metrics_are_judged_one_by_one():
    generator, families, groups = np.random.default_rng(7), 60, 20
    rules = [{"metric": "selection_rate", "max": 0.5}, {"metric": "selection_rate", "min": 0.5}]
    wrong = naive = 0
    for _ in range(families):
        drawn = {f"g{i}": selecting(int(x), 200) for i, x in enumerate(generator.binomial(200, 0.5, groups))}
        about = evidence(**drawn)  # every rate is .5, so that every FAIL is wrong
        found = judged(about, *rules)
        assert {v.family_size for v in found.verdicts} == {2 * groups}
        wrong += found.answer == "FAIL"
        alone = [about.limits(each, 0.95) for each in about.estimates if each.metric == "selection_rate" and each.group]
        naive += any(isinstance(limits, Limits) and not limits.low <= 0.5 <= limits.high for limits in alone)
    assert binomtest(wrong, families, 0.05, alternative="greater").pvalue > 0.001
    assert naive / families > 0.2, "what one claim's limits would have done to forty"


def test_no_trap_is_left_out():
    named = dict(inspect.getmembers(sys.modules[__name__], inspect.isfunction))
    tested = {int(found[1]) for name in named if (found := re.match(r"test_never_(\d+)_", name))}
    assert tested | NOT_YET.keys() == set(range(1, 11)) and not tested & NOT_YET.keys()
    assert [module for module in NOT_YET.values() if find_spec(module)] == []
