"""What a run or a sweep left, as a bundle: reloaded elsewhere it decides the same, bit by bit."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from bundles_made import GATES, equiray, fairnet_run, sweep_of
from equiray.bundles.bundle import load_bundle
from equiray.bundles.checking import read_manifest, verify_bundle
from equiray.bundles.manifest import Manifest
from equiray.data.compute import pc
from equiray.data.schema import SPLITS
from equiray.data.tasks.load import load_task
from equiray.errors import BadInput
from equiray.mitigation.gating.store import load_outcomes
from equiray.runs.bundling.fairnet import hashes_of
from equiray.serving.monitor.settings import Gate, Harm
from equiray.serving.watching import settings_of
from equiray.specs.fairnet import FairNetSpec, load_fairnet_spec
from equiray.specs.serving import ServeSpec

CONTRACT = Path(__file__).parents[1] / "docs" / "contracts" / "bundle_manifest.json"

# Every row of the task, split by split as a run takes them; those of the test split are decided.
ELSEWHERE = """
import sys
import numpy as np, pyarrow.parquet as pq
from pathlib import Path
from equiray.bundles.bundle import load_bundle
rows, only, *bundles = sys.argv[1:]
for bundle in bundles:
    found = load_bundle(Path(bundle)).decide(pq.read_table(rows), only=np.load(only))
    np.savez(bundle, probability=found.probability, positive=found.positive, risk=found.risk, open=found.open)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fairnet_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def sweep(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sweep_of(run, tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def made(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "tiny"
    assert equiray("bundle", run, "--pick", "seed0", "--out", out) == 0
    return out


@pytest.fixture(scope="module")
def people(run: Path) -> pa.Table:
    """All rows in the order in which a run has them, label and groups left out: nothing may decide by these."""
    task = load_task(load_fairnet_spec(run / "spec.yaml").tasks[0], 0)  # pyright: ignore[reportArgumentType]
    rows = pa.concat_tables([task.split(name) for name in SPLITS])
    return rows.select(["row_id", "split", *(feature.name for feature in task.schema.features)])


def places_of_test_rows(people: pa.Table) -> np.ndarray:
    return np.flatnonzero(np.array(people["split"].to_pylist()) == "test")


def predictions(run: Path) -> pa.Table:
    (file,) = run.glob("predictions/people.*_seed0.fairnet.parquet")
    table = pq.read_table(file)
    return table.filter(pc.equal(table["split"], "test"))


def test_reloaded_in_a_fresh_process_every_output_is_the_runs_own(
    run: Path, sweep: Path, people: pa.Table, tmp_path: Path
):
    """Of a run, and of a point of a sweep's front whose gates are open for some rows and shut for others."""
    assert equiray("bundle", run, "--pick", "seed0", "--out", tmp_path / "run") == 0
    assert equiray("bundle", sweep, "--pick", "t12p0", "--out", tmp_path / "point") == 0
    pq.write_table(people, tmp_path / "rows.parquet")
    np.save(tmp_path / "only.npy", places_of_test_rows(people))
    arguments = [str(tmp_path / name) for name in ("rows.parquet", "only.npy", "run", "point")]
    subprocess.run([sys.executable, "-c", ELSEWHERE, *arguments], check=True)
    found, kept = np.load(tmp_path / "run.npz"), predictions(run)
    outcomes = load_outcomes(run / "outcomes" / "people.seed0.test.parquet")
    assert len(found["probability"]) == len(kept) == outcomes.rows > 200
    assert np.array_equal(found["probability"], kept["score"].to_numpy())
    assert np.array_equal(found["positive"], kept["prediction"].to_numpy() == 1)
    assert 0 < found["positive"].mean() < 1 and len(np.unique(found["probability"])) > 100
    assert np.array_equal(found["risk"], outcomes.risk)
    found, said = np.load(tmp_path / "point.npz"), load_file(sweep / "said" / "trial12.test.safetensors")
    assert np.array_equal(found["risk"], said["risk"])
    assert (np.abs(found["open"].mean(axis=0) - 0.7) < 0.02).all()  # by what point it is
    subset = found["open"] @ [1, 2]
    assert np.array_equal(found["probability"], said["probability"][np.arange(len(subset)), subset].astype(float))


def test_rows_in_other_company_are_decided_alike_to_the_last_bits(made: Path, people: pa.Table):
    bundle = load_bundle(made)
    together = bundle.decide(people, only=places_of_test_rows(people))
    alone = bundle.decide(people.take(places_of_test_rows(people)[::-1].tolist()))
    assert alone.probability[::-1] == pytest.approx(together.probability, abs=1e-6)
    tau = np.array([bundle.manifest.parts.fairnet.thresholds[gate] for gate in GATES])  # pyright: ignore
    far = (np.abs(together.risk - tau) > 1e-5).all(axis=1)
    assert np.array_equal(alone.open[::-1][far], together.open[far]) and far.mean() > 0.9
    assert alone.gates == GATES


def test_the_manifest_says_where_it_came_from(run: Path, made: Path):
    manifest, spec = read_manifest(made), load_fairnet_spec(run / "spec.yaml")
    provenance, base = manifest.provenance, manifest.parts.base
    assert manifest.name == "tiny" and manifest.created_by.startswith("equiray ")
    assert (provenance.origin, provenance.name, provenance.point) == ("run", "tiny", "people.seed0")
    assert provenance.spec_sha256 == spec.sha256() == type(spec).model_validate(provenance.spec).sha256()
    assert base is not None and base.identity == json.loads((run / "inputs.json").read_text())["backbone"]
    (data,) = provenance.data
    assert data.source_sha256 == json.loads((run / "inputs.json").read_text())["task people"]
    assert sum(data.rows.values()) == 800
    accuracy = next(e for e in provenance.test if (e.metric, e.attribute) == ("accuracy", None))
    kept = predictions(run)
    right = kept["prediction"].to_numpy() == kept["label"].to_numpy()
    assert accuracy.value == pytest.approx(right.mean()) and accuracy.n == len(kept)
    assert accuracy.low is not None and accuracy.low < right.mean()
    files = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    assert files - {"manifest.json"} == set(manifest.files)
    assert files == {"manifest.json", "serializer.json", "fairnet/fairnet.json", "fairnet/fairnet.safetensors"}


def test_gates_are_watched_for_the_groups_and_the_harm_that_validation_showed(
    run: Path, made: Path, sweep: Path, tmp_path: Path
):
    (task,) = json.loads((run / "fairnet.json").read_text())["tasks"]
    promised = {each["gate"]: each for each in task["seeds"][0]["no_harm"]}
    groups = {each["attribute"]: each["vulnerable"] for each in task["gates"]}
    found = {each.gate: each for each in read_manifest(made).provenance.gates}
    assert found.keys() == promised.keys() == set(GATES)
    for name, gate in found.items():
        assert (gate.vulnerable, gate.d_min, gate.d_maj) == (
            groups[name],
            promised[name]["d_min"],
            promised[name]["d_maj"],
        )
    audit = {"store": f"sqlite:///{tmp_path}/log.db", "secrets": str(tmp_path)}
    spec = ServeSpec.model_validate({"schema": "equiray.serve/1", "bundle": str(made), "audit": audit})
    watched = settings_of(spec).gates
    for name, gate in found.items():
        assert gate.d_min is not None and gate.d_maj is not None
        assert watched[name] == Gate(vulnerable=gate.vulnerable, harm=Harm(gate.d_min, gate.d_maj))
    assert equiray("bundle", sweep, "--pick", "t12p0", "--out", tmp_path / "point") == 0
    assert {
        gate.gate: (gate.vulnerable, gate.d_min) for gate in read_manifest(tmp_path / "point").provenance.gates
    } == {name: (group, None) for name, group in groups.items()}


def test_verify_says_what_it_checked_and_replays_the_test_rows(made: Path, capsys: pytest.CaptureFixture[str]):
    assert equiray("verify", made) == 0
    said = capsys.readouterr().out
    assert "tiny: base, serializer, fairnet, decision" in said and "3 files" in said
    assert equiray("verify", made, "--replay") == 0
    assert "is the same, bit by bit" in capsys.readouterr().out


@pytest.mark.parametrize(("key", "code", "words"), [("probability", 0, "decided alike"), ("decision", 1, "are not")])
def test_a_replay_that_differs_is_told(made: Path, tmp_path: Path, key: str, code: int, words: str, capsys):
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    document = json.loads((copy / "manifest.json").read_text())
    document["provenance"]["test_outputs"][f"{key}_sha256"] = "0" * 64
    (copy / "manifest.json").write_text(json.dumps(document))
    assert equiray("verify", copy, "--replay") == code
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pick", "name", "thresholds"),
    [
        ("knee", "t12p1", 1),
        ("fairest:0.005", "t12p1", 1),
        ("fairest:0.1", "t12p0", 0),
        ("fairest:0", "t12p2", 2),
        ("t12p0", "t12p0", 0),
        ("untuned", "untuned", 2),
    ],
)
def test_a_point_of_a_sweep_is_picked_by_validation_figures(
    sweep: Path, tmp_path: Path, pick: str, name: str, thresholds: int
):
    assert equiray("bundle", sweep, "--pick", pick, "--out", tmp_path / "out") == 0
    manifest = read_manifest(tmp_path / "out")
    assert verify_bundle(tmp_path / "out") == []
    assert (manifest.provenance.point, manifest.provenance.pick) == (name, pick)
    front = json.loads((sweep / "search.json").read_text())["front"]
    wanted = {gate: float(tau) for gate, tau in front[thresholds]["thresholds"].items()}
    stored = json.loads((tmp_path / "out" / "fairnet" / "fairnet.json").read_text())["attributes"]
    assert {gate: float(kept["threshold"]) for gate, kept in stored.items()} == wanted
    assert manifest.parts.fairnet is not None and manifest.parts.fairnet.thresholds == wanted
    assert list(manifest.parts.fairnet.thresholds) == list(GATES)  # the order of a subset's bits, not of search.json
    assert manifest.provenance.spec["detector"]["high_loss"] == 0.25
    said = load_file(sweep / "said" / "trial12.test.safetensors")
    cuts = np.array([wanted[gate] for gate in GATES], np.float32)
    bits = (said["risk"] > cuts) @ (1 << np.arange(len(GATES)))
    decided = said["probability"][np.arange(len(bits)), bits].astype(float)
    assert manifest.provenance.test_outputs == hashes_of(decided, decided > 0.5)
    assert [each.value for each in manifest.provenance.test] == [
        1.4 - front[thresholds]["validation"][metric] for metric in ("accuracy", "equalized_odds_difference_max")
    ]


def test_a_picked_point_reloaded_reproduces_its_test_outputs(sweep: Path, tmp_path: Path, capsys):
    before = (sweep / "trials" / "trial12" / "fairnet" / "fairnet.json").read_bytes()
    assert equiray("bundle", sweep, "--pick", "t12p0", "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "t12p0 of sweep tiny sweep" in said and "detector.high_loss: 0.25" in said and "0.6800" in said
    assert equiray("verify", tmp_path / "out", "--replay") == 0
    assert "is the same, bit by bit" in capsys.readouterr().out
    # the sweep's own FairNet keeps its thresholds: they were set on the copy
    assert (sweep / "trials" / "trial12" / "fairnet" / "fairnet.json").read_bytes() == before


@pytest.mark.parametrize(
    ("pick", "words"),
    [
        ("t99p0", "names no point"),
        ("fairest:much", "no share of accuracy"),
        ("fairest:-1", "no share of accuracy"),
        ("knee:2", "names no point"),
        ("base", "unmitigated"),
    ],
)
def test_a_pick_that_means_nothing_is_refused(sweep: Path, tmp_path: Path, pick: str, words: str, capsys):
    assert equiray("bundle", sweep, "--pick", pick, "--out", tmp_path / "out") == 3
    assert words in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("pick", ["seed7", "town.seed0", "knee", "people.seed0.half_labels", "seed00"])
def test_a_run_has_trainings_and_no_points(run: Path, tmp_path: Path, pick: str, capsys):
    assert equiray("bundle", run, "--pick", pick, "--out", tmp_path / "out") == 3
    assert "people.seed0" in capsys.readouterr().err


def test_what_cannot_be_bundled_is_refused(run: Path, tmp_path: Path, capsys):
    assert equiray("bundle", tmp_path, "--pick", "knee", "--out", tmp_path / "out") == 3
    (tmp_path / "spec.yaml").write_text("schema: equiray.sweep/1\nname: unfinished\nkind: fairnet\n")
    assert equiray("bundle", tmp_path, "--pick", "knee", "--out", tmp_path / "out") == 3
    assert "not finished" in capsys.readouterr().err
    (tmp_path / "spec.yaml").write_text("schema: equiray.audit/1\n")
    assert equiray("bundle", tmp_path, "--pick", "knee", "--out", tmp_path / "out") == 3
    assert "nothing that can be bundled" in capsys.readouterr().err
    assert equiray("bundle", run, "--pick", "seed0", "--out", run) == 3
    assert "not empty" in capsys.readouterr().err


def test_rows_unlike_those_of_training_are_refused(made: Path, people: pa.Table):
    bundle = load_bundle(made)
    wrong = {
        "no column 'sex'": people.drop_columns(["sex"]),
        "column 'income' is string": people.set_column(
            people.column_names.index("income"), "income", pa.array(["much"] * len(people))
        ),
        "column 'sex' is int64": people.set_column(
            people.column_names.index("sex"), "sex", pa.array([1] * len(people))
        ),
        "2 columns 'sex'": people.append_column("sex", people["sex"]),
        "no rows": people.slice(0, 0),
    }
    for words, rows in wrong.items():
        with pytest.raises(BadInput, match=words):
            bundle.decide(rows)
    unknown = bundle.decide(people.slice(0, 2).set_column(2, people.column_names[2], pa.nulls(2)))
    assert np.isfinite(unknown.probability).all()


def test_a_base_model_that_moved_is_found_where_one_says_and_another_is_refused(
    run: Path, made: Path, people: pa.Table, tmp_path: Path
):
    bert, rows = run.parent / "bert", people.slice(0, 8)
    expected = load_bundle(made).decide(rows).probability
    moved = bert.rename(tmp_path / "moved")
    try:
        with pytest.raises(BadInput, match="where the base model lies elsewhere"):
            load_bundle(made)
        assert np.array_equal(load_bundle(made, source=str(moved)).decide(rows).probability, expected)
        weights = (moved / "model.safetensors").read_bytes()
        (moved / "model.safetensors").write_bytes(weights[:-4] + b"\x00\x00\x80\x3f")
        with pytest.raises(BadInput, match="has other weights"):
            load_bundle(made, source=str(moved))
        (moved / "model.safetensors").write_bytes(weights)
    finally:
        moved.rename(bert)


def test_the_example_of_the_contract_is_a_manifest():
    document = json.loads(CONTRACT.read_text())
    example = Manifest.model_validate(document)
    assert json.loads(example.model_dump_json(by_alias=True)) == document
    provenance = example.provenance
    assert FairNetSpec.model_validate(provenance.spec).sha256() == provenance.spec_sha256
    assert {part for part, found in example.parts if found is not None} == {
        "base",
        "serializer",
        "fairnet",
        "decision",
    }
