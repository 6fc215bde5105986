"""Sweeps that unlearn and decide, through the command: figures by a second route, resume, and a bundle of a point."""

import functools
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from bundles_made import equiray
from combined_runs import run_document, speaking_model, sweep_document, write_sweep
from equiray.bundles.bundle import load_bundle
from equiray.data.reference import load_reference
from equiray.data.schema import Task
from equiray.data.tasks.load import load_task
from equiray.errors import BadInput
from equiray.mitigation.unlearning import load_adapter
from equiray.models.classifiers import Logistic
from equiray.models.embedding import embed_texts
from equiray.models.loading import load_causal_lm
from equiray.models.logistic_store import load_logistic
from equiray.models.scoring import Scorer
from equiray.runs.directory import RunDirectory
from equiray.runs.evaluation import run_evaluation
from equiray.runs.search.combined import CombinedWorker, Rows, score_rows
from equiray.runs.search.combined_plan import check_spec, plan_combined_sweep
from equiray.runs.search.gated import People
from equiray.search.storage import Storage
from equiray.search.study import Outcome, Progress, Trial
from equiray.specs.run import RunSpec
from equiray.specs.sweep import SweepSpec, load_sweep_spec
from tiny_models import tiny

pytestmark = pytest.mark.timeout(900)  # Ray starts, models are trained: minutes on a machine that does other things

Arrays = Mapping[str, NDArray[Any]]
OBJECTIVES = ("demographic_parity_difference", "accuracy", "intrinsic_gap")


class Swept(NamedTuple):
    """A finished sweep: its folder of inputs, its spec and its directory."""

    folder: Path
    spec: Path
    out: Path

    @property
    def search(self) -> dict[str, Any]:
        return json.loads((self.out / "search.json").read_text())

    @property
    def task(self) -> Task:
        return task_of(self.out / "spec.yaml")

    def said(self, trial: int, split: str) -> Arrays:
        return load_file(self.out / "said" / f"trial{trial}.{split}.safetensors")


@functools.cache
def task_of(spec: Path) -> Task:
    run = load_sweep_spec(spec).with_settings({})
    assert isinstance(run, RunSpec)
    return load_task(run.tasks[0], run.seed)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None, one_thread: None) -> Swept:
    folder = tmp_path_factory.mktemp("combined")
    speaking_model(folder / "model")
    spec = write_sweep(folder, folder / "model")
    assert equiray("sweep", spec, "--out", folder / "out", "--debug") == 0
    return Swept(folder, spec, folder / "out")


def counted(swept: Swept, arrays: Arrays, base: Arrays, split: str, threshold: float) -> dict[str, float]:
    """Figures of one threshold by nothing but means over rows and prompts."""
    rows = swept.task.split(split)
    label, sex = rows["label"].to_numpy(), np.array(rows["attribute.sex"].to_pylist())
    positive = arrays["score"].astype(np.float32) > np.float32(threshold)
    rates = [positive[sex == name].mean() for name in ("Female", "Male")]
    probability = np.exp(arrays["fillers.gender"])
    poor = probability[:, : probability.shape[1] // 2].sum(1) / probability.sum(1)
    return {
        "demographic_parity_difference": float(abs(rates[0] - rates[1])),
        "accuracy": float((positive == label).mean()),
        "intrinsic_gap": float(np.abs(2 * poor - 1).mean()),
        "perplexity_ratio": float(np.exp((arrays["nll"] - base["nll"]).sum() / base["tokens"].sum())),
    }


def base_said(swept: Swept, split: str) -> Arrays:
    return load_file(swept.out / "said" / f"base.{split}.safetensors")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_figures_of_points_are_those_counted_from_scores(swept: Swept, split: str):
    search = swept.search
    assert search["kind"] == "combined" and len(search["front"]) >= 2
    assert search["attribute"] == "sex" and search["rows"]["test"] == len(swept.task.split("test"))
    base = base_said(swept, split)
    for point in [*search["front"], *search["beside"]]:
        arrays = base if point["trial"] is None else swept.said(point["trial"], split)
        threshold = float(point["thresholds"].get("decision", 0.5))
        expected = counted(swept, arrays, base, split, threshold)
        told = {name: found["value"] for name, found in point["test"].items()} if split == "test" else point[split]
        assert {name: told[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    names = {point["name"]: point["thresholds"] for point in search["beside"]}
    assert names == {"base": {}, "untuned": {"decision": 0.5}}


def test_the_front_is_that_of_every_threshold_of_every_trial(swept: Swept):
    """By brute force: all thresholds of all trials, the constraints, and what nothing is better than everywhere."""
    base = base_said(swept, "validation")
    least = counted(swept, base, base, "validation", 0.5)["accuracy"] - 0.2
    found = []
    for trial in range(3):
        arrays = load_file(swept.out / "trials" / f"trial{trial}" / "validation.safetensors")
        for threshold in (-np.inf, *arrays["score"], np.inf):
            figures = counted(swept, arrays, base, "validation", threshold)
            if figures["perplexity_ratio"] <= 3 and figures["accuracy"] >= least:
                found.append([figures[name] for name in OBJECTIVES])
    costs = np.unique(np.round(found, 7), axis=0) * [1, -1, 1]
    beaten = [(np.all(costs <= one, 1) & np.any(costs < one, 1)).any() for one in costs]
    expected = {tuple(point) for point in (costs[~np.array(beaten)] * [1, -1, 1]).tolist()}
    search = swept.search
    told = {tuple(round(point["validation"][name], 7) for name in OBJECTIVES) for point in search["front"]}
    assert told == expected
    assert all(trial["status"] == "done" for trial in search["trials"])
    assert len({point["trial"] for point in search["front"]}) > 1


def test_an_evaluation_of_the_same_settings_has_the_same_figures(swept: Swept, tmp_path: Path):
    document = run_document(swept.folder, swept.folder / "model")
    document |= {"stages": ["unlearning"], "models": ["embedding"], "intrinsic": None}
    document["statistics"] = {"replicates": 100}
    run_evaluation(RunSpec.model_validate(document), tmp_path / "out", command="equiray run")
    table = pq.read_table(tmp_path / "out" / "predictions" / "people.embedding.unlearning.parquet")
    scores = dict(zip(table["row_id"].to_pylist(), table["score"].to_pylist(), strict=True))
    for split in ("validation", "test"):
        ours = dict(zip(swept.task.split(split)["row_id"].to_pylist(), swept.said(0, split)["score"], strict=True))
        assert {row: scores[row] for row in ours} == pytest.approx(ours, abs=1e-5)
    (untuned,) = (point for point in swept.search["beside"] if point["name"] == "untuned")
    results = json.loads((tmp_path / "out" / "results.json").read_text())["estimates"]
    for metric, attribute in (("accuracy", None), ("demographic_parity_difference", "sex")):
        (theirs,) = (e for e in results if (e["metric"], e["attribute"], e["group"]) == (metric, attribute, None))
        assert untuned["test"][metric]["value"] == pytest.approx(theirs["value"], abs=1e-9)


def test_limits_name_what_was_resampled_and_whose_gap_it_is(swept: Swept):
    estimates = json.loads((swept.out / "results.json").read_text())["estimates"]
    rows, families = len(swept.task.split("test")), 12
    told = {(e["metric"], e["attribute"], e["n"]) for e in estimates}
    assert {
        ("accuracy", None, rows),
        ("demographic_parity_difference", "sex", rows),
        ("intrinsic_gap", "gender", families),
        ("intrinsic_gap_signed", "gender", families),
    } <= told
    assert (swept.out / "report.html").is_file()


def test_a_sweep_that_lost_its_last_line_goes_on(swept: Swept, tmp_path: Path):
    """The trial is begun again: from its adapter, or, where its outcome is there too, from nothing but that."""
    for number, lost in enumerate(["outcome.json", None]):
        out = tmp_path / str(number)
        shutil.copytree(swept.out, out)
        ledger = out / "trials.jsonl"
        lines = ledger.read_text().splitlines(keepends=True)
        trial = out / "trials" / f"trial{json.loads(lines[-1])['finished']['trial']['number']}"
        ledger.write_text("".join(lines[:-1]))
        (out / "search.json").unlink()
        if lost is not None:
            (trial / lost).unlink()
        before = {file: file.stat().st_mtime_ns for file in (trial / "adapter").iterdir()}
        assert equiray("sweep", swept.spec, "--out", out, "--debug") == 0
        assert {file: file.stat().st_mtime_ns for file in (trial / "adapter").iterdir()} == before
        now, then = json.loads((out / "search.json").read_text()), swept.search
        assert now["front"] == then["front"] and now["hypervolume"] == then["hypervolume"]
        assert now["estimates"] == then["estimates"]


def test_a_bundled_point_reproduces_its_test_figures(swept: Swept, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    point = swept.search["front"][len(swept.search["front"]) // 2]
    assert equiray("bundle", swept.out, "--pick", point["id"], "--out", tmp_path / "bundle") == 0
    capsys.readouterr()
    assert equiray("verify", tmp_path / "bundle", "--replay") == 0
    assert "bit by bit" in capsys.readouterr().out
    bundle, said = load_bundle(tmp_path / "bundle"), swept.said(point["trial"], "test")
    rows = swept.task.split("test")
    decided = bundle.decide(rows)
    assert np.array_equal(decided.probability, said["score"])
    sex = np.array(rows["attribute.sex"].to_pylist())
    rates = [decided.positive[sex == name].mean() for name in ("Female", "Male")]
    told = {name: found["value"] for name, found in point["test"].items()}
    assert told["accuracy"] == (decided.positive == rows["label"].to_numpy()).mean()
    assert told["demographic_parity_difference"] == abs(rates[0] - rates[1])
    assert bundle.language_model is not None
    nll, _ = Scorer(lm=bundle.language_model).text_nll(load_reference("targeted").split(0)[1].texts)
    assert np.array_equal(nll, said["nll"])
    assert {e.metric: e.value for e in bundle.manifest.provenance.test} == told


def test_a_bundle_of_other_rows_is_refused(swept: Swept, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    shutil.copytree(swept.out, out)
    inputs = json.loads((out / "inputs.json").read_text())
    (out / "inputs.json").write_text(json.dumps(inputs | {"data": "0" * 64}))
    assert equiray("bundle", out, "--pick", "knee", "--out", tmp_path / "bundle") == 3
    assert "data has changed since the training" in capsys.readouterr().err


def test_rows_are_embedded_in_the_data_type_of_the_run(swept: Swept, tmp_path: Path):
    """In bfloat16 a worker has a second model, and its classifier is that of embeddings in bfloat16."""
    document = sweep_document(swept.folder, swept.folder / "model")
    document["run"]["language_model"]["dtype"] = "bfloat16"
    spec = SweepSpec.model_validate(document)
    with RunDirectory.open(tmp_path / "out", spec) as directory:
        storage = Storage(str(tmp_path / "out"))
        storage.open()
        planned = plan_combined_sweep(spec, directory, storage)
    worker = planned.study.worker()
    assert isinstance(worker, CombinedWorker) and worker.lm is not worker.unlearning.lm
    *said, last = worker.run(Trial(number=0, origin="known", settings={}))
    assert all(isinstance(one, Progress) for one in said) and [one.step for one in said] == [0, 2, 4]
    assert isinstance(last, Outcome) and last.values
    trial = tmp_path / "out" / "trials" / "trial0"
    lm = load_adapter(load_causal_lm(str(swept.folder / "model"), dtype="bfloat16"), trial / "adapter")
    for split in ("validation", "test"):
        vectors = embed_texts(lm, planned.study.rows[split].texts)
        expected = load_logistic(trial / "classifier").probabilities(vectors)
        assert np.array_equal(worker.read(Trial(number=0, origin="known", settings={}), split)["score"], expected)
    (again,) = worker.run(Trial(number=0, origin="known", settings={}))  # of a trial that ended, at once
    assert again == last
    assert worker.read(None, "validation")["score"] is planned.study.score
    assert "test" not in {file.stem for file in trial.iterdir()}


def test_embeddings_that_are_no_numbers_are_refused():
    people = People(split="test", label=np.zeros(2, np.int8), groups=())
    classifier = Logistic(weights=np.full(32, np.nan), intercept=0.0, l2=1.0, validation_accuracy=0.5)
    with pytest.raises(BadInput, match=r"NaN or infinite values \(2 of 2 rows\)"):
        score_rows(tiny("llama"), classifier, Rows(people=people, texts=("a", "b")), "mean")


def test_the_recipe_is_a_sweep_that_is_not_refused():
    spec = load_sweep_spec(Path(__file__).parent.parent / "tune" / "combined.yaml")
    assert spec.kind == "combined" and spec.search.chosen == "tpe"
    check_spec(spec, RunSpec.model_validate(spec.run))


REFUSED = {
    "tasks": ({"tasks": [{"name": "german"}, {"name": "adult"}]}, {}, "2 tasks, and a sweep is of one"),
    "endpoint": ({"language_model": {"source": "http://localhost:1", "name": "m"}}, {}, "an endpoint"),
    "undecided": (
        {},
        {"objectives": [{"metric": name, "reference": 1} for name in ("intrinsic_gap", "perplexity_ratio")]},
        "no objective is of decisions",
    ),
    "hopeless": (
        {},
        {"search": {"trials": 3, "stop_hopeless": True}},
        "only then is known demographic_parity_difference, accuracy",
    ),
    "folds": ({"unlearning": {"reference": "targeted", "folds": 3}}, {}, "3 folds, and a trial trains once"),
    "model": ({"language_model": {"source": "./nowhere"}}, {}, "no model directory at ./nowhere"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_swept_is_refused_before_a_model_is_loaded(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    for module in ("unlearning_plan", "combined_plan"):
        monkeypatch.setattr(f"equiray.runs.search.{module}.load_causal_lm", lambda *_, **__: pytest.fail("loaded"))
    of_run, of_sweep, said = REFUSED[name]
    document = sweep_document(tmp_path, tmp_path)
    document["run"]["language_model"] = {"source": "embedded"}
    run = document["run"] | of_run
    spec = write_sweep(tmp_path, tmp_path, run=run, **of_sweep)
    assert equiray("sweep", spec, "--out", tmp_path / "out") == 3
    assert said in capsys.readouterr().err
