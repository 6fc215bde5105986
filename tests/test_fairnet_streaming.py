"""A saved FairNet over rows, block by block: the numbers of `subset_probabilities`, in this process and on Ray."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
import torch

import fairnet_streaming_cases as cases
import streaming_cases
from equiray.errors import BadInput, Incomplete
from equiray.mitigation.fairnet import LowerStates, load_fairnet, lower_states, one_pass, subset_probabilities
from equiray.mitigation.fairnet.inference import SubsetOutput
from equiray.mitigation.fairnet.store import read_stored, save_fairnet
from equiray.mitigation.gating.store import load_outcomes
from equiray.models.backbones import encode_texts, load_backbone, padded
from equiray.runs.fairnet import run_fairnet
from equiray.specs.fairnet import BackboneSpec
from equiray.specs.run import StreamingSpec
from equiray.streaming.embed import embed_source, uses_ray
from equiray.streaming.fairnet import FairNetEmbedder, FairNetRecipe
from equiray.streaming.gated import gate_table, gated_blocks, read_gated
from equiray.streaming.sources import TableSource

ROWS = 40

KILLED = """
import sys
sys.path[:0] = sys.argv[1].split(":")
from pathlib import Path
import streaming_cases, torch
from equiray.specs.fairnet import BackboneSpec
from equiray.specs.run import StreamingSpec
from equiray.streaming.gated import gate_table
torch.set_num_threads(1)
gate_table(
    streaming_cases.rows(800), streaming_cases.serializer(), BackboneSpec(source=sys.argv[2], max_tokens=32),
    Path(sys.argv[3]), Path(sys.argv[4]), StreamingSpec(mode="local", rows_per_block=8), label="killed",
)
"""


@pytest.fixture(autouse=True)
def _one_thread():
    """Bits are compared between processes, and another number of threads may add in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory) -> BackboneSpec:
    return cases.save_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture(scope="module")
def fairnet(backbone, tmp_path_factory) -> Path:
    return cases.saved(tmp_path_factory.mktemp("fairnet"), backbone)


@pytest.fixture(scope="module")
def guarded(backbone, tmp_path_factory) -> Path:
    return cases.saved(tmp_path_factory.mktemp("guarded"), backbone, support=True)


def gate(rows: pa.Table | Path, backbone: BackboneSpec, fairnet: Path, out: Path, per_block: int = 16, **more) -> Path:
    streaming = StreamingSpec(mode=more.pop("mode", "local"), rows_per_block=per_block, **more)
    return gate_table(rows, streaming_cases.serializer(), backbone, fairnet, out, streaming, label="people")


def expected(rows: pa.Table, backbone: BackboneSpec, fairnet: Path) -> SubsetOutput:
    loaded = load_fairnet(fairnet, load_backbone(backbone))
    return subset_probabilities(loaded, states(rows, backbone))


@pytest.fixture(scope="module")
def _cases_travel():
    """Workers have equiray but not the tests: what the tests define is sent along."""
    ray.cloudpickle.register_pickle_by_value(streaming_cases)
    yield
    ray.cloudpickle.unregister_pickle_by_value(streaming_cases)


def states(rows: pa.Table, backbone: BackboneSpec) -> LowerStates:
    made = load_backbone(backbone)
    return lower_states(made, encode_texts(made, cases.texts(rows), backbone.max_tokens), cases.LAYERS.cached)


def files(out: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (out / "blocks").iterdir()}


def stamps(out: Path) -> dict[str, tuple[int, int]]:
    return {f.name: (f.stat().st_ino, f.stat().st_mtime_ns) for f in (out / "blocks").glob("[0-9]*.parquet")}


def test_a_block_has_the_bits_of_subset_probabilities(backbone, guarded, tmp_path):
    rows = streaming_cases.rows_and_twins(ROWS)
    found = read_gated(gate(rows, backbone, guarded, tmp_path / "out", per_block=1000))
    ordered = TableSource.of(rows).table  # a twin stands after its original, and padding follows the batch
    want = expected(ordered, backbone, guarded)
    place = np.argsort(ordered["position"].to_numpy())
    assert found.attributes == ("sex", "race")
    assert found.row_id.tolist() == rows["row_id"].to_pylist()
    assert found.counterfactual == rows["counterfactual"].fill_null("").to_pylist()
    assert np.array_equal(found.probability, want.probability[place])
    assert np.array_equal(found.risk, want.risk[place], equal_nan=True)
    outside = np.isnan(found.risk)
    assert (outside.all(1) == outside.any(1)).all() and 0 < outside.all(1).sum() < len(outside)
    assert len(np.unique(found.probability[0])) == 4, "every subset of gates has an output of its own"


def test_however_rows_are_cut_they_get_the_same_numbers(backbone, fairnet, tmp_path):
    rows = streaming_cases.rows(ROWS)
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=11)
    want = expected(rows, backbone, fairnet)
    out = gate(tmp_path / "rows.parquet", backbone, fairnet, tmp_path / "out", per_block=7)
    found, blocks = read_gated(out), list(gated_blocks(out))
    np.testing.assert_allclose(found.probability, want.probability, rtol=1e-5)
    np.testing.assert_allclose(found.risk, want.risk, rtol=1e-5)
    assert [len(block.row_id) for block in blocks] == [7, 7, 7, 7, 7, 5]
    for name in ("row_id", "risk", "probability"):
        assert np.array_equal(np.concatenate([getattr(block, name) for block in blocks]), getattr(found, name))


def test_decisions_are_those_of_one_pass_and_the_base_s_where_gates_are_closed(backbone, guarded, tmp_path):
    rows = streaming_cases.rows(ROWS)
    found = read_gated(gate(rows, backbone, guarded, tmp_path / "out"))
    loaded = load_fairnet(guarded, load_backbone(backbone))
    thresholds = dict(zip(found.attributes, np.nanmedian(found.risk, 0).tolist(), strict=True))
    loaded = replace(loaded, thresholds=thresholds)
    ids = encode_texts(loaded.classifier.backbone, cases.texts(rows), backbone.max_tokens)
    single = one_pass(loaded, padded(loaded.classifier.backbone, ids))
    decided = found.decided(thresholds)
    np.testing.assert_allclose(decided, single.logits.softmax(1)[:, 1].numpy(), rtol=1e-5)
    base = found.probability[:, 0]
    closed = ~single.open.any(1).numpy()
    assert 0 < closed.sum() < ROWS
    assert np.array_equal(decided[closed], base[closed]) and not np.isclose(decided, base)[~closed].all()
    shut, wide = dict.fromkeys(thresholds, np.inf), dict.fromkeys(thresholds, -np.inf)
    assert np.array_equal(found.decided(shut), base)
    outside = np.isnan(found.risk[:, 0])
    assert np.array_equal(found.decided(wide), np.where(outside, base, found.probability[:, 3]))
    with pytest.raises(BadInput, match="give one for each of sex, race"):
        found.decided({"sex": 0.5})
    with pytest.raises(BadInput, match="nan"):
        found.decided({"sex": 0.5, "race": np.nan})


@pytest.mark.usefixtures("ray_cluster", "_cases_travel")
def test_actors_write_the_bits_that_this_process_writes(backbone, guarded, tmp_path):
    pq.write_table(streaming_cases.rows(ROWS), tmp_path / "rows.parquet", row_group_size=25)
    here = gate(tmp_path / "rows.parquet", backbone, guarded, tmp_path / "here", per_block=8)
    there = gate(
        tmp_path / "rows.parquet", backbone, guarded, tmp_path / "there", 8, mode="ray", actors=2, cpus_per_actor=0.5
    )
    assert files(here) == files(there) and len(files(there)) == 5
    assert read_gated(there).row_id.tolist() == list(range(ROWS))


@pytest.mark.usefixtures("ray_cluster", "_cases_travel")
def test_a_node_with_another_fairnet_is_refused(backbone, fairnet, guarded, tmp_path):
    """What an actor loads is checked against what the work was begun with."""
    recipe = FairNetRecipe(
        spec=backbone,
        backbone=load_backbone(backbone).identity,
        directory=guarded,
        stored=read_stored(fairnet),
    )
    source, streaming = TableSource.of(streaming_cases.rows(8)), StreamingSpec(mode="ray", cpus_per_actor=0.5)
    with pytest.raises(BadInput, match="another FairNet"):
        embed_source(source, streaming_cases.serializer(), recipe, tmp_path / "out", streaming, label="people")


def test_a_killed_run_goes_on_and_computes_no_finished_block_again(backbone, fairnet, tmp_path):
    out, paths = tmp_path / "killed", ":".join(path for path in sys.path if path)
    command = [sys.executable, "-c", KILLED, paths, backbone.source, str(fairnet), str(out)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while len(stamps(out)) < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    before = stamps(out)
    assert 3 <= len(before) < 100, "it was killed in the middle"
    with pytest.raises(Incomplete, match="run the same command again"):
        read_gated(out)
    with pytest.raises(Incomplete, match="run the same command again"):
        next(gated_blocks(out))
    gate(streaming_cases.rows(800), backbone, fairnet, out, per_block=8)
    after = stamps(out)
    assert len(after) == 100
    assert {name: after[name] for name in before} == before, "finished blocks are the same files"
    whole = gate(streaming_cases.rows(800), backbone, fairnet, tmp_path / "whole", per_block=8)
    assert files(out) == files(whole)
    assert not list(out.rglob("*.tmp"))


def test_a_torn_block_alone_is_made_again(backbone, fairnet, tmp_path):
    out = gate(streaming_cases.rows(ROWS), backbone, fairnet, tmp_path / "out")
    before, intact = stamps(out), files(out)
    torn = sorted((out / "blocks").iterdir())[1]
    os.truncate(torn, torn.stat().st_size - 5)
    with pytest.raises(BadInput, match=torn.name):
        list(gated_blocks(out))
    gate(streaming_cases.rows(ROWS), backbone, fairnet, out)
    assert files(out) == intact
    assert [name for name, stamp in stamps(out).items() if stamp != before[name]] == [torn.name]


@pytest.mark.parametrize("other", ["fairnet", "max_tokens", "dtype"])
def test_another_model_may_not_go_on_there(backbone, fairnet, guarded, tmp_path, other):
    rows = streaming_cases.rows(ROWS)
    out = gate(rows, backbone, fairnet, tmp_path / "out")
    spec = backbone.model_copy(
        update={"fairnet": {}, "max_tokens": {"max_tokens": 24}, "dtype": {"dtype": "bfloat16"}}[other]
    )
    with pytest.raises(BadInput, match="made from another embedder"):
        gate(rows, spec, guarded if other == "fairnet" else fairnet, out)


def test_thresholds_may_be_moved_without_computing_again(backbone, tmp_path):
    rows, folder = streaming_cases.rows(ROWS), cases.saved(tmp_path / "fairnet", backbone)
    out = gate(rows, backbone, folder, tmp_path / "out")
    before, (file, text) = stamps(out), (folder / "fairnet.json", (folder / "fairnet.json").read_text())
    file.write_text(text.replace('"threshold": 0.5', '"threshold": 0.25'))
    assert read_stored(folder).thresholds == {"sex": 0.25, "race": 0.25}
    gate(rows, backbone, folder, out)
    assert stamps(out) == before


def test_what_cannot_be_used_is_refused_before_anything_is_written(backbone, fairnet, tmp_path):
    rows, other = streaming_cases.rows(8), cases.save_backbone(tmp_path / "other", seed=1)
    with pytest.raises(BadInput, match="load the backbone that it was trained on"):
        gate(rows, other, fairnet, tmp_path / "out", mode="ray")
    with pytest.raises(BadInput, match="no readable FairNet"):
        gate(rows, backbone, tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_gates_than_are_cached_are_refused(backbone, tmp_path):
    folder = cases.saved(tmp_path / "many", backbone, attributes=("a", "b", "c", "d"))
    with pytest.raises(BadInput, match="4 gates have 16 subsets"):
        gate(streaming_cases.rows(8), backbone, folder, tmp_path / "out")


def test_a_risk_that_is_no_number_for_want_of_a_reason_is_never_written(backbone, tmp_path):
    """NaN means out of support; of a broken detector it must not look like that."""
    broken = cases.fairnet(load_backbone(backbone))
    with torch.no_grad():
        broken.detectors["race"].mlp[0].weight[0, 0] = torch.nan
    embedder = FairNetEmbedder(fairnet=broken, max_tokens=32)
    assert np.isnan(embedder(["The age is 39"]).vectors).any(), "which `embed_block` refuses"
    save_fairnet(tmp_path / "broken", broken)
    with pytest.raises(BadInput, match=r"detector\.race\.mlp\.0\.weight has values that are not finite"):
        gate(streaming_cases.rows(8), backbone, tmp_path / "broken", tmp_path / "out")


def test_other_blocks_are_not_read_as_a_fairnet_s(tmp_path):
    source, streaming = TableSource.of(streaming_cases.rows(8)), StreamingSpec(mode="local")
    out = embed_source(
        source, streaming_cases.serializer(), streaming_cases.StandIn(), tmp_path, streaming, label="people"
    )
    with pytest.raises(BadInput, match="not of a FairNet"):
        read_gated(out)


@pytest.mark.usefixtures("ray_cluster", "_cases_travel")
def test_a_run_on_ray_has_the_outcomes_of_a_run_here(backbone, tmp_path, monkeypatch):
    """The same spec but for `streaming`: cached states in this process, or rows on actors."""
    here, there = (
        cases.run_spec(tmp_path, backbone, streaming={"mode": mode, "cpus_per_actor": 0.5, "rows_per_block": 200})
        for mode in ("local", "ray")
    )
    run_fairnet(here, tmp_path / "here", command="equiray run")
    assert not (tmp_path / "here" / "gated").exists()
    monkeypatch.setattr("equiray.runs.fairnet.seed.subset_probabilities", None)
    run_fairnet(there, tmp_path / "there", command="equiray run")
    for split in ("validation", "test"):
        ours, theirs = (
            load_outcomes(tmp_path / run / "outcomes" / f"people.seed0.{split}.parquet") for run in ("here", "there")
        )
        np.testing.assert_allclose(ours.risk, theirs.risk, rtol=1e-5)
        np.testing.assert_allclose(ours.probability, theirs.probability, rtol=1e-5)
        assert np.array_equal(ours.label, theirs.label) and ours.rows > 400
        assert len(np.unique(theirs.probability)) > 8
        assert len(files(tmp_path / "there" / "gated" / f"people.seed0.{split}")) == -(-ours.rows // 200)
    results = [json.loads((tmp_path / run / "results.json").read_text())["estimates"] for run in ("here", "there")]
    assert [e["n"] for e in results[0]] == [e["n"] for e in results[1]]


@pytest.mark.parametrize(
    ("mode", "address", "actors", "streams"),
    [("auto", None, 1, False), ("auto", "auto", 1, True), ("auto", None, 2, False), ("local", "auto", 2, False)],
)
def test_the_stream_is_taken_where_ray_is_asked_for(mode, address, actors, streams):
    assert uses_ray(StreamingSpec(mode=mode, actors=actors), address, 5000) is streams
    assert uses_ray(StreamingSpec(mode=mode, actors=actors), address, 5001) is (
        streams or (mode, actors) == ("auto", 2)
    )
