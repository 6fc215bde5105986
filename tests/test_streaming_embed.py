"""Embedding a table in this process: right vectors, resume after a kill, what is refused."""

import io
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from rich.console import Console

import streaming_cases as cases
import tiny_models
from equiray.errors import BadInput
from equiray.models.embedding import embed_texts
from equiray.models.token_counter import TokenCounter
from equiray.specs.run import LanguageModelSpec, StreamingSpec
from equiray.streaming.blocks import read_embeddings
from equiray.streaming.embed import embed_source, embed_table, serializer_sha256
from equiray.streaming.progress import RowProgress
from equiray.streaming.sources import TableSource

LOCAL = StreamingSpec(mode="local", rows_per_block=16)


@pytest.fixture(autouse=True)
def _one_thread():
    """Bits are compared between processes, and another number of threads may add in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> LanguageModelSpec:
    folder = tiny_models.save(tiny_models.tiny("llama"), tmp_path_factory.mktemp("model"))
    return LanguageModelSpec(source=str(folder), dtype="float32")


def embed(table: pa.Table | Path, model: LanguageModelSpec, out: Path, streaming=LOCAL, **more):
    return embed_table(table, cases.serializer(), model, None, out, streaming, label="people", **more)


def test_vectors_are_those_of_the_texts(model, tmp_path):
    table = cases.rows_and_twins(40)
    row_id, counterfactual, vectors = read_embeddings(embed(table, model, tmp_path / "out"))
    direct = embed_texts(tiny_models.tiny("llama"), cases.serializer().texts(table))
    np.testing.assert_allclose(vectors, direct, atol=2e-5)
    assert np.linalg.norm(direct[:, None] - direct, axis=-1).max() > 0.1, "rows differ at all"
    assert row_id.tolist() == table["row_id"].to_pylist()
    assert counterfactual == [value or "" for value in table["counterfactual"].to_pylist()]


def test_files_give_what_the_table_gives(model, tmp_path):
    table = cases.rows(50)
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=7)
    from_table = embed(table, model, tmp_path / "a")
    from_file = embed(tmp_path / "rows.parquet", model, tmp_path / "b")
    for left, right in zip(read_embeddings(from_table), read_embeddings(from_file), strict=True):
        assert np.array_equal(left, right)


def _stamps(out: Path) -> dict[str, tuple[int, int]]:
    files = (out / "blocks").glob("[0-9]*.parquet")
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


KILLED = """
import sys
sys.path[:0] = sys.argv[1].split(":")
import torch; torch.set_num_threads(1)
from pathlib import Path
import streaming_cases as cases
from equiray.specs.run import LanguageModelSpec, StreamingSpec
from equiray.streaming.embed import embed_table
spec = LanguageModelSpec(source=sys.argv[2], dtype="float32")
streaming = StreamingSpec(mode="local", rows_per_block=8)
embed_table(cases.rows(800), cases.serializer(), spec, None, Path(sys.argv[3]), streaming, label="people")
"""


def test_a_killed_run_goes_on_and_computes_no_finished_block_again(model, tmp_path):
    out, paths = tmp_path / "killed", ":".join(path for path in sys.path if path)
    command = [sys.executable, "-c", KILLED, paths, model.source, str(out)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while len(_stamps(out)) < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    before = _stamps(out)
    assert 3 <= len(before) < 100, "it was killed in the middle"
    streaming = StreamingSpec(mode="local", rows_per_block=8)
    embed(cases.rows(800), model, out, streaming)
    after = _stamps(out)
    assert len(after) == 100
    assert {name: after[name] for name in before} == before, "finished blocks are the same files"
    whole = embed(cases.rows(800), model, tmp_path / "whole", streaming)
    for name in after:
        assert (out / "blocks" / name).read_bytes() == (whole / "blocks" / name).read_bytes()
    assert not list(out.rglob("*.tmp"))


def test_a_broken_block_alone_is_made_again(model, tmp_path, caplog):
    out = embed(cases.rows(40), model, tmp_path / "out")
    before, intact = _stamps(out), read_embeddings(out)
    broken = sorted((out / "blocks").iterdir())[1]
    os.truncate(broken, broken.stat().st_size - 5)
    assert np.array_equal(read_embeddings(embed(cases.rows(40), model, out)).vectors, intact.vectors)
    assert [name for name, stamp in _stamps(out).items() if stamp != before[name]] == [broken.name]
    assert broken.name in caplog.text


@pytest.mark.parametrize("other", ["rows", "pooling", "serializer"])
def test_another_job_may_not_go_on_there(model, tmp_path, other):
    out = embed(cases.rows(20), model, tmp_path / "out")
    table, spec, texts = cases.rows(20), model, cases.serializer()
    if other == "rows":
        table = cases.rows(21).slice(1)
    elif other == "pooling":
        spec = model.model_copy(update={"pooling": "last"})
    else:
        texts = type(texts)(**{**vars(texts), "order": texts.order[::-1]})
    with pytest.raises(BadInput, match="made from another") as error:
        embed_table(table, texts, spec, None, out, LOCAL, label="people")
    named = {"rows": "input_sha256", "pooling": "embedder", "serializer": "texts_sha256"}[other]
    assert named in error.value.problem


def test_a_missing_adapter_is_named(model, tmp_path):
    with pytest.raises(BadInput, match="adapter") as error:
        embed_table(cases.rows(5), cases.serializer(), model, tmp_path / "none", tmp_path / "out", LOCAL, label="x")
    assert str(tmp_path / "none") in error.value.place


def test_a_vector_that_is_not_finite_is_never_written(tmp_path):
    with pytest.raises(BadInput, match="NaN or infinite") as error:
        embed_source(
            TableSource.of(cases.rows(20)),
            cases.serializer(),
            cases.StandIn(trouble="nan"),
            tmp_path / "out",
            LOCAL,
            label="people",
        )
    assert "row_id 15" in error.value.place
    assert not list((tmp_path / "out" / "blocks").iterdir())


def test_the_counter_that_travels_holds_no_model():
    lm = tiny_models.tiny("llama", bos=True)
    counter = TokenCounter(tokenizer=lm.tokenizer)
    texts = ["The age is 39 .", "Male"]
    assert counter(texts) == [6, 2] and counter([]) == []
    weights = 4 * lm.parameters
    assert len(pickle.dumps(counter)) < weights / 2


def test_the_serializers_hash_follows_what_it_writes():
    same, other = cases.serializer(), cases.serializer()
    assert serializer_sha256(same) == serializer_sha256(other)
    other = type(same)(**{**vars(same), "template": "list"})
    assert serializer_sha256(same) != serializer_sha256(other)


def test_progress_tells_speed_and_time_left(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("equiray.streaming.progress.time.monotonic", lambda: now[0])
    out = io.StringIO()
    with RowProgress("adult", total=1000, done=200, console=Console(file=out, width=200)) as progress:
        assert "200 of 1,000 rows, 200 of them found finished" in progress.figures()
        now[0] += 50  # loading the model and a first block
        progress.advance(100, 9000)
        assert "2.0 rows/s, 180 tokens/s, 5 min 50 s left" in progress.figures()
        now[0] += 10
        progress.advance(100, 9000)
        assert "400 of 1,000 rows, 10.0 rows/s, 900 tokens/s, 1 min 0 s left" in progress.figures()
        now[0] += 4
        progress.show()
    lines = out.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == ["adult"] * 2, "one line at 50 s and one at the end"
