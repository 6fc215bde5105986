"""Cached outcomes: what they refuse, what thresholds pick from them, and how they come back from disk."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from equiray.errors import BadInput
from equiray.metrics.estimation import GroupedScores
from equiray.mitigation.gating.store import load_outcomes, save_outcomes
from gated_cases import drawn, outcomes_of


def two_rows(**changed):
    return replace(outcomes_of([0, 1], [0.25, 0.75], [[0.1, 0.9], [0.2, 0.8]]), **changed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"detector_layers": (4,), "adapter_first_layers": (2,)}, "begins in layer 2"),
        ({"detector_layers": (4,), "adapter_first_layers": (2,), "reran": True}, "begins in layer 2"),
        ({"detector_layers": (4,), "adapter_first_layers": (3,)}, "or run that layer again"),
        ({"detector_layers": (4, 4)}, "2 detector layers"),
        ({"split": "holdout"}, "split 'holdout'"),
        ({"attributes": ()}, "name each gate once"),
        ({"label": np.array([0, 2], np.int8)}, "2 in row 1"),
        ({"label": np.array([0], np.int8)}, "shape"),
        ({"risk": np.array([[0.5], [np.inf]], np.float32)}, "inf in row 1"),
        ({"probability": np.array([[0.5, 0.5], [0.5, 1.5]], np.float32)}, "1.5 in row 1"),
        ({"probability": np.array([[0.5, 0.5], [np.nan, 0.5]], np.float32)}, "nan in row 1"),
        ({"probability": np.zeros((2, 4), np.float32)}, r"take \(2, 2\)"),
        ({"groups": (GroupedScores("sex", ("f", "m"), np.array([0, 2])),)}, "2 in row 1"),
        ({"groups": (GroupedScores("sex", ("f", "m"), np.array([0, -1])),)}, "-1 in row 1"),
        ({"groups": (GroupedScores("sex", ("f", "f"), np.array([0, 1])),)}, "each group once"),
        ({"groups": (GroupedScores("sex", ("(missing)", "f"), np.array([0, 1])),)}, "name it last"),
        ({"groups": (GroupedScores("sex", ("f",), np.zeros(2, int)),) * 2}, "attribute or intersection once"),
    ],
)
def test_what_does_not_fit_is_refused(changed, said):
    two_rows()
    with pytest.raises(BadInput, match=said):
        two_rows(**changed)


def test_no_rows_are_refused():
    with pytest.raises(BadInput, match="no rows"):
        two_rows(label=np.zeros(0, np.int8), risk=np.zeros((0, 1)), probability=np.zeros((0, 2)), groups=())


def test_the_published_layers_take_a_second_run_of_one_layer_and_one_gate():
    layers = {"detector_layers": (4,), "adapter_first_layers": (3,)}
    assert two_rows(**layers, reran=True).reran
    both = {"detector_layers": (4, 4), "adapter_first_layers": (4, 3)}
    with pytest.raises(BadInput, match="'gate1' begins in layer 3"):
        outcomes_of([0], [[0.5, 0.5]], np.zeros((1, 4)), **both, reran=True)


def test_every_detector_must_lie_below_every_adapter():
    layers = {"detector_layers": (4, 6), "adapter_first_layers": (4, 6)}  # gate 0 acts below what detector 1 reads
    with pytest.raises(BadInput, match=r"'gate0' begins in layer 4 .* 'gate1' reads, the output of 6 layers"):
        outcomes_of([0], [[0.5, 0.5]], np.zeros((1, 4)), **layers)


def test_a_gate_opens_strictly_above_its_threshold_and_never_on_an_unknown_risk():
    outcomes = outcomes_of([0, 0, 1], [0.5, np.nan, 0.75], [[0.1, 0.9]] * 3)
    assert outcomes.decided([0.5]).tolist() == pytest.approx([0.1, 0.1, 0.9])
    assert outcomes.decided(-np.inf).tolist() == pytest.approx([0.9, 0.1, 0.9])
    assert outcomes.decided(np.inf).tolist() == pytest.approx([0.1, 0.1, 0.1])


def test_a_threshold_is_rounded_as_risks_are():
    outcomes = outcomes_of([0], [0.8], [[0.1, 0.9]])  # float32(.8) > .8
    assert outcomes.decided([0.8]).tolist() == pytest.approx([0.1])


def test_each_row_gets_the_output_of_its_own_subset_of_gates():
    outcomes = drawn(200, gates=3, unknown=0.1)
    tau = np.float32([0.3, 0.5, 0.7])
    for row, found in enumerate(outcomes.decided(tau)):
        place = sum(1 << gate for gate in range(3) if outcomes.risk[row, gate] > tau[gate])
        assert found == outcomes.probability[row, place]


@pytest.mark.parametrize("tau", [[0.5], [0.5, 0.5, 0.5], [0.5, np.nan]])
def test_thresholds_that_do_not_fit_are_refused(tau):
    with pytest.raises(BadInput, match="one number for each of gate0, gate1"):
        drawn(5, gates=2).decided(tau)


def test_more_than_three_gates_say_which_outputs_they_lack():
    outcomes = drawn(50, gates=4)
    tau, full = np.full(4, 0.6, np.float32), outcomes.probability.copy()
    outcomes.probability[:, 1:] = np.nan
    needed = outcomes.needed(tau)
    opened = (outcomes.risk > tau).any(1)
    np.testing.assert_array_equal(needed.sum(1), opened)
    with pytest.raises(
        BadInput,
        match=rf"{opened.sum()} rows need outputs that were not computed: gate0; gate0 \+ gate1; .*and 11 more",
    ):
        outcomes.decided(tau)
    outcomes.probability[needed] = full[needed]
    np.testing.assert_array_equal(outcomes.decided(tau), drawn(50, gates=4).decided(tau))


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(BadInput, match="name one of: sex"):
        two_rows().grouped("race")
    with pytest.raises(BadInput, match="name one of: gate0"):
        two_rows().alone("sex")


@pytest.mark.parametrize("gates", [1, 2])
def test_outcomes_come_back_from_disk_bit_for_bit(tmp_path, gates):
    outcomes, file = drawn(100, gates=gates, unknown=0.2, missing=True, split="test"), tmp_path / "test.parquet"
    save_outcomes(outcomes, file)
    back = load_outcomes(file)
    for name in ("split", "attributes", "detector_layers", "adapter_first_layers", "reran"):
        assert getattr(back, name) == getattr(outcomes, name)
    for name in ("label", "risk", "probability"):
        ours, theirs = getattr(back, name), getattr(outcomes, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    assert back.groups[0][:2] == outcomes.groups[0][:2]
    np.testing.assert_array_equal(back.groups[0].code, outcomes.groups[0].code)
    names = pq.read_table(file)["group.sex"].to_pylist()
    assert names == [outcomes.groups[0].groups[code] for code in outcomes.groups[0].code]


def test_a_group_without_rows_comes_back(tmp_path):
    outcomes = two_rows(groups=(GroupedScores("sex", ("x", "f", "m"), np.array([1, 1])),))
    save_outcomes(outcomes, tmp_path / "a.parquet")
    back = load_outcomes(tmp_path / "a.parquet").groups[0]
    assert back.groups == ("x", "f", "m") and back.code.tolist() == [1, 1]


def spoil_json(file, **changed):
    about = json.loads(file.with_suffix(".json").read_text())
    file.with_suffix(".json").write_text(json.dumps(about | changed))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.unlink(), "no such file"),
        (lambda file: file.with_suffix(".json").unlink(), "no such file"),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "cut short or altered"),
        (lambda file: file.with_suffix(".json").write_text("{"), "cut short or altered"),
        (lambda file: spoil_json(file, schema="equiray.results/1"), "schema 'equiray.results/1'"),
        (lambda file: spoil_json(file, rows=3), "2 rows, where a.json says 3"),
        (lambda file: spoil_json(file, gates=["race"]), "cut short or altered"),
        (lambda file: spoil_json(file, groups={"sex": ["m"]}), "group 'f' is not among m"),
        (lambda file: spoil_json(file, adapter_first_layers=[1]), "begins in layer 1"),
    ],
)
def test_files_that_were_altered_are_refused(tmp_path, spoil, said):
    file = tmp_path / "a.parquet"
    save_outcomes(two_rows(), file)
    load_outcomes(file)
    spoil(file)
    with pytest.raises(BadInput, match=said):
        load_outcomes(file)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"'a.csv' does not end in .parquet"):
        save_outcomes(two_rows(), tmp_path / "a.csv")
