"""FairNet runs from the command line: every figure by a second route, killed and resumed, refused before compute."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from equiray.cli import main
from equiray.reports import verify_evidence
from equiray.runs.directory import RunDirectory
from equiray.specs.fairnet import load_fairnet_spec
from fairnet_runs import QUICK, people, tiny_bert, tiny_vit, write_fairnet_spec

METHODS = ["erm", "fairnet", "group_dro", "jtt", "dfr", "cda", "thresholds", "gate_and_thresholds"]
FILES = ["results.json", "fairnet.json", "frontiers.json", "details.json", "inputs.json", "evidence.json", "spec.yaml"]
FEWEST = 30


class Done(NamedTuple):
    code: Any
    out: str
    err: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """`equiray` in this process, for starting one takes longer than all that it does."""

    def start(*arguments: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        return Done(left.value.code, *capsys.readouterr())

    return start


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"))


ABLATIONS = ["no_detector", "half_labels", "unlabelled", "prototypes", "hard_negatives", "augmentation"]


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two gates, two seeds, all methods, ablations and stress; with its spec beside it."""
    folder = tmp_path_factory.mktemp("whole")
    spec = write_fairnet_spec(
        folder,
        model,
        seeds=[0, 1],
        ablations=ABLATIONS,
        stress=["label_noise", "subpopulation"],
    )
    with pytest.raises(SystemExit) as left:
        main(["run", str(spec), "--out", str(folder / "out"), "--debug"])
    assert left.value.code == 0
    return folder / "out"


def read(out: Path, name: str) -> Any:
    return json.loads((out / name).read_text(encoding="utf-8"))


def rows_of(out: Path, seed: int, method: str) -> pd.DataFrame:
    (file,) = out.glob(f"predictions/people.*_seed{seed}.{method}.parquet")
    frame = pq.read_table(file).to_pandas()
    return frame[frame.split == "test"].assign(right=lambda f: f.prediction == f.label)


def test_every_file_is_there_and_witnessed(whole: Path):
    assert all((whole / name).is_file() for name in (*FILES, "report.html", "model_card.md"))
    assert verify_evidence(whole) == []
    predictions = {tuple(p.name.split(".")[1:3]) for p in whole.glob("predictions/*.parquet")}
    assert {(m.rsplit("_", 1)[1], s) for m, s in predictions} == {(f"seed{n}", m) for n in (0, 1) for m in METHODS}
    assert not [f for f in whole.rglob("*") if f.suffix in (".pkl", ".pt", ".bin")]
    page, card = (whole / "report.html").read_text(), (whole / "model_card.md").read_text()
    for method in read(whole, "fairnet.json")["methods"]:
        assert method["label"] in page
    for text in (page, card):
        assert "Invented people" in text and "sex*region" in text.replace(" × ", "*").replace("×", "*")


def test_estimates_can_be_computed_again_from_the_predictions(whole: Path):
    found = {
        (e["model"].rsplit("_", 1)[1], e["stage"], e["metric"], e["attribute"], e["group"]): e["value"]
        for e in read(whole, "results.json")["estimates"]
    }
    for seed in (0, 1):
        for method in METHODS:
            rows, name = rows_of(whole, seed, method), (f"seed{seed}", method)
            assert found[(*name, "accuracy", None, None)] == pytest.approx(rows.right.mean())
            rates = rows.groupby("sex").prediction.mean()
            assert found[(*name, "demographic_parity_difference", "sex", None)] == pytest.approx(np.ptp(rates))
            assert found[(*name, "selection_rate", "sex", "female")] == pytest.approx(rates["female"])
            by_label = rows.groupby(["sex", "label"]).prediction.mean().unstack()
            gaps = np.ptp(by_label.to_numpy(), axis=0)
            assert found[(*name, "equalized_odds_difference_max", "sex", None)] == pytest.approx(gaps.max())
            known = rows.dropna(subset="region")
            worst = known.groupby(["sex", "region", "label"]).right.mean().min()
            # people of unknown region bound the figure and are no cell of it
            assert found[(*name, "worst_group_accuracy_cells", "sex*region", None)] == pytest.approx(worst)
            if method != "erm":
                change = rows.right.mean() - rows_of(whole, seed, "erm").right.mean()
                assert found[(f"seed{seed}", f"{method}-erm", "accuracy", None, None)] == pytest.approx(change)


def test_changes_are_means_over_trainings_of_paired_rows(whole: Path):
    (task,) = read(whole, "fairnet.json")["tasks"]
    assert task["attribute"] == "sex*region" and [g["attribute"] for g in task["gates"]] == ["sex", "region"]
    assert [c["method"] for c in task["changes"]] == METHODS[1:]
    for change in task["changes"]:
        sides = []
        for method in ("erm", change["method"]):
            rows = pd.concat([rows_of(whole, seed, method) for seed in (0, 1)])
            cells = rows.dropna(subset="region").groupby(["sex", "region", "label"]).right.agg(["mean", "size"])
            sides.append((rows.right.mean(), cells[cells["size"] >= 2 * FEWEST]["mean"]))
        (first, before), (second, after) = sides
        accuracy, worst = change["accuracy"], change["worst"]
        assert (accuracy["first"], accuracy["second"]) == pytest.approx((first, second))
        assert accuracy["value"] == pytest.approx(second - first)
        assert accuracy["low"] < accuracy["value"] < accuracy["high"] or accuracy["value"] == 0
        assert (worst["first"], worst["second"]) == pytest.approx((before.min(), after.min()))
        named = {c["name"]: (c["first"], c["second"], c["rows"]) for c in change["cells"]}
        assert len(named) == len(before) == 8
        for (sex, region, label), value in after.items():  # type: ignore[misc]
            assert named[f"{sex}*{region}, label {label}"][:2] == pytest.approx((before[sex, region, label], value))


def test_what_a_training_says_of_itself_follows_from_its_files(whole: Path):
    (task,) = read(whole, "fairnet.json")["tasks"]
    for said in task["seeds"]:
        seed, choice = said["seed"], said["choice"]
        outcomes = pq.read_table(whole / "outcomes" / f"people.seed{seed}.test.parquet").to_pandas()
        tau = np.array([float(t) for t in choice["thresholds"]], np.float32)
        opened = outcomes[["risk.sex", "risk.region"]].to_numpy() > tau
        chosen = opened @ [1, 2]
        score = outcomes[[f"probability.{i}" for i in range(4)]].to_numpy()[np.arange(len(outcomes)), chosen]
        rows = rows_of(whole, seed, "fairnet")
        np.testing.assert_array_equal(rows.score.to_numpy(np.float32), score)
        points = {p["method"]: p for p in said["points"]}
        assert points["fairnet"]["open"] == pytest.approx(opened.any(1).mean())
        assert points["erm"]["open"] is None
        before, after = outcomes["probability.0"].to_numpy() > 0.5, score > 0.5
        label, any_open = outcomes.label.to_numpy() == 1, opened.any(1)
        totals = {
            "corrected": int((any_open & (before != after) & (after == label)).sum()),
            "harmed": int((any_open & (before != after) & (after != label)).sum()),
            "unchanged": int((any_open & (before == after)).sum()),
        }
        assert said["flagged_totals"] == totals and sum(totals.values()) == any_open.sum()
        net = (totals["corrected"] - totals["harmed"]) / len(rows)
        assert points["fairnet"]["accuracy"] - points["erm"]["accuracy"] == pytest.approx(net)
        shown = [row["outcome"] for row in said["flagged"]]
        assert all(shown.count(name) == min(totals[name], most) for name, most in zip(totals, (3, 3, 2), strict=True))
        assert [harm["gate"] for harm in said["no_harm"]] == ["sex", "region"]
        for gate, harm in enumerate(said["no_harm"]):
            alone = np.where(opened[:, gate], outcomes[f"probability.{1 << gate}"], outcomes["probability.0"]) > 0.5
            assert harm["exact"]["test"]["value"] == pytest.approx((alone == label).mean() - (before == label).mean())
        assert [sweep["gate"] for sweep in said["sweeps"]] == said["grid"]["gates"] == ["sex", "region"]
        assert said["training"]["detector_s"] >= 0 and said["training"]["adapter_s"] >= 0
        assert said["training"]["curves"]["base loss"]
        target = (outcomes["group.sex"] == task["gates"][0]["vulnerable"]) & (before != label)
        (sex, _) = said["detectors"]
        pairs = np.subtract.outer(outcomes["risk.sex"][target].to_numpy(), outcomes["risk.sex"][~target].to_numpy())
        assert sex["auc"]["value"] == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
        assert sex["tpr_at"] == pytest.approx(opened[target, 0].mean())
        assert (
            choice["attribute"] == "sex*region" and choice["figures"]["accuracy"] >= choice["base"]["accuracy"] - 0.05
        )
    assert any(sum(s["flagged_totals"].values()) for s in task["seeds"]), "no gate ever opens: nothing is tested"


def test_frontiers_of_the_base_are_kept_for_every_seed(whole: Path):
    frontiers = read(whole, "frontiers.json")["frontiers"]
    assert {(f["stage"], f["model"].rsplit("_", 1)[1]) for f in frontiers} == {("erm", "seed0"), ("erm", "seed1")}
    page = (whole / "report.html").read_text()
    assert "no error-parity frontier was kept" not in page


def test_ablations_and_stress_are_reported(whole: Path):
    document = read(whole, "fairnet.json")
    assert [a["name"] for a in document["ablations"]] == ABLATIONS
    assert all(a["change"]["trainings"] == 2 for a in document["ablations"])
    on = [
        pq.read_table(whole / "outcomes" / f"people.seed{s}.test.parquet")
        .to_pandas()
        .eval("(`probability.3` > .5) == label")
        for s in (0, 1)
    ]  # without a detector both gates are open for everybody
    assert document["ablations"][0]["change"]["accuracy"]["second"] == pytest.approx(np.mean([o.mean() for o in on]))
    noise, group = document["stress"]
    assert (noise["name"], group["name"]) == ("label_noise", "subpopulation")
    assert "town" in group["label"]
    outcomes = pq.read_table(whole / "outcomes" / "people.seed0.subpopulation.test.parquet")
    task = pq.read_table(whole.parent / "people.parquet").to_pandas()
    left_out = task[task.split == "test"].town.value_counts()
    assert len(outcomes) in set(left_out) and len(outcomes) < left_out.sum()
    assert (group["rows"], group["confidence"]) == (len(outcomes), 0.95)


def test_commands_work_on_the_directory(whole: Path, tmp_path: Path, command):
    compared = command(
        "compare", whole, whole, "--stage", "erm,fairnet", "--model", model_of(whole, 0), "--out", tmp_path / "compared"
    )
    assert compared.code == 0, compared.err
    (change,) = (
        e["value"]
        for e in read(tmp_path / "compared", "results.json")["estimates"]
        if (e["stage"], e["metric"], e["attribute"]) == ("B-A", "accuracy", None)
    )
    sides = [rows_of(whole, 0, method).right.mean() for method in ("erm", "fairnet")]
    assert change == pytest.approx(sides[1] - sides[0])
    before = (whole / "report.html").read_text()
    (whole / "report.html").unlink()
    assert command("report", whole).code == 0
    assert len((whole / "report.html").read_text()) == len(before) and verify_evidence(whole) == []
    for bound, code in ((0.05, 0), (0.99, 1)):
        policy = tmp_path / "limits.yaml"
        policy.write_text(f"schema: equiray.policy/1\nrules: [{{metric: accuracy, min: {bound}}}]\n")
        judged = command("gate", whole, "--policy", policy)
        assert judged.code == code, judged.out + judged.err


def model_of(out: Path, seed: int) -> str:
    return next(out.glob(f"predictions/people.*_seed{seed}.erm.parquet")).name.split(".")[1]


SMALL = {"rows": {"train": 300, "validation": 300, "test": 400}, "baselines": ["group_dro", "cda"]}


def small(folder: Path, model: Path, **changes: Any) -> Path:
    """One gate, one seed."""
    task = people(folder, 1400) | {"attributes": ["sex"]}
    once = QUICK | {"epochs": 1}
    quick = {"base": once, "detector": {"training": once}, "adapter": {"training": once}}
    return write_fairnet_spec(folder, model, **({"tasks": [task]} | SMALL | quick | changes))


@pytest.fixture(scope="module")
def uninterrupted(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    with pytest.raises(SystemExit) as left:
        main(["run", str(small(folder, model)), "--out", str(folder / "out")])
    assert left.value.code == 0
    return folder / "out"


def same_figures(one: Path, other: Path) -> None:
    """Nothing but times may tell two runs apart."""
    assert read(one, "results.json") == read(other, "results.json")
    assert read(one, "frontiers.json") == read(other, "frontiers.json")
    documents = [read(out, "fairnet.json") for out in (one, other)]
    for document in documents:
        for task in document["tasks"]:
            for seed in task["seeds"]:
                for timed in ("base_s", "detector_s", "adapter_s"):
                    seed["training"].pop(timed)
    assert documents[0] == documents[1]
    names = sorted(file.name for file in one.glob("predictions/*"))
    assert names == sorted(file.name for file in other.glob("predictions/*"))
    for name in names:
        assert pq.read_table(one / "predictions" / name).equals(pq.read_table(other / "predictions" / name))


def test_a_run_that_dies_at_every_step_has_equal_figures(
    uninterrupted: Path, tmp_path: Path, command, monkeypatch: pytest.MonkeyPatch
):
    """It dies when a step has done its work and nothing of it is on disk yet; the next one goes on from there."""
    spec, announced = uninterrupted.parent / "spec.yaml", RunDirectory.step
    survived: list[str] = []

    @contextmanager
    def once(self: RunDirectory, name: str):
        with announced(self, name):
            yield
        if name not in survived:
            survived.append(name)
            raise KeyboardInterrupt

    monkeypatch.setattr(RunDirectory, "step", once)
    for _ in range(20):
        done = command("run", spec, "--out", tmp_path / "out")
        if done.code == 0:
            break
        assert done.code == 130 and not (tmp_path / "out" / "results.json").exists()
    stages = [name.removeprefix("people.seed0: ") for name in survived]
    assert {"base", "detector and adapter", "outputs of every gate, validation", "GroupDRO", "CDA"} <= set(stages)
    same_figures(uninterrupted, tmp_path / "out")


def test_a_run_that_is_killed_has_equal_figures(uninterrupted: Path, tmp_path: Path, command):
    spec, out = uninterrupted.parent / "spec.yaml", tmp_path / "out"
    equiray = [str(Path(sys.executable).with_name("equiray")), "run", str(spec), "--out", str(out)]
    process = subprocess.Popen(equiray, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    base = out / "models" / "people.seed0" / "base.safetensors"
    deadline = time.monotonic() + 300
    while not base.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and base.is_file() and not (out / "results.json").exists()
    trained = base.stat().st_mtime_ns
    done = command("run", spec, "--out", out)
    assert done.code == 0, done.err
    assert base.stat().st_mtime_ns == trained, "what was finished is not trained again"
    same_figures(uninterrupted, out)


def test_a_changed_spec_is_refused_and_a_finished_run_trains_nothing(uninterrupted: Path, command):
    spec = uninterrupted.parent / "spec.yaml"
    other = command("run", spec, "--out", uninterrupted, "--set", "seeds=[7]")
    assert other.code == 3 and "the run of another spec" in other.err and "--out" in other.err
    models = {f: f.stat().st_mtime_ns for f in uninterrupted.glob("models/**/*") if f.is_file()}
    steps = read(uninterrupted, "durations.json")
    for bound, code in ((0.05, 0), (0.99, 1)):
        policy = uninterrupted.parent / "limits.yaml"
        policy.write_text(f"schema: equiray.policy/1\nrules: [{{metric: accuracy, min: {bound}}}]\n")
        judged = command("run", spec, "--out", uninterrupted, "--policy", policy)
        assert judged.code == code, judged.out + judged.err
        assert len(read(uninterrupted, "results.json")["verdicts"]) == 4
    assert models == {f: f.stat().st_mtime_ns for f in uninterrupted.glob("models/**/*") if f.is_file()}
    again = {name for name, seconds in read(uninterrupted, "durations.json").items() if seconds != steps[name]}
    assert again <= {"people: figures"} and not list(uninterrupted.glob("lower/*"))
    assert command("run", spec, "--out", uninterrupted).code == 0  # as the other tests expect it


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"tasks": [{"name": "nobody"}]}, ("'nobody'", "compas")),
        ({"attributes": ["shoe_size"]}, ("shoe_size", "declare")),
        ({"vulnerable": {"sex": "martian"}}, ("sex has no group 'martian'", "vulnerable", "'female', 'male'")),
        ({"vulnerable": {"region": "north"}}, ("no task has a gate for 'region'", "vulnerable", "sex")),
        ({"backbone": {"max_tokens": 100}}, ("100 tokens a row", "48 positions", "at most 48")),
        ({"backbone": {"frozen_layers": 4}}, ("layer 4", "backbone.frozen_layers", "3 layers")),
        ({"detector": {"layer": 3}}, ("layer 3", "detector.layer", "3 layers, one above for adapters", "say 0 to 2")),
        ({"detector": {"regime": "partial", "label_share": 0.02}}, ("no group of sex has 30", "label_share")),
        ({"detector": {"layer": 2}, "adapter": {"first_layer": 0}}, ("adapter.first_layer", "lies below")),
        ({"backbone": {"frozen_layers": 2}, "adapter": {"first_layer": 0}}, ("layer 0", "adapter.first_layer")),
        ({"attributes": ["sex", "region"], "adapter": {"first_layer": 0}}, ("several gates", "adapter.first_layer")),
        ({"skew": 0.1}, ("`skew` needs a vulnerable group", "vulnerable: {sex: ...}")),
        ({"stress": ["temporal"]}, ("no dates", "stress: temporal", "compas")),
        ({"stress": ["subpopulation"]}, ("test rows", "stress: subpopulation", "use more rows")),
        ({"stress": ["label_noise"], "adapter": {"augmentation": True}}, ("no twins", "adapter.augmentation")),
        ({"rows": {"train": 300, "validation": 60, "test": 400}, "baselines": ["dfr"]}, ("validation rows", "dfr")),
        ({"rows": {"train": 300, "validation": 300, "test": 60}}, ("test rows", "attributes", "use more rows")),
        ({"detector": {"kindd": "group"}}, ("detector.kindd",)),
        ({"twice": True}, ("'people' stands twice", "tasks")),
    ],
)
def test_3_what_cannot_work_is_refused_before_anything_is_made(model: Path, tmp_path: Path, command, changes, named):
    changes = dict(changes)
    backbone = {"source": str(model), "max_tokens": 48, "frozen_layers": 1} | changes.pop("backbone", {})
    task = people(tmp_path, 1400) | {"attributes": changes.pop("attributes", ["sex"])}
    tasks = changes.pop("tasks", [task] * (2 if changes.pop("twice", False) else 1))
    spec = small(tmp_path, model, tasks=tasks, backbone=backbone, **changes)
    done = command("run", spec, "--out", tmp_path / "out")
    assert done.code == 3, done.err
    said = " ".join(done.err.split())
    assert all(word in said for word in named), done.err
    assert "fix:" in said and "Traceback" not in said and not (tmp_path / "out").exists()


def test_3_a_group_without_rows_of_a_class_is_refused(model: Path, tmp_path: Path, command):
    task = people(tmp_path, 1400) | {"attributes": ["sex"]}
    table = pq.read_table(task["path"])
    frame = table.to_pandas()
    frame = frame[~((frame.sex == "female") & (frame.paid == "yes") & (frame.split == "train"))]
    frame.to_parquet(task["path"])
    spec = write_fairnet_spec(tmp_path, model, **SMALL, tasks=[task], vulnerable={"sex": "female"})
    done = command("run", spec, "--out", tmp_path / "out")
    assert done.code == 3 and "of sex female" in done.err and "vulnerable" in done.err and "fix:" in done.err
    assert not (tmp_path / "out").exists()


def test_3_a_group_that_a_stress_leaves_nothing_to_learn_from_is_refused(model: Path, tmp_path: Path, command):
    """No group is named, so it would come out only when the base has been trained."""
    task = people(tmp_path, 5000) | {"attributes": ["sex"]}
    frame = pq.read_table(task["path"]).to_pandas()
    largest, second = sorted(frame.region.dropna().unique())[:2]
    frame["region"] = np.random.default_rng(7).choice([largest, second], len(frame), p=[0.6, 0.4])
    cell = (frame.sex == "female") & (frame.paid == "yes") & (frame.split == "train") & (frame.region == largest)
    frame[~cell].to_parquet(task["path"])  # so that women with label 1 are in the region that is trained without
    spec = write_fairnet_spec(tmp_path, model, **SMALL | {"rows": {}}, tasks=[task], stress=["subpopulation"])
    done = command("run", spec, "--out", tmp_path / "out")
    said = " ".join(done.err.split())
    assert done.code == 3 and "may turn out to be female" in said and "stress: subpopulation" in said, done.err
    assert "fix:" in said and not (tmp_path / "out").exists()


def test_3_pictures_are_refused(model: Path, tmp_path: Path, command):
    spec = small(tmp_path, tiny_vit(tmp_path / "vit"))
    done = command("run", spec, "--out", tmp_path / "out")
    assert done.code == 3 and "reads pictures" in done.err and "backbone.source" in done.err
    assert not (tmp_path / "out").exists()


def test_3_a_policy_that_the_run_cannot_answer_is_refused(model: Path, tmp_path: Path, command):
    policy = tmp_path / "limits.yaml"
    policy.write_text("schema: equiray.policy/1\nrules: [{metric: tpr, attribute: sexx, min: 0.5}]\n")
    done = command("run", small(tmp_path, model), "--out", tmp_path / "out", "--policy", policy)
    assert done.code == 3 and "did you mean 'sex'" in done.err and not (tmp_path / "out").exists()


def test_the_group_that_is_corrected_is_the_worst_of_those_that_can_be(uninterrupted: Path):
    (task,) = read(uninterrupted, "fairnet.json")["tasks"]
    (file,) = uninterrupted.glob("predictions/people.*_seed0.erm.parquet")
    frame = pq.read_table(file).to_pandas()
    rows = frame[frame.split == "validation"].assign(right=lambda f: f.prediction == f.label)
    cells = rows.groupby(["sex", "label"]).right.agg(["mean", "size"])
    worst = cells[cells["size"] >= FEWEST]["mean"].groupby("sex").min()
    assert worst[task["gates"][0]["vulnerable"]] == worst.min()
    assert load_fairnet_spec(uninterrupted / "spec.yaml").vulnerable == {}


def test_without_group_labels_nothing_is_chosen_by_groups_and_no_gate_is_listed_for_one(model, tmp_path, command):
    detector = {"regime": "unlabelled", "training": QUICK | {"epochs": 1}, "contamination": 0.3}
    spec = small(tmp_path, model, detector=detector, baselines=["gate_and_thresholds"])
    assert command("run", spec, "--out", tmp_path / "out").code == 0
    (task,) = read(tmp_path / "out", "fairnet.json")["tasks"]
    assert [gate["attribute"] for gate in task["gates"]] == ["outliers"]
    choice = task["seeds"][0]["choice"]
    assert (choice["by"], choice["groups_known"], choice["rows"]) == ("accuracy", 0, task["rows"]["validation"])
    assert set(choice["figures"]) == {"accuracy", "activation_rate"}
    assert not list((tmp_path / "out").glob("training/*vulnerable*")), "a group was looked for on validation rows"
    page = " ".join((tmp_path / "out" / "report.html").read_text().split())
    assert "opens for" not in page and "no group was known in training or in choosing its threshold" in page
    assert "No group was looked at: accuracy of 281 validation rows chose." in page
