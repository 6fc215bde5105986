"""A sweep of unlearning through the command: trials ended for a constraint, figures, and a bundled adapter."""

from pathlib import Path

import numpy as np
import pytest

from combined_runs import run_document, speaking_model
from equiray.bundles.bundle import load_bundle
from equiray.reports import verify_evidence
from equiray.reports.search.record import load_search
from equiray.runs.directory import RunDirectory
from equiray.runs.search.points import BASE, Point
from equiray.runs.search.unlearning import said_of
from equiray.runs.search.unlearning_plan import plan_unlearning_sweep
from equiray.search.ledger import Ledger
from equiray.search.storage import Storage
from equiray.specs.sweep import load_sweep_spec
from sweep_runs import LEDGER, UNLEARNING, Swept, sweep_to_its_end, written

pytestmark = pytest.mark.timeout(900)  # Ray starts, models are trained: minutes on a machine that does other things


@pytest.fixture(scope="module")
def unlearned(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None, one_thread: None) -> Swept:
    """Four trials, of which the base's own gap is too large for three; one of these is known and runs to its end."""
    folder = tmp_path_factory.mktemp("unlearning")
    run = run_document(folder, speaking_model(folder / "model")) | {"seed": 1}
    run["unlearning"]["steps"] = 6
    document = UNLEARNING | {
        "run": run,
        "space": {"unlearning.learning_rate": [0.02, 3.0]},
        "known": {"untuned": {}, "wild": {"unlearning.learning_rate": 3.0}},
        "objectives": [{"metric": "intrinsic_gap", "reference": 1}, {"metric": "perplexity_ratio", "reference": 3}],
        "constraints": [{"metric": "intrinsic_gap", "max": 0.08}],
        "search": {"trials": 4, "algorithm": "grid"},
        "statistics": {"replicates": 100},
        "resources": {"at_once": 1},
    }
    spec = written(folder, document)
    sweep_to_its_end(spec, folder / "out")
    return Swept(spec, folder / "out")


def test_a_sweep_of_unlearning(unlearned: Swept):
    search = load_search(unlearned.out)
    assert [trial.number for trial in search.trials] == [0, 1, 2, 3] and search.front
    assert search.kind == "unlearning" and search.frontier is None and search.rows.test > 0
    wild = search.trials[1]
    assert wild.status == "infeasible" and wild.reason == "breaks intrinsic_gap ≤ 0.08"
    ended = search.trials[2:]
    assert {trial.settings["unlearning.learning_rate"] for trial in ended} == {0.02, 3}
    for trial in ended:
        assert (trial.status, trial.reason) == ("infeasible", "broke intrinsic_gap ≤ 0.08 at steps 0 and 2")
    entries = {entry.trial.number: entry for entry in Ledger(unlearned.out / LEDGER).entries}
    steps = {number: [step for step, *_ in entry.curve] for number, entry in entries.items()}
    assert [steps[number] for number in range(4)] == [[0, 2, 4, 6]] * 2 + [[0, 2]] * 2
    for number in (2, 3):
        broken = entries[number].figures["intrinsic_gap"] - 0.08
        assert entries[number].outcome is None and entries[number].broken == {"intrinsic_gap ≤ 0.08": broken}
    assert search.cost.stopped_seconds_saved is not None and search.hypervolume.curve[-1][0] == 4
    beside = {point["name"]: point for point in unlearned.search["beside"]}
    assert list(beside) == ["base", "untuned", "wild"]
    assert beside["base"]["test"]["perplexity_ratio"]["value"] == 1
    assert all(point["thresholds"] == {} and point["open"] is None for point in beside.values())
    assert {point.trial for point in search.front} == {0} and search.constraints[0].killed == 3
    assert verify_evidence(unlearned.out) == []


def test_a_bundled_adapter_reproduces_its_test_figures(unlearned: Swept, tmp_path: Path, equiray):
    spec = load_sweep_spec(unlearned.out / "spec.yaml")
    with RunDirectory.open(unlearned.out, spec) as directory:
        planned = plan_unlearning_sweep(spec, directory, Storage(str(unlearned.out)))
    base = unlearned.said("base", "test")
    for point in unlearned.search["front"]:
        assert equiray("bundle", unlearned.out, "--pick", point["id"], "--out", tmp_path / point["id"]).code == 0
        bundle = load_bundle(tmp_path / point["id"])
        assert bundle.language_model is not None
        said = said_of(bundle.language_model, planned.study.texts["test"], planned.study.plan)
        for name, kept in unlearned.said(f"trial{point['trial']}", "test").items():
            assert np.array_equal(said[name], kept), name
        of = Point(id="again", trial=point["trial"])
        (figures,) = planned.replicated([of], {point["trial"]: said, BASE: base}).values.tolist()
        assert dict(zip(planned.metrics, figures, strict=True)) == {
            name: found["value"] for name, found in point["test"].items()
        }
        ratio = np.exp((said["nll"].sum() - base["nll"].sum()) / base["tokens"].sum())
        assert point["test"]["perplexity_ratio"]["value"] == pytest.approx(ratio, rel=1e-12)
