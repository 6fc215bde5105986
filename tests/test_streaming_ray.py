"""Embedding on Ray Data actors: the same bits as without Ray, and no trouble of an actor's loses, doubles or hangs."""

import os
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import ray
import torch

import streaming_cases as cases
import tiny_models
from equiray.errors import BadInput, Incomplete
from equiray.specs.run import LanguageModelSpec, StreamingSpec
from equiray.streaming import ray_pipeline
from equiray.streaming.blocks import read_embeddings
from equiray.streaming.embed import embed_source, embed_table
from equiray.streaming.sources import ParquetSource, TableSource

pytestmark = pytest.mark.usefixtures("ray_cluster", "_cases_travel")


@pytest.fixture(scope="module")
def _cases_travel():
    """Workers have equiray but not the tests: what the tests define is sent along."""
    ray.cloudpickle.register_pickle_by_value(cases)
    yield
    ray.cloudpickle.unregister_pickle_by_value(cases)


def on_ray(**more) -> StreamingSpec:
    return StreamingSpec(mode="ray", rows_per_block=8, cpus_per_actor=0.5, **more)


def stand_in(out: Path, recipe: cases.StandIn, streaming: StreamingSpec, *, stall_s: float = 120.0) -> Path:
    source = TableSource.of(cases.rows(40))
    return embed_source(source, cases.serializer(), recipe, out, streaming, label="people", stall_s=stall_s)


def files(out: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (out / "blocks").iterdir()}


def stamp(file: Path) -> tuple[int, int]:
    return file.stat().st_ino, file.stat().st_mtime_ns


@pytest.fixture
def expected(tmp_path) -> dict[str, bytes]:
    return files(stand_in(tmp_path / "expected", cases.StandIn(), StreamingSpec(mode="local", rows_per_block=8)))


def test_actors_write_the_bits_that_this_process_writes(tmp_path):
    folder = tiny_models.save(tiny_models.tiny("llama"), tmp_path / "model")
    model = LanguageModelSpec(source=str(folder), dtype="bfloat16")
    table, serializer = cases.rows_and_twins(30), cases.serializer()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as on the actors: another number of threads may add in another order
    try:
        streaming = StreamingSpec(mode="local", rows_per_block=8)
        embed_table(table, serializer, model, None, tmp_path / "here", streaming, label="here")
    finally:
        torch.set_num_threads(threads)
    embed_table(table, serializer, model, None, tmp_path / "ray", on_ray(actors=2), label="ray")
    assert files(tmp_path / "here") == files(tmp_path / "ray")
    assert len(files(tmp_path / "ray")) == 8


def test_files_are_streamed_and_a_run_begun_here_is_finished_on_ray(tmp_path):
    pq.write_table(cases.rows(90), tmp_path / "rows.parquet", row_group_size=25)
    source = ParquetSource.of(str(tmp_path / "rows.parquet"), cases.serializer().order)
    out, local = tmp_path / "out", StreamingSpec(mode="local", rows_per_block=8)
    embed_source(source, cases.serializer(), cases.StandIn(), out, local, label="people")
    whole, before = files(out), {}
    for i, file in enumerate(sorted((out / "blocks").iterdir())):
        if i % 3:
            before[file.name] = stamp(file)
        else:
            file.unlink()
    embed_source(source, cases.serializer(), cases.StandIn(), out, on_ray(), label="people")
    assert files(out) == whole
    assert {name: stamp(out / "blocks" / name) for name in before} == before


def test_an_actor_that_dies_is_replaced_and_nothing_is_lost_or_doubled(tmp_path, expected):
    recipe = cases.StandIn(trouble="die once", marker=tmp_path / "died")
    out = stand_in(tmp_path / "out", recipe, on_ray())
    assert recipe.marker.exists(), "an actor died on the way"
    assert files(out) == expected
    assert read_embeddings(out).row_id.tolist() == list(range(40))


@pytest.mark.parametrize("trouble", ["hang", "die"])
def test_a_pool_that_gets_nowhere_is_given_up_and_its_blocks_stay(tmp_path, expected, trouble):
    third_block = cases.serializer().texts(cases.rows(40))[20]
    recipe = cases.StandIn(trouble=trouble, at=third_block, marker=tmp_path / "died")
    with pytest.raises(Incomplete, match="run the same command again") as error:
        stand_in(tmp_path / "out", recipe, on_ray(), stall_s=12)
    assert "no block was finished for 12 s" in str(error.value)
    deadline = time.monotonic() + 30  # the actors' CPUs are free again
    while ray.available_resources().get("CPU", 0) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert ray.available_resources()["CPU"] == 2
    finished = files(tmp_path / "out")
    assert 0 < len(finished) < len(expected)
    assert finished.items() <= expected.items()
    stand_in(tmp_path / "out", cases.StandIn(), StreamingSpec(mode="local", rows_per_block=8))
    assert files(tmp_path / "out") == expected


def test_bad_input_found_by_an_actor_reaches_the_user_as_it_is(tmp_path, monkeypatch):
    # Ray may end this process where a task that has ended is cancelled
    monkeypatch.setattr(ray, "cancel", lambda *_, **__: pytest.fail("cancelled"))
    with pytest.raises(BadInput) as error:
        stand_in(tmp_path / "out", cases.StandIn(trouble="bad input"), on_ray())
    assert type(error.value) is BadInput
    assert (error.value.problem, error.value.place) == ("a row that no model can read", "row 7")


def test_every_run_has_a_driver_process_of_its_own(tmp_path, monkeypatch):
    """Cancelling a run that has just ended must not kill the next one, which came into the same process."""
    notes, drive = tmp_path / "pids", ray_pipeline._drive

    def noting(*given):
        with notes.open("a") as file:
            file.write(f"{os.getpid()}\n")
        yield from drive(*given)

    monkeypatch.setattr(ray_pipeline, "_drive", noting)
    for name in ("one", "two", "three"):
        stand_in(tmp_path / name, cases.StandIn(), on_ray())
    assert len(set(notes.read_text().split())) == 3


def test_more_than_the_cluster_has_is_said(tmp_path):
    with pytest.raises(Incomplete, match=r"CPU 64, GPU 0; the cluster has CPU 2, GPU 0"):
        stand_in(tmp_path / "out", cases.StandIn(), on_ray().model_copy(update={"cpus_per_actor": 64}), stall_s=8)


def test_vectors_in_order(tmp_path):
    vectors = read_embeddings(stand_in(tmp_path / "out", cases.StandIn(), on_ray(actors=2))).vectors
    texts = cases.serializer().texts(cases.rows(40))
    assert np.array_equal(vectors, cases.StandIn()(texts).vectors)
