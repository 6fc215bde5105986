"""Killed and filled up under load: whoever got an answer finds it in the log, once, and service comes back."""

import resource
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from equiray.serving.audit import AuditLog
from equiray.serving.audit.keys import ensure_key
from served import Server, running, small_bundle, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
CLIENTS = 4
ROWS = [{"income": 1.5, "sex": "female"}, {"income": 3.25, "sex": "male"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("killed")
    with running(small_bundle(folder), folder) as started:
        yield started


class Load:
    """Clients that ask, and ask again under the same idempotency key until they are answered."""

    def __init__(self, server: Server) -> None:
        self._url, self._server = server.url, server
        self._headers = {"Authorization": f"Bearer {server.secret('decide')}"}
        self.answers: dict[str, dict[str, Any]] = {}
        self.refused: Counter[int] = Counter()
        self.cut = 0
        self.wrong: list[str] = []
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        self.more(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def more(self, answers: int, seconds: float = 180) -> None:
        """Wait until so many more requests are answered."""
        goal = len(self.answers) + answers
        until(lambda: len(self.answers) >= goal, f"{answers} more answers", seconds)

    def _ask(self, number: int) -> None:
        count = 0
        while not self._enough.is_set():
            count += 1
            name = f"{number}.{count}"
            while name not in self.answers and not self._enough.is_set():
                self._try(name)

    def _try(self, name: str) -> None:
        body = {"task": "people", "rows": ROWS, "idempotency_key": f"{id(self)}.{name}"}
        try:
            answer = httpx.post(f"{self._url}/v1/decisions", json=body, headers=self._headers, timeout=60)
        except httpx.HTTPError:
            self.cut += 1
            time.sleep(0.1)
            return
        if answer.status_code == 200:
            self.answers[name] = answer.json()
            return
        self.refused[answer.status_code] += 1
        if answer.status_code != 503 or "retry-after" not in answer.headers or set(answer.json()) != {"error"}:
            self.wrong.append(f"{answer.status_code} {answer.headers} {answer.text[:300]}")
        time.sleep(0.1)

    def check(self) -> None:
        """Every answer is a record, every record of these clients one of a kind, and the log verifies."""
        assert self.wrong == []
        log = AuditLog.open(self._server.audit["store"], key=ensure_key("audit", Path(self._server.audit["secrets"])))
        there: list[Any] = []
        while found := log.records(after=there[-1].seq if there else 0):
            there += found
        log.close()
        ours = {each.idempotency_key: each for each in there if str(each.idempotency_key).startswith(f"{id(self)}.")}
        assert sum(str(each.idempotency_key).startswith(f"{id(self)}.") for each in there) == len(ours)
        assert len({each.record_id for each in there}) == len(there)
        for name, answer in self.answers.items():
            record = ours[f"{id(self)}.{name}"]
            assert (record.record_id, record.model_version) == (answer["id"], answer["model_version"])
            assert record.body["decisions"] == answer["decisions"]
        assert 0 <= len(ours) - len(self.answers) <= CLIENTS, "what was recorded and not told: one for each client"
        found = self._server.verify()
        assert found.problems == () and found.length == len(there)
        print(f"{len(self.answers)} answers, {dict(self.refused)} refused, {self.cut} cut off")


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
