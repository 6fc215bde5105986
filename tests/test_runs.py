"""Whole runs on a tiny random model: every stage and model type, resumed, and stopped by what is wrong with them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equiray.errors import BadInput, Incomplete
from equiray.reports import verify_evidence
from equiray.runs import evaluation
from equiray.runs.decisions import Reported
from equiray.runs.directory import RunDirectory
from equiray.runs.evaluation import run_evaluation
from equiray.runs.lock import LOCK_NAME
from equiray.specs.run import RunSpec
from tiny_models import save, tiny

COMMAND = "equiray run spec.yaml --out out"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tiny("llama"), tmp_path_factory.mktemp("model"))


def spec_of(model: Path, **changes) -> RunSpec:
    document = {
        "schema": "equiray.run/1",
        "name": "tiny",
        "tasks": [{"name": "german", "rows": 200, "attributes": ["sex", "sex*age"]}],
        "models": ["raw", "embedding", "prompt"],
        "language_model": {"source": str(model), "dtype": "float32"},
        "serialization": {"max_tokens": 500},
        "unlearning": {"reference": "targeted", "steps": 2, "log_every": 1, "batch_references": 2, "lora": {"rank": 2}},
        "intrinsic": {"templates": ["equiray"], "attributes": ["gender"], "families": 4, "variants_per_family": 1},
        "statistics": {"replicates": 100},
    }
    return RunSpec.model_validate(document | changes)


@pytest.fixture(scope="module")
def finished(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "out"
    run_evaluation(spec_of(model), out, command=COMMAND)
    return out


def _results(out: Path):
    return json.loads((out / "results.json").read_text())


def test_every_stage_of_every_model_has_predictions_and_estimates(finished: Path):
    stages = {"baseline", "cda", "unlearning", "cda_unlearning"}
    expected = {("embedding", s) for s in stages} | {("prompt", s) for s in stages}
    expected |= {("raw", "baseline"), ("raw", "cda"), ("raw_unaware", "baseline")}
    found = {tuple(p.name.removesuffix(".parquet").split(".")[1:]) for p in finished.glob("predictions/*.parquet")}
    assert found == expected
    dp = [e for e in _results(finished)["estimates"] if e["metric"] == "demographic_parity_difference"]
    assert {(e["model"], e["stage"]) for e in dp if "-" not in e["stage"]} == expected
    assert {e["stage"] for e in dp if e["model"] == "embedding"} == stages | {
        f"{s}-baseline" for s in stages - {"baseline"}
    }
    assert {e["attribute"] for e in dp} == {"sex", "sex*age"}


def test_predictions_hold_what_outsiders_rely_on(finished: Path):
    table = pq.read_table(finished / "predictions" / "german.embedding.cda_unlearning.parquet")
    contract = ["row_id", "split", "stage", "model", "label", "score", "prediction", "outcome"]
    assert table.column_names == [*contract, "sex", "age", "foreign_worker"]
    assert set(table["outcome"].to_pylist()) == {"answered"}
    assert len(table) == 200 and len(set(table["row_id"].to_pylist())) == 200
    scores, predictions = table["score"].to_numpy(), table["prediction"].to_numpy()
    assert ((scores > 0.5) == (predictions == 1)).all()


def test_estimates_can_be_computed_again_from_the_predictions(finished: Path):
    rows = pq.read_table(finished / "predictions" / "german.raw.cda.parquet").to_pandas()
    rates = rows[rows.split == "test"].groupby("sex").prediction.mean()
    (estimate,) = (
        e
        for e in _results(finished)["estimates"]
        if (e["model"], e["stage"], e["metric"], e["attribute"])
        == ("raw", "cda", "demographic_parity_difference", "sex")
    )
    assert estimate["value"] == pytest.approx(rates.max() - rates.min(), abs=1e-12)


def test_a_policy_is_checked_against_what_is_reported(model: Path, finished: Path):
    levels = [e for e in _results(finished)["estimates"] if "-" not in e["stage"]]
    assert {e["metric"] for e in levels} > {"intrinsic_gap", "perplexity", "tpr", "auc"}
    assert evaluation._check(spec_of(model)).reported == {
        Reported(e["metric"], e["attribute"], e["group"] is not None) for e in levels
    }


def test_intrinsic_bias_is_measured_before_and_after(finished: Path):
    gaps = [e for e in _results(finished)["estimates"] if e["metric"] == "intrinsic_gap"]
    assert {e["stage"] for e in gaps} == {"baseline", "unlearning", "unlearning-baseline"}
    assert all(e["n"] == 4 * 16 for e in gaps)


def test_a_finished_run_computes_nothing_again_and_is_witnessed(model: Path, finished: Path):
    assert verify_evidence(finished) == []
    made = ["predictions/*.parquet", "embeddings/**/*.parquet", "unlearning/**/*.safetensors", "intrinsic/*.parquet"]
    before = {f: f.stat().st_mtime_ns for pattern in made for f in finished.glob(pattern)}
    results = _results(finished)
    run_evaluation(spec_of(model), finished, command=COMMAND)
    assert before == {f: f.stat().st_mtime_ns for pattern in made for f in finished.glob(pattern)}
    assert _results(finished) == results


def test_a_lost_part_is_made_again_to_the_same_figures(model: Path, finished: Path):
    results = _results(finished)
    lost = finished / "predictions" / "german.embedding.cda.parquet"
    lost.unlink()
    run_evaluation(spec_of(model), finished, command=COMMAND)
    assert lost.is_file() and _results(finished) == results


def test_corrupted_parts_are_set_aside_and_made_again_to_the_same_figures(model: Path, finished: Path, capsys):
    results = _results(finished)
    short = finished / "predictions" / "german.raw.cda.parquet"
    altered = finished / "intrinsic" / "equiray.gender.unlearning.fold0.parquet"
    short.write_bytes(short.read_bytes()[:500])
    whole, content = pq.read_table(altered), bytearray(altered.read_bytes())
    content[pq.read_metadata(altered).row_group(0).column(0).data_page_offset - 1] ^= 1  # the dictionary's last letter
    altered.write_bytes(content)
    assert not pq.read_table(altered).equals(whole)  # without its checksum nobody would know
    parts = [f for f in finished.glob("*/*.parquet") if f.parent.name != "counts"]  # counts are made of them anew
    others = {f: f.stat().st_mtime_ns for f in parts if f not in (short, altered)}
    run_evaluation(spec_of(model), finished, command=COMMAND)
    assert _results(finished) == results
    assert others == {f: f.stat().st_mtime_ns for f in others}
    said = "".join(capsys.readouterr().err.split())
    for file in (short, altered):
        broken = file.with_name(file.name + ".corrupt")
        assert broken.is_file() and f"keptas{broken.name}andmadeagain" in said
        broken.unlink()


def test_a_part_that_may_not_be_read_is_not_taken_for_corrupted(model: Path, tmp_path: Path, monkeypatch):
    with RunDirectory.open(tmp_path / "out", spec_of(model)) as directory:
        directory.write_table("part.parquet", pa.table({"x": [1]}))

        def forbidden(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("equiray.runs.directory.pq.ParquetFile", forbidden)
        with pytest.raises(BadInput, match="Permission denied"):
            directory.read_table("part.parquet")
    assert (tmp_path / "out" / "part.parquet").is_file()


def test_a_table_without_flips_can_be_evaluated_but_not_augmented(model: Path, tmp_path: Path):
    own = _own_table(tmp_path, 0.0)
    spec = spec_of(model, tasks=[own], models=["raw"], stages=["baseline"], intrinsic=None)
    run_evaluation(spec, tmp_path / "out", command=COMMAND)
    assert [p.name for p in (tmp_path / "out").glob("predictions/*")] == ["own.raw.baseline.parquet"]
    with pytest.raises(BadInput, match="no counterfactual flip"):
        run_evaluation(spec_of(model, tasks=[own], models=["raw"]), tmp_path / "other", command=COMMAND)
    assert not (tmp_path / "other").exists()  # known before anything is made


def _own_table(folder: Path, shift: float) -> dict:
    rows = {"x": [float(i % 7) + shift for i in range(300)], "y": ["yes" if i % 7 > 3 else "no" for i in range(300)]}
    rows["g"] = ["a" if i % 2 else "b" for i in range(300)]
    pq.write_table(pa.table(rows), folder / "own.parquet")
    (folder / "schema.yaml").write_text(
        "schema: equiray.table/1\ntitle: Invented rows\n"
        "features: [{name: x, label: x, kind: numeric}, {name: g, label: g, kind: categorical}]\n"
        "label: {column: y, values: ['yes', 'no'], positive: 'yes'}\n"
        "question: Is it so? Yes or no?\nanswers: ['Yes', 'No']\nsensitive: [{name: g, column: g}]\n"
    )
    return {"name": "own", "path": str(folder / "own.parquet"), "table_schema": str(folder / "schema.yaml")}


def test_a_run_is_not_resumed_on_another_table(model: Path, tmp_path: Path):
    own = _own_table(tmp_path, 0.0)
    spec = spec_of(model, tasks=[own], models=["raw"], stages=["baseline"], intrinsic=None)
    run_evaluation(spec, tmp_path / "out", command=COMMAND)
    _own_table(tmp_path, 1.0)
    with pytest.raises(BadInput, match="task own has changed"):
        run_evaluation(spec, tmp_path / "out", command=COMMAND)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"tasks": [{"name": "german"}, {"name": "german"}]}, "stands twice"),
        ({"language_model": {"source": "/no/such/model"}}, "no model directory"),
        ({"language_model": {"source": "http://127.0.0.1:9/v1", "name": "m"}}, "endpoint gives no embedding"),
        ({"language_model": {"source": "/no/such/model"}, "models": ["raw"], "intrinsic": None}, "no model directory"),
        ({"intrinsic": {"attributes": ["shoe_size"]}}, "shoe_size"),
        ({"unlearning": {"attributes": ["shoe_size"]}}, "shoe_size"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_made(model: Path, tmp_path: Path, changes: dict, named: str):
    with pytest.raises(BadInput, match=named):
        run_evaluation(spec_of(model, **changes), tmp_path / "out", command=COMMAND)
    assert not (tmp_path / "out").exists()


def test_a_write_that_fails_leaves_what_was_there(model: Path, tmp_path: Path):
    with RunDirectory.open(tmp_path / "out", spec_of(model)) as directory:
        directory.write_text("note", "first")
        with pytest.raises(Incomplete, match="No space left"):
            _write_half(directory)
    assert (tmp_path / "out" / "note").read_text() == "first"
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"spec.yaml", "note", LOCK_NAME}


def _write_half(directory: RunDirectory) -> None:
    with directory.atomic("note") as scratch:
        scratch.write_text("sec")
        raise OSError(28, "No space left on device")


def test_a_folder_of_something_else_is_not_taken_over(model: Path, tmp_path: Path):
    (tmp_path / "photo.jpg").write_text("x")
    with pytest.raises(BadInput, match="no run directory"), RunDirectory.open(tmp_path, spec_of(model)):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_run_killed_while_it_wrote_its_spec_goes_on(model: Path, tmp_path: Path):
    (tmp_path / LOCK_NAME).touch()
    (tmp_path / ".spec.yaml.4711").write_text("schema: equi")
    with RunDirectory.open(tmp_path, spec_of(model)) as directory:
        assert (directory.path / "spec.yaml").is_file()


def test_a_record_of_the_run_that_is_cut_short_is_named(model: Path, tmp_path: Path):
    with RunDirectory.open(tmp_path / "out", spec_of(model)) as directory:
        for name, read in (("inputs.json", lambda: directory.hold_inputs({})), ("durations.json", directory.durations)):
            (tmp_path / "out" / name).write_text("")
            with pytest.raises(BadInput, match=rf"cut short[\s\S]*{name}[\s\S]*fix:"):
                read()
