"""Where trials leave what they made: a folder, and an object store behind S3's own protocol."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from equiray.errors import BadInput, Incomplete
from equiray.search.storage import Storage


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A moto server in a process of its own; gives the URI of a bucket, keys in the environment."""
    pytest.importorskip("moto", reason="moto, the S3 server of the tests, is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    log = (tmp_path_factory.mktemp("s3") / "log").open("w+")
    server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 120
        while not answers(f"http://127.0.0.1:{port}/moto-api/"):
            assert server.poll() is None and time.monotonic() < until, Path(log.name).read_text()
            time.sleep(0.1)
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/shared", method="PUT")).close()
        with pytest.MonkeyPatch.context() as patch:
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                patch.setenv(name, "tests")
            patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            yield f"s3://shared/sweeps/one?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    finally:
        server.terminate()
        server.wait(timeout=30)


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


@pytest.fixture(params=["folder", "file URI", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        return Storage(request.getfixturevalue("s3"))
    return Storage(str(tmp_path / "kept") if request.param == "folder" else f"file://{tmp_path / 'kept'}")


def leave(folder: Path) -> None:
    (folder / "adapter" / "deep").mkdir(parents=True)
    (folder / "adapter" / "deep" / "weights").write_bytes(bytes(range(256)) * 40)
    (folder / "outcome.json").write_text("{}")


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_a_trial_leaves_is_there_for_the_next(storage: Storage):
    storage.open()
    storage.check()
    with storage.folder("trials/trial7") as folder:
        assert files(folder) == {}
        leave(folder)
        before = files(folder)
    assert set(before) == {"adapter/deep/weights", "outcome.json"}
    with storage.folder("trials/trial7") as folder:
        assert files(folder) == before
        (folder / "outcome.json").write_text('{"more": 1}')
    with storage.folder("trials/trial7") as folder:
        assert files(folder) == before | {"outcome.json": b'{"more": 1}'}
    with storage.folder("trials/trial77") as folder:
        assert files(folder) == {}
    storage.remove("trials/trial7")
    storage.remove("trials/never")
    with storage.folder("trials/trial7") as folder:
        assert files(folder) == {}


def test_a_place_that_nobody_opened_is_not_seen(storage: Storage):
    elsewhere = Storage(storage.place.replace("/kept", "/other").replace("/one?", "/other?"))
    with pytest.raises(BadInput, match="does not see what the others write"):
        elsewhere.check()


def test_a_trial_that_is_killed_leaves_a_store_as_it_was_and_a_folder_with_what_it_had(storage: Storage):
    storage.open()
    for name in ("kept", "half"):
        with storage.folder(f"killed/{name}") as folder:
            (folder / "first").write_text("1")
    with pytest.raises(IsADirectoryError), storage.folder("killed/half") as folder:  # noqa: PT012
        (folder / "second").write_text("2")
        folder.read_text()
    with storage.folder("killed/half") as folder:
        assert set(files(folder)) == ({"first"} if storage.place.startswith("s3") else {"first", "second"})


@pytest.mark.parametrize("place", ["nowhere://bucket", "s3://"])
def test_a_place_of_no_kind_is_refused(place: str):
    with pytest.raises(BadInput, match=f"storage: {place}"):
        Storage(place).open()


def test_a_file_in_the_way_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot write there"):
        Storage(str(tmp_path / "file")).open()


def test_a_store_that_does_not_answer_is_refused_and_one_that_stops_answering_can_be_gone_on_with():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        gone = f"s3://shared/x?endpoint_override={place}&scheme=http&region=us-east-1"
        environment = os.environ | {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1"}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            with pytest.raises(BadInput, match="cannot write there"):
                Storage(gone).open()
            with pytest.raises(BadInput, match="cannot write there"):
                Storage(gone).check()
            with pytest.raises(Incomplete, match="the same command goes on"), Storage(gone).folder("trial0"):
                pass
