"""A bundle of an evaluation's classifier on embeddings: what the run decided, decided again."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from bundles_made import equiray
from combined_runs import people, run_document, speaking_model
from equiray.bundles.bundle import load_bundle
from equiray.bundles.checking import read_manifest
from equiray.data.tasks.load import load_task
from equiray.specs.run import load_run_spec


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    document = run_document(folder, speaking_model(folder / "model")) | {
        "schema": "equiray.run/1",
        "name": "tiny",
        "tasks": [people(folder)],
        "stages": ["baseline", "cda", "unlearning", "cda_unlearning"],
        "models": ["raw", "embedding"],
    }
    (folder / "spec.yaml").write_text(yaml.safe_dump(document))
    assert equiray("run", folder / "spec.yaml", "--out", folder / "run", "--debug") == 0
    return folder / "run"


@pytest.mark.parametrize("stage", ["cda", "cda_unlearning"])
def test_a_bundle_decides_test_rows_as_the_run_did(run: Path, tmp_path: Path, stage: str):
    assert equiray("bundle", run, "--pick", f"embedding.{stage}", "--out", tmp_path / "bundle") == 0
    bundle = load_bundle(tmp_path / "bundle")
    assert (bundle.manifest.parts.unlearning is not None) == (stage == "cda_unlearning")
    spec = load_run_spec(run / "spec.yaml")
    rows = load_task(spec.tasks[0], spec.seed).split("test")
    decided = bundle.decide(rows)
    written = pq.read_table(run / f"predictions/people.embedding.{stage}.parquet").filter(
        pq.read_table(run / f"predictions/people.embedding.{stage}.parquet")["split"].to_numpy() == "test"
    )
    assert written["row_id"].equals(rows["row_id"])
    assert np.allclose(decided.probability, written["score"].to_numpy(), atol=1e-5)
    assert decided.positive.astype(int).tolist() == written["prediction"].to_pylist()


def test_the_manifest_says_where_it_came_from(run: Path, tmp_path: Path):
    assert equiray("bundle", run, "--pick", "people.embedding.cda", "--out", tmp_path / "bundle") == 0
    provenance = read_manifest(tmp_path / "bundle").provenance
    assert (provenance.origin, provenance.point) == ("run", "people.embedding.cda")
    told = json.loads((run / "results.json").read_text())["estimates"]
    own = [one for one in told if (one["stage"], one["model"]) == ("cda", "embedding")]
    assert [each.metric for each in provenance.test] == [one["metric"] for one in own] and own
    assert equiray("verify", tmp_path / "bundle", "--replay") == 0


@pytest.mark.parametrize("pick", ["raw.cda", "embedding.fairest", "loans.embedding.cda", "embedding"])
def test_a_pick_that_means_nothing_lists_what_there_is(run: Path, tmp_path: Path, pick: str, capsys):
    assert equiray("bundle", run, "--pick", pick, "--out", tmp_path / "bundle") == 3
    assert "people.embedding.cda_unlearning" in capsys.readouterr().err


def test_predictions_of_another_classifier_are_noticed(run: Path, tmp_path: Path, capsys):
    file = run / "predictions/people.embedding.baseline.parquet"
    before = file.read_bytes()
    table = pq.read_table(file)
    place = table.column_names.index("score")
    pq.write_table(table.set_column(place, "score", [np.roll(table["score"].to_numpy(), 1)]), file)
    try:
        assert equiray("bundle", run, "--pick", "embedding.baseline", "--out", tmp_path / "bundle") == 3
        assert "does not say what the run said" in capsys.readouterr().err
    finally:
        file.write_bytes(before)
