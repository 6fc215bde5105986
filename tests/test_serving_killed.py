"""Killed and filled up under load: whoever got an answer finds it in the log, once, and service comes back."""

import resource
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from served import ROLES, Server, running, small_bundle, until
from served_load import CLIENTS, ROWS, Load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("killed")
    with running(small_bundle(folder), folder) as started:
        yield started


@pytest.mark.parametrize("role", ["gateway", "decider", "watch", "proxy"])
def test_kill_9_under_load(server: Server, role: str):
    before = set(server.pids(role))
    with Load(server) as load:
        server.kill_9(role)
        until(lambda: set(server.pids(role)) - before, f"another {role} runs", 180)
        server.wait_until_ready(180)
        load.more(20)
    load.check()


def test_the_monitor_goes_on_where_it_was_killed(server: Server):
    with server.client("decide", "audit") as client:

        def seen() -> int:
            answer = client.get("/v1/fairness")
            return answer.json()["audit"]["length"] if answer.status_code == 200 else -1

        until(lambda: seen() == server.verify().length, "the monitor has read the log")
        server.kill_9("watch")
        client.post("/v1/decisions", json={"task": "people", "rows": ROWS}).raise_for_status()
        until(lambda: seen() == server.verify().length, "the next one has read it all", 180)
        (version,) = client.get("/v1/fairness").json()["versions"]
        assert version["decisions"] == len(ROWS) * server.verify().length


def test_a_full_disk(server: Server):
    (pid,) = server.pids("gateway")
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    with Load(server) as load:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))  # no file of its grows: as on a full disk
        try:
            until(lambda: load.refused[503] >= CLIENTS, "requests are refused")
            stalled = len(load.answers)
            time.sleep(1)
            assert len(load.answers) == stalled, "nothing is answered that nobody keeps"
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
        load.more(20)
    assert server.pids("gateway") == [pid]
    load.check()


def test_a_store_that_cannot_be_written(server: Server, tmp_path: Path):
    file = Path(server.audit["store"].removeprefix("sqlite:///"))
    parts = [each for each in file.parent.iterdir() if each.name.startswith(file.name)]
    with Load(server) as load:
        for each in parts:
            shutil.move(each, tmp_path / each.name)
        file.mkdir()  # no file can be opened there, whoever asks
        try:
            until(lambda: load.refused[503] >= CLIENTS, "requests are refused")
            time.sleep(1)
            stalled = len(load.answers)
            time.sleep(1)
            assert len(load.answers) == stalled
        finally:
            file.rmdir()
            for each in parts:
                shutil.move(tmp_path / each.name, each)
        load.more(20)
    load.check()


def test_sigterm_ends_the_service_as_ctrl_c_does(server: Server):
    """The last of them: nothing runs after it."""
    started = [pid for role in ROLES for pid in server.pids(role)]
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=120) == 130
    until(lambda: not any(psutil.pid_exists(pid) for pid in started), "every replica is gone")
    said = server.log.read_text()
    assert "Traceback" not in said and "SIGTERM received" not in said
    assert server.verify().problems == ()
