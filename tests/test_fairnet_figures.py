"""What a FairNet run says of decisions at hand: cells, true groups, moved scores, limits of a whole curve."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

import gated_cases
from equiray.metrics.estimation import GroupedScores
from equiray.mitigation.gating.bands import band
from equiray.policies import Subject
from equiray.runs.directory import RunDirectory
from equiray.runs.fairnet.choosing import chosen
from equiray.runs.fairnet.curves import grid_of, sweeps_of
from equiray.runs.fairnet.harm import no_harms
from equiray.runs.fairnet.methods import scores
from equiray.runs.fairnet.results import Decided, change_between, evidence_of
from equiray.runs.fairnet.variants import _right_by_group
from equiray.specs.fairnet import FairNetSpec


def planned(code, label, names=("Female", "Male")):
    groups = GroupedScores("sex", names, np.asarray(code))
    return SimpleNamespace(
        rows=lambda split: np.arange(len(label)),
        steering_groups=lambda rows: groups,
        grouped=lambda rows: (groups,),
        cells=lambda rows: 2 * np.asarray(code) + np.asarray(label),
    )


def test_cells_with_few_rows_are_named():
    code, label = np.repeat([0, 0, 1, 1], [40, 29, 50, 60]), np.repeat([0, 1, 0, 1], [40, 29, 50, 60])
    right = np.ones((2, len(code)), bool)
    found = change_between(planned(code, label), "fairnet", right, right, 0.95)
    assert found["left_out"] == ["Female, label 1 (29 rows)"]
    assert [cell["name"] for cell in found["cells"]] == ["Female, label 0", "Male, label 0", "Male, label 1"]


def test_of_moved_scores_nothing_is_said(tmp_path):
    rng = np.random.default_rng(0)
    code, label, score = rng.integers(0, 2, 400), rng.integers(0, 2, 400), rng.random(400)
    table = pa.table(
        {
            "label": pa.array(label.astype(np.int8)),
            "prediction": pa.array((score > 0.5).astype(np.int8)),
            "score": pa.array(score),
            "outcome": pa.array(["answered"] * 400),
            "sex": pa.array(np.array(["Female", "Male"])[code]),
        }
    )
    tables = {Subject("people", method, "tiny_seed0"): table for method in ("erm", "thresholds")}
    directory = RunDirectory(path=tmp_path, console=Console(quiet=True))
    found = evidence_of(Decided(planned=planned(code, label), tables=tables), "0" * 64, 0.95, directory)
    metrics = {subject.stage: {e.metric for e in one.estimates} for subject, one in found.items()}
    assert metrics["erm"] - metrics["thresholds"] >= {"auc", "ece", "brier"}
    assert {"accuracy", "equalized_odds_difference_max", "worst_group_accuracy_cells"} <= metrics["thresholds"]


def test_the_true_group_opens_its_own_gate_alone():
    outcomes = gated_cases.drawn(60, gates=2, unknown=0.2, split="test")
    rng = np.random.default_rng(1)
    member = {gate: rng.random(60) < 0.4 for gate in outcomes.attributes}
    groups = {gate: np.where(inside, "in", "out") for gate, inside in member.items()}
    seed = SimpleNamespace(
        outcomes=lambda split: outcomes,
        planned=SimpleNamespace(rows=lambda split: np.arange(60), examples=SimpleNamespace(attributes=groups)),
        vulnerable=dict.fromkeys(outcomes.attributes, "in"),
    )
    before, after = _right_by_group(seed)
    for row in range(60):
        subset = member["gate0"][row] + 2 * member["gate1"][row]
        positive = outcomes.label[row] == 1
        assert after[row] == ((outcomes.probability[row, subset] > 0.5) == positive)
        assert before[row] == ((outcomes.probability[row, 0] > 0.5) == positive)


def test_the_true_group_needs_gates_of_groups():
    document = {"schema": "equiray.fairnet/1", "name": "x", "tasks": [{"name": "adult"}], "ablations": ["true_group"]}
    assert FairNetSpec.model_validate(document).ablations == ("true_group",)
    with pytest.raises(ValueError, match="needs gates of groups"):
        FairNetSpec.model_validate(document | {"detector": {"regime": "unlabelled"}})


def test_a_named_group_is_refused_where_no_group_is_known():
    document = {
        "schema": "equiray.fairnet/1",
        "name": "x",
        "tasks": [{"name": "adult"}],
        "vulnerable": {"sex": "Female"},
    }
    assert FairNetSpec.model_validate(document).vulnerable == {"sex": "Female"}
    with pytest.raises(ValueError, match="`vulnerable` names a group"):
        FairNetSpec.model_validate(document | {"detector": {"regime": "unlabelled"}})


def test_limits_of_the_curve_hold_for_all_thresholds_at_once():
    outcomes = gated_cases.drawn(300, split="test")
    seed = SimpleNamespace(
        planned=SimpleNamespace(steering="sex"),
        spec=SimpleNamespace(confidence=0.95),
        choice=SimpleNamespace(thresholds=(0.5,)),
    )
    (found,), alone = sweeps_of(seed, outcomes), band(outcomes, "sex", 0.95)
    at_once = band(outcomes, "sex", 1 - 0.05 / 200).limits["worst_group_accuracy_cells"]
    np.testing.assert_allclose(found["worst_cell_low"], at_once.low)
    np.testing.assert_allclose(found["worst_cell_high"], at_once.high)
    assert (np.array(found["worst_cell_low"]) < alone.limits["worst_group_accuracy_cells"].low).all()


def one_gate_seed(loss=0.01, rows=600):
    """A training with one gate that can spend all of the allowed loss of accuracy."""
    rng = np.random.default_rng(3)
    code = rng.integers(0, 2, rows)
    label = (rng.random(rows) < 0.25 + 0.3 * code).astype(np.int8)
    base = np.clip(0.5 + 0.25 * (label - 0.55) + rng.normal(0, 0.2, rows) - 0.1 * (code == 0), 0.01, 0.99)
    adapted = np.clip(base + 0.2 * (code == 0) + rng.normal(0, 0.05, rows), 0.01, 0.99)
    risk = np.clip(0.6 * (code == 0) + 0.4 * rng.random(rows), 0, 1)
    groups = {"sex": (("Female", "Male"), code)}
    sides = {
        split: gated_cases.outcomes_of(label, risk, np.stack([base, adapted], 1), groups, split=split)
        for split in ("validation", "test")
    }
    spec = FairNetSpec.model_validate(
        {"schema": "equiray.fairnet/1", "name": "x", "tasks": [{"name": "adult"}]}
        | {"threshold": {"max_accuracy_loss": loss}}
    )
    grouped = GroupedScores("sex", ("Female", "Male"), code)
    task = SimpleNamespace(
        steering="sex",
        rows=lambda split: np.arange(rows),
        labels=lambda at: label.astype(np.int64)[at],
        steering_groups=lambda at: grouped,
    )
    choice = chosen(sides["validation"], "sex", spec)
    return SimpleNamespace(planned=task, outcomes=sides.get, spec=spec, choice=choice)


def test_gate_and_thresholds_spend_one_loss_of_accuracy():
    seed = one_gate_seed()
    label = seed.outcomes("validation").label == 1
    accuracy = {
        method: ((scores(seed, method)["validation"] > 0.5) == label).mean()
        for method in ("fairnet", "thresholds", "gate_and_thresholds")
    }
    base = ((seed.outcomes("validation").probability[:, 0] > 0.5) == label).mean()
    assert base - accuracy["fairnet"] > 0.005 < base - accuracy["thresholds"], "one spends nothing: nothing is tested"
    assert base - accuracy["gate_and_thresholds"] <= 0.01 + 1e-9


def two_gates(rows=400):
    """Validation and test outcomes of two gates, whose attributes have groups of their own."""
    rng, sides = np.random.default_rng(5), {}
    for split in ("validation", "test"):
        drawn = gated_cases.drawn(rows, gates=2, groups=2, seed=len(split), split=split)
        code = rng.integers(0, 2, rows)
        groups = {name: (("in", "out"), code if name == "gate0" else 1 - code) for name in drawn.attributes}
        steering = next((g.groups, g.code) for g in drawn.groups)
        sides[split] = gated_cases.outcomes_of(
            drawn.label, drawn.risk, drawn.probability, {"sex": steering, **groups}, split=split
        )
    return SimpleNamespace(
        seed=0,
        planned=SimpleNamespace(steering="sex", gates=("gate0", "gate1")),
        spec=SimpleNamespace(confidence=0.95),
        choice=SimpleNamespace(thresholds=(0.4, 0.7)),
        vulnerable={"gate0": "in", "gate1": "in"},
        choosing=sides["validation"],
        outcomes=sides.get,
    )


def test_every_gate_is_swept_with_the_others_shut_and_limits_hold_for_all_gates():
    seed = two_gates()
    test = seed.outcomes("test")
    found = sweeps_of(seed, test)
    assert [each["gate"] for each in found] == ["gate0", "gate1"]
    for place, each in enumerate(found):
        tau = [np.inf, np.inf]
        for at in (0, 57, each["chosen"], 199):
            tau[place] = float(each["threshold"][at])
            by_hand = gated_cases.by_hand(test, tau)
            assert each["accuracy"][at] == pytest.approx(by_hand["accuracy"])
            assert each["worst_cell"][at] == pytest.approx(by_hand["worst_group_accuracy_cells"])
        assert float(each["threshold"][each["chosen"]]) >= np.float32(seed.choice.thresholds[place])
    alone = band(test.alone("gate1"), "sex", 1 - 0.05 / 400)
    np.testing.assert_allclose(found[1]["worst_cell_low"], alone.limits["worst_group_accuracy_cells"].low)


def test_calibration_of_each_group_at_each_threshold():
    seed = two_gates()
    test = seed.outcomes("test")
    each = sweeps_of(seed, test)[1]
    (names, code) = next((g.groups, g.code) for g in test.groups if g.attribute == "sex")
    assert [of["group"] for of in each["calibration"]] == list(names)
    for place, of in enumerate(each["calibration"]):
        for at in (0, each["chosen"], 199):
            opened = test.risk[:, 1] > np.float32(each["threshold"][at])
            score = np.where(opened, test.probability[:, 2], test.probability[:, 0])[code == place].astype(float)
            label = test.label[code == place]
            bins = np.minimum((score * 10).astype(int), 9)
            ece = sum(abs(label[bins == b].mean() - score[bins == b].mean()) * (bins == b).mean() for b in set(bins))
            assert of["ece"][at] == pytest.approx(ece, abs=1e-3)
            assert of["low"][at] <= of["ece"][at] <= of["high"][at]


def test_two_gates_are_read_together_on_a_grid():
    seed = two_gates()
    test = seed.outcomes("test")
    found = grid_of(seed, test)
    assert [len(axis) for axis in found["thresholds"]] == [200, 200]
    for x, y in ((0, 0), (120, 31), tuple(found["chosen"]), (199, 199)):
        tau = [float(found["thresholds"][0][x]), float(found["thresholds"][1][y])]
        by_hand = gated_cases.by_hand(test, tau)
        assert found["accuracy"][x][y] == pytest.approx(by_hand["accuracy"], abs=5.1e-5)
        assert found["worst_cell"][x][y] == pytest.approx(by_hand["worst_group_accuracy_cells"], abs=5.1e-5)
    assert grid_of(seed, test.alone("gate0")) is None


def test_the_condition_is_of_validation_rows_and_the_test_rows_stand_beside_it():
    seed = two_gates()
    for place, found in enumerate(no_harms(seed)):
        exact = {}
        for split in ("validation", "test"):
            rows = seed.outcomes(split)
            label, base, always = rows.label == 1, rows.probability[:, 0] > 0.5, rows.probability[:, 1 << place] > 0.5
            opened = rows.risk[:, place] > np.float32(seed.choice.thresholds[place])
            gained = (always == label).astype(int) - (base == label)
            exact[split] = (opened * gained).mean()
            if split == "validation":
                (code,) = (g.code for g in rows.groups if g.attribute == found["gate"])
                inside = code == 0
                assert found["d_min"] == pytest.approx(gained[inside].mean())
                assert found["d_maj"] == pytest.approx(-gained[~inside].mean())
                assert (found["tpr"], found["fpr"]) == pytest.approx((opened[inside].mean(), opened[~inside].mean()))
        for split, value in exact.items():
            assert found["exact"][split]["value"] == pytest.approx(value)
            assert found["exact"][split]["low"] <= value <= found["exact"][split]["high"]
        assert exact["validation"] != pytest.approx(exact["test"]), "nothing tells the splits apart"
        assert found["selection"]["value"] == pytest.approx(exact["validation"] - found["margin"]["value"])
