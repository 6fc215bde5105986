"""The live monitor as a fold over the log: what it counts, that it counts once, what it may conclude."""

import itertools
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from equiray.errors import BadInput
from equiray.metrics.sequential import Rows, advance, begin, differences
from equiray.serving.monitor import Bound, Gate, Harm, Monitor, Settings
from equiray.serving.monitor.counts import FIRST, Batch, Counts
from equiray.serving.monitor.kinds import KINDS
from equiray.serving.monitor.settings import OTHER
from monitor_cases import LogLine, decision, outcome, stream

GAP = Bound(metric="demographic_parity_difference", attribute="sex", side="max", value=0.1)
SEX = Settings(attributes=("sex",), bounds=(GAP,))


def monitored(settings: Settings, *batches: list[LogLine]) -> Monitor:
    monitor = Monitor(settings)
    for records in batches:
        monitor.take(records)
    return monitor


def only(document: dict[str, Any], rule: str = "") -> dict[str, Any]:
    """The one series whose rule has these words."""
    (series,) = (one for one in document["versions"][0]["series"] if rule in one["rule"])
    return series


def rate(document: dict[str, Any], group: str, metric: str, attribute: str = "sex", version: int = 0) -> dict[str, Any]:
    attributes = document["versions"][version]["attributes"]
    (found,) = (one for one in attributes if one["attribute"] == attribute)
    (rates,) = (one["rates"] for one in found["groups"] if one["group"] == group)
    (one,) = (one for one in rates if one["metric"] == metric)
    return one


def test_it_counts_what_the_records_say() -> None:
    rng = np.random.default_rng(0)
    people = [
        {"sex": rng.choice(["f", "m", None]), "race": rng.choice(["x", "y"])} if rng.random() < 0.9 else None
        for _ in range(600)
    ]
    made = [None if rng.random() < 0.1 else int(rng.random() < 0.4) for _ in people]
    rows = list(zip(people, made, strict=True))
    records = [decision(seq + 1, rows[seq * 10 : seq * 10 + 10]) for seq in range(60)]
    document = monitored(Settings(attributes=("sex", "sex*race")), records).document()
    assert document["versions"][0]["decisions"] == 600
    expected: Counter[tuple[str, str, int | None]] = Counter()
    for person, one in rows:
        person = person or {}
        expected["sex", person.get("sex") or "(missing)", one] += 1
        both = (person.get("sex"), person.get("race"))
        expected["sex*race", "*".join(both) if all(both) else "(missing)", one] += 1
    for attribute in ("sex", "sex*race"):
        for group in {group for name, group, _ in expected if name == attribute}:
            no, yes, none = (expected[attribute, group, one] for one in (0, 1, None))
            selected = rate(document, group, "selection_rate", attribute)
            assert (selected["n"], selected["value"]) == (no + yes, pytest.approx(yes / (no + yes)))
            assert selected["status"] == ("partial" if none else "estimated")
            refused = rate(document, group, "refusal_rate", attribute)
            assert (refused["n"], refused["value"]) == (no + yes + none, pytest.approx(none / (no + yes + none)))


def test_a_record_counts_once_and_none_may_be_left_out() -> None:
    records = stream({"f": 0.5, "m": 0.4}, 2000)
    once = monitored(SEX, records)
    again = monitored(SEX, records[:40], records[:30], records[20:], records)
    assert again.document() == once.document()
    monitor = monitored(SEX, records[:40])
    before = monitor.snapshot()
    with pytest.raises(ValueError, match="record 42 came where record 41 was due: read the log after 40"):
        monitor.take(records[41:])
    with pytest.raises(ValueError, match="record 43 came where record 42"):
        monitor.take([records[40], records[42], records[41]])
    assert monitor.snapshot() == before, "nothing of such a batch is read"


def test_it_goes_on_from_a_snapshot_and_the_batches_do_not_matter() -> None:
    settings = replace(
        SEX,
        outcomes_for="every",
        bounds=(GAP, replace(GAP, metric="equalized_odds_difference_max")),
        gates={"sex": Gate(vulnerable="f")},
    )
    records = labelled_stream(3000, seed=1)
    whole = monitored(settings, records)
    one_by_one = monitored(settings, *([record] for record in records))
    stored = json.loads(json.dumps(monitored(settings, records[:120]).snapshot(), allow_nan=False))
    restored = Monitor(settings)
    restored.restore(stored)
    restored.take(records[100:])
    for other in (one_by_one, restored):
        assert_near(other.document(), whole.document())
    assert {one["n"] for one in whole.document()["versions"][0]["series"]} == {3000}


def assert_near(found: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_near(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_near(one, other)
    else:
        assert found == (pytest.approx(expected, rel=1e-9) if isinstance(expected, float) else expected)


def test_a_snapshot_of_other_settings_is_refused() -> None:
    stored = monitored(SEX, stream({"f": 0.5, "m": 0.4}, 200)).snapshot()
    with pytest.raises(BadInput, match="taken under other settings"):
        Monitor(replace(SEX, alpha=0.01)).restore(stored)
    with pytest.raises(BadInput, match="schema 'x'"):
        Monitor(SEX).restore({**stored, "schema": "x"})


def test_a_gap_beyond_the_bound_fails_at_the_row_where_the_bets_have_won() -> None:
    records = stream({"f": 0.6, "m": 0.35}, 4000, seed=2)
    monitor = monitored(SEX, records[:3], records[3:])
    series = only(monitor.document())
    people = [row["sex"] for record in records for row in record.payload["attributes"]]
    cell = np.array([people.index(one) != 0 and one != people[0] for one in people], np.int64)[:, None]
    made = np.array([float(one["decision"]) for record in records for one in record.body["decisions"]])[:, None]
    claims = differences(2, [(0, 1)], 0.1)
    _, path = advance(claims, begin(claims), Rows(cell, made, made))
    first = int((path[:, 0] >= 1 / 0.025).argmax()) + 1
    assert series["alpha"] == 0.025, "of alpha .05 the first version has a half"
    assert series["alarm"] == {
        "row": first,
        "seq": -(-first // 20),
        "at": records[-(-first // 20) - 1].at,
        "e_value": pytest.approx(path[first - 1, 0]),
    }
    assert series["verdict"] == "FAIL" and "0.025 at most" in series["reason"]
    assert monitor.failures() == {"v1": "demographic_parity_difference of sex at most 0.1"}


def test_a_failure_stays_and_an_equal_treatment_passes() -> None:
    calm = stream({"f": 0.4, "m": 0.4}, 20_000, first=201, seed=3)
    document = monitored(SEX, stream({"f": 0.8, "m": 0.2}, 4000), calm).document()
    assert only(document)["verdict"] == document["verdict"] == "FAIL"
    document = monitored(SEX, stream({"f": 0.4, "m": 0.4}, 12_000, seed=3)).document()
    series = only(document)
    assert series["verdict"] == "PASS" and series["high"] <= 0.1 and series["e_value"] < 1.5
    few = only(monitored(SEX, stream({"f": 0.4, "m": 0.4}, 100, seed=3)).document())
    assert few["verdict"] == "INCONCLUSIVE" and few["alarm"] is None


def test_every_model_version_is_watched_by_itself_and_all_share_alpha() -> None:
    first = stream({"f": 0.8, "m": 0.2}, 2000)
    second = [replace(one, model_version="v2") for one in stream({"f": 0.4, "m": 0.4}, 2000, first=101, seed=1)]
    document = monitored(SEX, first, second).document()
    assert [one["series"][0]["alpha"] for one in document["versions"]] == pytest.approx([0.025, 0.05 / 6])
    assert [one["verdict"] for one in document["versions"]] == ["FAIL", "INCONCLUSIVE"]
    assert document["serving"] == "v2" and document["verdict"] == "INCONCLUSIVE"
    assert sum(SEX.share(version) for version in range(1, 10_000)) == pytest.approx(0.05, rel=1e-3)
    crowd = monitored(replace(SEX, versions_at_most=1), first, second).document()
    assert len(crowd["versions"]) == 1 and crowd["passed_over"]["decisions"] == 2000


def labelled_stream(rows: int, *, seed: int = 0, tpr: tuple[float, float] = (0.9, 0.5)) -> list[LogLine]:
    """Decisions in records of 20, each followed by their outcomes; half are positive; f and m have these TPRs."""
    rng = np.random.default_rng(seed)
    records: list[LogLine] = []
    for _ in range(rows // 20):
        group, label = rng.integers(2, size=20), rng.integers(2, size=20)
        made = (rng.random(20) < np.where(label == 1, np.array(tpr)[group], 0.3)).astype(int)
        people = [{"sex": "fm"[one]} for one in group]
        gates = [{"sex": bool(rng.random() < (0.8, 0.1)[one])} for one in group]
        seq = len(records) + 1
        records.append(decision(seq, list(zip(people, map(int, made), strict=True)), gates=gates))
        records.append(outcome(seq + 1, {f"r{seq}-{i}": int(one) for i, one in enumerate(label)}))
    return records


def test_outcomes_of_everybody_make_errors_known() -> None:
    bounds = [
        replace(GAP, metric=m)
        for m in ("equal_opportunity_difference", "fpr_difference", "predictive_parity_difference")
    ]
    settings = replace(SEX, bounds=tuple(bounds), outcomes_for="every")
    document = monitored(settings, labelled_stream(6000)).document()
    assert only(document, "equal_opp")["verdict"] == "FAIL" and only(document, "equal_opp")["value"] == pytest.approx(
        0.4, abs=0.05
    )
    assert only(document, "fpr_diff")["verdict"] != "FAIL" and only(document, "fpr_diff")["n"] == pytest.approx(
        3000, abs=200
    )
    assert rate(document, "f", "tpr")["value"] == pytest.approx(0.9, abs=0.03)


def test_outcomes_of_selected_rows_alone_leave_tpr_unknown_whatever_the_counts_look_like() -> None:
    """Never: TPR 1 for everybody because no rejected row ever got a label."""
    records = labelled_stream(6000)
    made = {one["id"]: one["decision"] for record in records for one in record.body.get("decisions", ())}
    seen = [
        record
        if record.kind == "decision"
        else replace(
            record,
            body={"outcomes": [one for one in record.body["outcomes"] if made[one["decision_id"]]]},
            payload=None,
        )
        for record in records
    ]
    bounds = tuple(replace(GAP, metric=m) for m in ("equal_opportunity_difference", "predictive_parity_difference"))
    document = monitored(replace(SEX, bounds=bounds), seen).document()
    series = only(document, "equal_opp")
    assert (series["verdict"], series["status"], series["value"]) == ("INCONCLUSIVE", "not_estimable", None)
    assert "outcomes are seen for selected rows only" in series["reason"] and series["e_value"] == 1
    assert only(document, "predictive")["status"] == "estimated"
    tpr, ppv = rate(document, "f", "tpr"), rate(document, "f", "ppv")
    assert tpr["status"] == "bounds" and tpr["value"] is None and tpr["low"] < 0.7 and tpr["high"] == 1
    assert ppv["status"] == "estimated" and ppv["value"] == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_are_those_of_every_way_the_unseen_labels_may_be(kind: str) -> None:
    rng, checked = np.random.default_rng(5), 0
    for _ in range(40):
        decided = rng.integers(3, size=7)
        labels = rng.integers(2, size=7)
        known = rng.random(7) < 0.4
        counts = Counts(most=3)
        code = np.full(7, counts.code("f"))
        counts.add_decisions(Batch(code, 0 * labels, decided, code))
        counts.add_outcomes(Batch(*(of[known] for of in (code, labels, decided, code))), code[known])
        tally = counts.tally(kind, unseen=True).take([FIRST])
        rates = []
        for guess in itertools.product((0, 1), repeat=7):
            full = np.where(known, labels, guess)
            events = [KINDS[kind].events[label].get(made) for label, made in zip(full, decided, strict=True)]
            for end in (0, 1):
                values = [one[end] for one in events if one is not None]
                rates.append(np.mean(values) if values else np.nan)
        if KINDS[kind].labelled and not np.isnan(rates).any():
            checked += 1
            assert tally.low_events[0] / tally.low_trials[0] == pytest.approx(min(rates))
            assert tally.high_events[0] / tally.high_trials[0] == pytest.approx(max(rates))
    assert checked >= 5 or not KINDS[kind].labelled


def test_groups_that_the_bundle_was_tested_on_keep_their_places() -> None:
    counts = Counts(most=2, known=("f", "m"))
    assert [counts.names[counts.code(name)] for name in ("x", "y", "z", "f", "m")] == ["x", "y", OTHER, "f", "m"]
    again = Counts.from_json(2, ("f", "m"), counts.to_json())
    assert again.names[again.code("w")] == OTHER


def test_an_outcome_counts_once_and_only_for_a_decision_that_is_known() -> None:
    records = [
        decision(1, [({"sex": "f"}, 1), ({"sex": "m"}, 0)]),
        outcome(2, {"r1-0": 1, "r1-1": None, "nobody-0": 1}),
        outcome(3, {"r1-0": 0, "r1-1": 1}),
    ]
    document = monitored(replace(SEX, outcomes_for="every"), records).document()
    assert document["versions"][0]["outcomes"] == 2
    passed = document["passed_over"]
    assert (passed["repeated"], passed["unlabelled"], passed["late"]) == (1, 1, 1)
    assert rate(document, "f", "tpr")["value"] == 1 and rate(document, "m", "tpr")["value"] == 0
    short = monitored(replace(SEX, remembered=1), records).document()
    assert short["passed_over"]["late"] == 3, "what is forgotten is late"


def test_groups_that_come_with_the_outcome_serve_outcomes_and_not_selection() -> None:
    """Attributes that come only where an outcome does would make selection rates of selected rows."""
    records = [
        decision(1, [(None, 1), (None, 0), ({"sex": "m"}, 1)]),
        outcome(2, {"r1-0": 1, "r1-2": 1}, [{"sex": "f"}, {"sex": "f"}]),
    ]
    document = monitored(replace(SEX, outcomes_for="every"), records).document()
    assert rate(document, "f", "tpr")["n"] == 1 and rate(document, "m", "tpr")["n"] == 1, "what is known stays"
    groups = {one["group"]: one["n"] for one in document["versions"][0]["attributes"][0]["groups"]}
    assert groups == {"(missing)": 2, "m": 1, "f": 0}


def test_erased_and_unreadable_records_are_passed_over_and_named() -> None:
    records = stream({"f": 0.5, "m": 0.4}, 100)
    records[1] = replace(records[1], payload=None)
    records[2] = replace(records[2], body={"decisions": [{"decision": 7}] * 20})
    records[3] = replace(records[3], payload={"attributes": [{}]})
    records[4] = replace(records[4], kind="chat", body={})
    records.append(LogLine(seq=6, kind="decision", body={"decisions": [{"decision": 1, "gates": {"sex": True}}]}))
    records.append(LogLine(seq=7, kind="outcome", body={"outcomes": [{"label": 1}]}))
    document = monitored(SEX, records).document()
    assert document["as_of"]["seq"] == 7 and document["versions"][0]["decisions"] == 40
    assert document["passed_over"]["unreadable"] == 4
    assert document["passed_over"]["problems"] == [
        {"seq": 3, "problem": "decisions.0 is no decision of 0, 1 or null"},
        {"seq": 4, "problem": "the payload has attributes of another number of rows than 20"},
        {"seq": 6, "problem": "decisions.0.gates is no mapping of gates"},
        {"seq": 7, "problem": "outcomes.0 is no outcome with a decision_id and a label of 0, 1 or null"},
    ]
    assert rate(document, "(missing)", "selection_rate")["n"] == 20


def test_rows_without_a_group_or_an_answer_can_only_widen_the_limits() -> None:
    known = stream({"f": 0.4, "m": 0.4}, 12_000, seed=3)
    clear = only(monitored(SEX, known).document())
    nobody = [decision(601 + i, [(None, i % 2)] * 20) for i in range(60)]
    hidden = only(monitored(SEX, known, nobody).document())
    assert clear["verdict"] == "PASS" and hidden["verdict"] == "INCONCLUSIVE" and hidden["unknown"] == 1200
    assert hidden["value"] == clear["value"] and hidden["high"] > clear["high"] and hidden["status"] == "partial"
    assert "1,200 rows without a group or an answer" in hidden["reason"]


def test_however_many_groups_come_few_are_kept_apart() -> None:
    names = {f"g{i}": 0.4 for i in range(500)}
    monitor = monitored(replace(SEX, groups_at_most=4), stream(names, 6000))
    groups = monitor.document()["versions"][0]["attributes"][0]["groups"]
    assert len(groups) == 5 and {one["group"] for one in groups if not one["compared"]} == {"(other)"}
    assert sum(one["n"] for one in groups) == 6000
    long = monitored(SEX, stream({"f" * 100_000: 0.4, "m": 0.4}, 200)).document()
    assert {one["group"] for one in long["versions"][0]["attributes"][0]["groups"]} == {"m", "(other)"}
    assert len(monitor.prometheus().splitlines()) < 150 and len(json.dumps(monitor.snapshot()["watches"])) < 20_000


def test_a_group_first_seen_later_is_compared_from_then_on() -> None:
    monitor = monitored(SEX, stream({"f": 0.5, "m": 0.5}, 3000))
    assert only(monitor.document())["verdict"] != "FAIL"
    monitor.take(stream({"f": 0.5, "m": 0.5, "x": 0.1}, 6000, first=151, seed=4))
    series = only(monitor.document())
    assert series["verdict"] == "FAIL" and series["alarm"]["row"] > 3000


@pytest.mark.parametrize(
    ("bound", "fails"),
    [
        (Bound(metric="selection_rate", attribute="sex", group="f", side="min", value=0.5), True),
        (Bound(metric="selection_rate", attribute="sex", group="m", side="min", value=0.5), False),
        (Bound(metric="selection_rate", attribute="sex", side="min", value=0.5), True),
        (Bound(metric="selection_rate", attribute=None, side="max", value=0.3), True),
        (Bound(metric="selection_rate", attribute=None, side="max", value=0.6), False),
        (Bound(metric="disparate_impact_ratio", attribute="sex", side="min", value=0.8), True),
        (Bound(metric="impact_ratio", attribute="sex", side="min", value=0.8, min_share=0.6), False),
        (Bound(metric="refusal_rate", attribute="sex", side="max", value=0.01), False),
    ],
)
def test_every_kind_of_rule_is_watched(bound: Bound, fails: bool) -> None:
    records = stream({"f": 0.3, "m": 0.6}, 6000)
    series = only(monitored(replace(SEX, bounds=(bound,)), records).document())
    assert (series["verdict"] == "FAIL") == fails
    if not fails and bound.min_share == 0:
        assert series["verdict"] == "PASS"


def test_gates_show_whom_they_open_for_and_whether_they_can_harm() -> None:
    harm = Harm(d_min=0.08, d_maj=0.02)
    settings = replace(SEX, outcomes_for="every", gates={"sex": Gate(vulnerable="f", harm=harm)})
    (gate,) = monitored(settings, labelled_stream(4000)).document()["versions"][0]["gates"]
    assert gate["tpr"]["value"] == pytest.approx(0.8, abs=0.04) and gate["fpr"]["value"] == pytest.approx(0.1, abs=0.04)
    share, tpr, fpr = (gate[name]["value"] for name in ("prevalence", "tpr", "fpr"))
    assert gate["no_harm"]["margin"] == pytest.approx(share * tpr * 0.08 - (1 - share) * fpr * 0.02)
    assert gate["no_harm"]["holds"] is True and gate["no_harm"]["low"] > 0
    assert sum(one["n"] for one in gate["accuracy"]) == 4000
    unknown = replace(settings, gates={"sex": Gate(vulnerable="f")})
    (gate,) = monitored(unknown, labelled_stream(400)).document()["versions"][0]["gates"]
    assert gate["no_harm"]["holds"] is None and "not measured on validation" in gate["no_harm"]["reason"]
    harmful = replace(settings, gates={"sex": Gate(vulnerable="m", harm=harm)})
    (gate,) = monitored(harmful, labelled_stream(4000)).document()["versions"][0]["gates"]
    assert gate["no_harm"]["holds"] is False


def test_an_accepted_failure_is_an_admin_record() -> None:
    accept = LogLine(
        seq=201, kind="admin", body={"monitor": "accept", "model_version": "v1"}, at="2026-01-05T10:00:00Z"
    )
    monitor = monitored(SEX, stream({"f": 0.8, "m": 0.2}, 4000), [accept])
    document = monitor.document()
    assert document["versions"][0]["accepted"] and document["verdict"] == "FAIL"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Settings(attributes=("sex",), alpha=0.0), "alpha 0 is no small probability"),
        (lambda: Settings(attributes=("sex",), bounds=(replace(GAP, attribute="age"),)), "'age', which is not counted"),
        (lambda: Settings(attributes=("sex",), groups_at_most=0), "groups_at_most is 0"),
        (lambda: replace(GAP, metric="auc"), "'auc' cannot be watched live"),
        (lambda: replace(GAP, attribute=None), "compares groups"),
        (
            lambda: Settings(
                attributes=("sex",),
                bounds=(Bound(metric="tpr", attribute="sex", group="(missing)", side="min", value=0.5),),
            ),
            "no group of people",
        ),
    ],
)
def test_settings_that_cannot_be_say_why(wrong: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said.replace("(", r"\(").replace(")", r"\)")):
        wrong()
