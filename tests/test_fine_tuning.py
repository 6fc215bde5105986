"""Runs with fine-tuned classifiers: all four stages on a tiny model, resumed, streamed, reported, and refused."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equiray.errors import BadInput
from equiray.models.lora_classifier import train as train_module
from equiray.reports import verify_evidence
from equiray.runs import fine_tuning
from equiray.runs.evaluation import run_evaluation
from equiray.specs.run import RunSpec
from tiny_models import save, tiny

STAGES = ("baseline", "cda", "unlearning", "cda_unlearning")
COMMAND = "equiray run spec.yaml --out out"
ROWS = 240


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tiny("llama"), tmp_path_factory.mktemp("model"))


def spec_of(model: Path, **changes) -> RunSpec:
    document = {
        "schema": "equiray.run/1",
        "name": "tiny",
        "tasks": [{"name": "german", "rows": ROWS, "attributes": ["sex"]}],
        "models": ["lora"],
        "language_model": {"source": str(model), "dtype": "float32"},
        "serialization": {"max_tokens": 500},
        "unlearning": {"reference": "targeted", "steps": 2, "log_every": 1, "batch_references": 2, "lora": {"rank": 2}},
        "fine_tuning": {
            "lora": {"rank": 2},
            "steps": 4,
            "batch_rows": 4,
            "validate_every": 2,
            "train_rows": 60,
            "validation_rows": 20,
            "dtype": "float32",
        },
        "intrinsic": None,
        "statistics": {"replicates": 100},
    }
    return RunSpec.model_validate(document | changes)


@pytest.fixture(scope="module")
def trained_on() -> dict[str, tuple]:
    """By output folder: what each training was given."""
    return {}


@pytest.fixture(scope="module")
def finished(model: Path, tmp_path_factory: pytest.TempPathFactory, trained_on: dict) -> Path:
    out = tmp_path_factory.mktemp("runs") / "out"
    given = fine_tuning.fine_tune

    def note(lm, train, validation, spec, folder, **more):
        trained_on[folder.name] = (lm.identity, train, validation, more["people"])
        return given(lm, train, validation, spec, folder, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fine_tuning, "fine_tune", note)
        run_evaluation(spec_of(model), out, command=COMMAND)
    return out


def predictions(out: Path, stage: str) -> pa.Table:
    return pq.read_table(out / "predictions" / f"german.lora.{stage}.parquet")


def test_every_stage_decides_about_validation_and_test_rows(finished: Path):
    found = {file.name for file in finished.glob("predictions/*.parquet")}
    assert found == {f"german.lora.{stage}.parquet" for stage in STAGES}
    for stage in STAGES:
        table = predictions(finished, stage)
        assert set(table["split"].to_pylist()) == {"validation", "test"}
        assert set(table["outcome"].to_pylist()) == {"answered"} and set(table["model"].to_pylist()) == {"lora"}
        assert len(set(table["row_id"].to_pylist())) == len(table)
    scores = {stage: predictions(finished, stage)["score"].to_numpy() for stage in STAGES}
    assert all(np.abs(scores[stage] - scores["baseline"]).max() > 1e-6 for stage in STAGES[1:])


def test_stages_differ_in_rows_and_in_the_model_that_is_tuned(finished: Path, trained_on: dict):
    base, train, validation, people = trained_on["german.baseline"]
    assert people == len(train.labels) == 60 and len(validation.labels) == 20
    assert not {"\n".join(train.prompts.row_bodies)} & set(validation.prompts.row_bodies)
    share = json.loads((finished / "details.json").read_text())["tasks"]["german"]
    assert 0.65 < train.labels.mean() < 0.75 and share["rows"] == ROWS  # 70 % of the credits are good
    for stage in STAGES:
        identity, with_twins, watched, same_people = trained_on[f"german.{stage}"]
        assert (identity == base) == (stage in ("baseline", "cda"))
        assert watched.prompts == validation.prompts and same_people == 60
        bodies = with_twins.prompts.row_bodies
        if "cda" not in stage:
            assert bodies == train.prompts.row_bodies
            continue
        assert set(train.prompts.row_bodies) <= set(bodies) and len(bodies) == 120
        for stated in ("The sex is Male", "The sex is Female"):
            assert sum(stated in body for body in bodies) == 60
    results = [
        json.loads((finished / "fine_tuning" / f"german.{stage}" / "result.json").read_text()) for stage in STAGES
    ]
    assert [result["steps"] for result in results] == [4] * 4 and len({result["run"] for result in results}) == 4
    assert (
        len({json.dumps(result["before"] | {"seconds": 0}) for result in results[:2]}) == 1
    )  # the same model, zero-shot


def test_estimates_frontiers_and_report_know_the_model(finished: Path):
    estimates = json.loads((finished / "results.json").read_text())["estimates"]
    levels = {e["stage"] for e in estimates if e["metric"] == "demographic_parity_difference" and "-" not in e["stage"]}
    assert levels == set(STAGES) and {e["model"] for e in estimates} == {"lora"}
    frontiers = json.loads((finished / "frontiers.json").read_text())["frontiers"]
    assert {(f["model"], f["stage"]) for f in frontiers} == {("lora", "baseline")}
    page = (finished / "report.html").read_text()
    assert "Language model, fine-tuned" in page and 'id="fine-tuning"' in page and "of 4</span>" in page
    assert verify_evidence(finished) == []


def test_a_finished_run_trains_nothing_again_and_a_lost_part_comes_back_equal(model, finished: Path, monkeypatch):
    results, lost = (finished / "results.json").read_bytes(), finished / "predictions" / "german.lora.cda.parquet"
    before = predictions(finished, "cda")
    lost.unlink()
    (block,) = (finished / "scores" / "german.lora.cda").glob("blocks/*.parquet")
    block.unlink()
    monkeypatch.setattr(train_module._Training, "_update", lambda *_: pytest.fail("trained again"))
    run_evaluation(spec_of(model), finished, command=COMMAND)
    assert predictions(finished, "cda").equals(before) and (finished / "results.json").read_bytes() == results


def test_a_run_that_its_budget_stops_says_so(model: Path, tmp_path: Path):
    budget = {"lora": {"rank": 2}, "steps": 10_000, "time_budget_s": 1e-6, "dtype": "float32", "validation_rows": 4}
    spec = spec_of(model, stages=["baseline"], fine_tuning=budget)
    run_evaluation(spec, tmp_path / "out", command=COMMAND)
    (details,) = json.loads((tmp_path / "out" / "details.json").read_text())["fine_tuning"]
    assert (details["label"], details["steps"], details["task"], details["stage"]) == (
        "short run",
        1,
        "german",
        "baseline",
    )
    page = (tmp_path / "out" / "report.html").read_text()
    assert '<span class="badge">short run</span>' in page and "Fine-tuning was a short run" in page


@pytest.mark.usefixtures("ray_cluster")
def test_actors_score_as_this_process_does(model: Path, finished: Path, tmp_path: Path):
    spec = spec_of(model, stages=["baseline"], streaming={"mode": "ray", "rows_per_block": 30, "cpus_per_actor": 0.5})
    run_evaluation(spec, tmp_path / "out", command=COMMAND)
    assert len(list((tmp_path / "out" / "scores" / "german.lora.baseline").glob("blocks/*.parquet"))) > 2
    here, there = (predictions(out, "baseline") for out in (finished, tmp_path / "out"))
    assert here.drop_columns(["score"]).equals(there.drop_columns(["score"]))
    np.testing.assert_allclose(here["score"].to_numpy(), there["score"].to_numpy(), atol=1e-5)


def own_table(folder: Path, *, good_in_training: bool) -> dict:
    """Rows whose split is given; all training rows may be of one class."""
    split = ["train"] * 60 + ["validation"] * 20 + ["test"] * 20
    label = ["yes" if (i % 2 or (good_in_training and i < 60)) else "no" for i in range(100)]
    rows = {"x": [float(i % 7) for i in range(100)], "y": label, "g": ["a", "b"] * 50, "part": split}
    pq.write_table(pa.table(rows), folder / "own.parquet")
    (folder / "schema.yaml").write_text(
        "schema: equiray.table/1\ntitle: Invented rows\nsplit: part\n"
        "features: [{name: x, label: x, kind: numeric}, {name: g, label: g, kind: categorical}]\n"
        "label: {column: y, values: ['yes', 'no'], positive: 'yes'}\n"
        "question: Is it so? Yes or no?\nanswers: ['Yes', 'No']\nsensitive: [{name: g, column: g}]\n"
    )
    return {"name": "own", "path": str(folder / "own.parquet"), "table_schema": str(folder / "schema.yaml")}


def test_one_class_in_training_is_refused_before_anything_is_made(model: Path, tmp_path: Path):
    spec = spec_of(model, tasks=[own_table(tmp_path, good_in_training=True)], stages=["baseline"])
    with pytest.raises(BadInput, match=r"all 60 training rows have the label 1[\s\S]*task 'own'"):
        run_evaluation(spec, tmp_path / "out", command=COMMAND)
    assert not (tmp_path / "out").exists()


def test_an_endpoint_is_refused_before_it_is_asked(model: Path, tmp_path: Path):
    endpoint = {"source": "http://127.0.0.1:9/v1", "name": "m"}
    spec = spec_of(model, language_model=endpoint, stages=["baseline", "cda"])
    with pytest.raises(BadInput, match=r"cannot be fine-tuned \(lora\)[\s\S]*models[\s\S]*hub id or directory"):
        run_evaluation(spec, tmp_path / "out", command=COMMAND)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)  # takes 105 s of one core
def test_the_embedded_model_learns_the_base_rate_at_every_stage(tmp_path: Path):
    """A few steps: SmolLM2 says no to nearly everybody zero-shot, where 70 % of the credits are good."""
    fine_tuning = {"steps": 6, "batch_rows": 4, "warmup_steps": 1, "validate_every": 6, "validation_rows": 12}
    fine_tuning["learning_rate"] = 2e-4  # of a few steps at the usual one the first make it too sure
    unlearning = {"steps": 1, "log_every": 1, "batch_prompts": 4, "batch_references": 1, "kl_texts": 4}
    watched = {"reference": "targeted", "validation_prompts": 8, "validation_texts": 2}
    spec = spec_of(
        Path("embedded"),
        tasks=[{"name": "german", "rows": 60, "attributes": ["sex"]}],
        language_model={"source": "embedded"},
        serialization={"max_tokens": 160},  # sex is among what is told
        unlearning=unlearning | watched,
        fine_tuning=fine_tuning,
    )
    run_evaluation(spec, tmp_path / "out", command=COMMAND)
    trained = json.loads((tmp_path / "out" / "details.json").read_text())["fine_tuning"]
    assert {details["stage"] for details in trained} == set(STAGES)
    for details in trained:
        assert details["best"]["accuracy"] > details["before"]["accuracy"] + 0.1, details["stage"]
        assert details["best"]["log_loss"] < details["before"]["log_loss"], details["stage"]
    scores = [predictions(tmp_path / "out", stage)["score"].to_numpy() for stage in STAGES]
    assert all(len(of_stage) == 24 and np.ptp(of_stage) > 1e-3 for of_stage in scores)
    assert len({of_stage.tobytes() for of_stage in scores}) == len(STAGES)
