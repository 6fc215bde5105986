"""Whoever is killed, and whatever fails: every acknowledged record is there once, and the chain verifies."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from audit_logs import CHECKPOINT_KEY, KEY, behind_its_back, decision, filled, url_in
from equiray.serving.audit import AuditLog, LogNotReadable, LogNotWritable, Record, verify_log
from equiray.serving.audit.database import Database, lock_head
from postgres import KILL_ALL, Postgres
from test_disk_full import full_disk

WRITER = Path(__file__).with_name("audit_writer.py")
THREADS = 4


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_in(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres").new_schema()


class Writers:
    """Processes that write to one log, and what they were told is in it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.acknowledged, self.elsewhere = url, folder / "acknowledged.jsonl", folder / "elsewhere"
        self.acknowledged.touch()
        self._running: list[subprocess.Popen] = []

    def start(self) -> subprocess.Popen:
        name = f"k{len(self._running)}"
        arguments = [str(WRITER), self.url, str(self.acknowledged), str(THREADS), name, str(self.elsewhere)]
        path = os.pathsep.join([str(WRITER.parent), os.environ.get("PYTHONPATH", "")])
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        self._running.append(process)
        return process

    def count(self) -> int:
        return self.acknowledged.read_bytes().count(b"\n")

    def more(self, records: int, seconds: float = 60) -> None:
        """Wait until so many more are acknowledged."""
        goal, end = self.count() + records, time.monotonic() + seconds
        while self.count() < goal:
            assert time.monotonic() < end, f"{goal - self.count()} records never came"
            time.sleep(0.01)

    def stop(self) -> int:
        """End those that run; how many entries were refused."""
        alive = [process for process in self._running if process.poll() is None]
        for process in alive:
            wait_for(process)
            process.send_signal(signal.SIGTERM)
        said = [process.communicate(timeout=60)[0] for process in alive]
        assert all(process.returncode == 0 for process in alive)
        return sum(sum(json.loads(each).values()) for each in said)

    def kill(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()

    def check(self) -> int:
        """Every acknowledged record is in its place, once; how many there are in the log."""
        told = [json.loads(line) for line in self.acknowledged.read_text().splitlines()]
        assert len({record_id for _, record_id, _ in told}) == len({seq for seq, _, _ in told}) == len(told)
        log = AuditLog.open(self.url, key=KEY)
        there = {record.seq: record for record in log.records(limit=10**6)}
        log.close()
        assert [(there[seq].record_id, there[seq].mac) for seq, _, _ in told] == [(one, mac) for _, one, mac in told]
        assert len({(each.key_id, each.idempotency_key) for each in there.values()}) == len(there)
        found = verify_log(self.url, key=KEY, checkpoints=self.elsewhere, checkpoint_key=CHECKPOINT_KEY)
        assert found.problems == () and found.length == len(there) == max(there) and found.checkpoints > 1
        return len(there) - len(told)


def wait_for(process: subprocess.Popen) -> None:
    """Until it writes."""
    assert process.stdout is not None and process.stdout.readline() == "writing\n"


@pytest.fixture
def writers(url: str, tmp_path: Path) -> Iterator[Writers]:
    made = Writers(url, tmp_path)
    yield made
    made.kill()


def test_kill_9_of_three_processes_under_load(writers: Writers):
    rng = random.Random(7)
    running = [writers.start() for _ in range(3)]
    for _ in range(3):
        writers.more(60)
        victim = running.pop(rng.randrange(2))
        wait_for(victim)
        time.sleep(rng.random() * 0.05)
        victim.kill()
        victim.wait()
        running.append(writers.start())
    writers.more(60)
    assert writers.stop() == 0
    # What was committed and not yet told, by those that were killed: at most what each had in flight.
    assert 0 <= writers.check() <= 3 * THREADS


def test_postgres_stopped_at_once_under_load_and_started_again(postgres: Postgres, tmp_path: Path):
    writers = Writers(postgres.new_schema(), tmp_path)
    try:
        for _ in range(2):
            writers.start()
        for _ in range(2):
            writers.more(60)
            postgres.stop("immediate")
            try:
                time.sleep(0.5)
                stalled = writers.count()
                time.sleep(0.2)
                assert writers.count() == stalled  # nothing is acknowledged that nobody keeps
            finally:
                postgres.start()
        writers.more(60)
        assert writers.stop() > 0
        assert writers.check() >= 0
    finally:
        writers.kill()


def test_postgres_backends_killed_under_load(postgres: Postgres, tmp_path: Path):
    url = postgres.new_schema()
    writers = Writers(url, tmp_path)
    try:
        for _ in range(2):
            writers.start()
        writers.more(30)
        with psycopg.connect(url, autocommit=True) as connection:
            for _ in range(20):
                connection.execute(KILL_ALL)
                writers.more(5)
        writers.stop()
        assert writers.check() >= 0
    finally:
        writers.kill()


class Cable:
    """A way to PostgreSQL that can break just after a COMMIT has gone through, before anybody hears of it."""

    def __init__(self, port: int) -> None:
        self._port, self._listener = port, socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.breaks_at_commit = False
        self.broken = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            far = socket.create_connection(("127.0.0.1", self._port))
            for one, other, forth in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._carry, args=(one, other, forth), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, forth: bool) -> None:
        try:
            while data := one.recv(65536):
                if forth and self.breaks_at_commit and b"COMMIT\0" in data:
                    self.breaks_at_commit, self.broken = False, self.broken + 1
                    one.shutdown(socket.SHUT_RDWR)  # the answer finds nobody
                other.sendall(data)
        except OSError:
            pass
        finally:
            time.sleep(0.2)  # the server has done it before it sees that we are gone
            other.close()


def test_a_commit_whose_answer_was_lost_is_one_record(postgres: Postgres):
    url = postgres.new_schema()
    cable = Cable(postgres.port)
    log = AuditLog.open(url.replace(str(postgres.port), str(cable.port)), key=KEY)
    first = log.append(decision(1)).result(10)
    cable.breaks_at_commit = True
    second = log.append(decision(2)).result(10)
    third = log.append(decision(3)).result(10)
    log.close()
    assert cable.broken == 1
    assert [record.seq for record in (first, second, third)] == [1, 2, 3] and not second.repeated
    found = verify_log(url, key=KEY)
    assert found.problems == () and found.length == 3


def refused(future: "Future[Record]", said: str) -> None:
    with pytest.raises(LogNotWritable, match=said):
        future.result(20)


def recovers(log: AuditLog, url: str, length: int) -> None:
    """The same log writes again, with nothing of what was refused in between."""
    assert log.append(decision(1)).result(20).seq == length + 1
    assert log.status().problem is None
    log.close()
    found = verify_log(url, key=KEY)
    assert found.problems == () and found.length == length + 1


def test_a_full_disk(tmp_path: Path):
    url = url_in(tmp_path)
    log = AuditLog.open(url, key=KEY)
    for number in range(20):
        log.append(decision(number)).result()
    big = {"rows": ["x" * 3000]}
    with full_disk():
        waiting = [log.append(decision(number, payload=big)) for number in range(30)]
        for future in waiting:
            refused(future, "the audit log cannot be written: .*(disk|full)")
        assert "cannot be written" in str(log.status().problem)
        assert len(log.records()) == 20  # what is there can be read
    recovers(log, url, 20)


def test_a_disk_that_fills_up(tmp_path: Path):
    """A real file system without a byte left, where this process may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        subprocess.run(mounting, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small file system can be mounted here: {error}")
    try:
        url = url_in(disk)
        log = AuditLog.open(url, key=KEY)
        (disk / "ballast").write_bytes(bytes(300_000))
        futures = (log.append(decision(number, payload={"rows": ["x" * 3000]})) for number in range(1000))
        failed = next(future for future in futures if future.exception(20) is not None)
        refused(failed, "the audit log cannot be written: .*(full|disk I/O)")
        written = log.head().length
        assert 10 < written < 999
        (disk / "ballast").unlink()
        recovers(log, url, written)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_lock_that_is_held_too_long(url: str):
    log = AuditLog.open(url, key=KEY, lock_wait_s=0.5)
    log.append(decision(1)).result()
    with behind_its_back(url) as connection:
        connection.execute(text("UPDATE audit_head SET length = length"))
        begun = time.monotonic()
        waiting = [log.append(decision(number)) for number in range(10)]
        for future in waiting:
            refused(future, "the audit log cannot be written: .*lock")
        assert 0.4 < time.monotonic() - begun < 3
        assert len(log.records()) == 1
    recovers(log, url, 1)


def test_a_writer_that_is_frozen_with_the_lock_loses_it(postgres: Postgres):
    url = postgres.new_schema()
    filled(url, 1)
    frozen = Database(url, lock_wait_s=0.3)
    log = AuditLog.open(url, key=KEY, lock_wait_s=10)
    connection = frozen.connect()
    connection.begin()
    lock_head(connection)
    assert log.append(decision(2)).result(9).seq == 2
    with pytest.raises(DBAPIError, match=r"idle-in-transaction|terminat|closed"):
        lock_head(connection)
    recovers(log, url, 2)


def test_a_database_that_is_gone(postgres: Postgres):
    url = postgres.new_schema()
    log = AuditLog.open(url, key=KEY)
    log.append(decision(1)).result()
    postgres.stop("immediate")
    try:
        begun = time.monotonic()
        for future in [log.append(decision(number)) for number in range(10)]:
            refused(future, "the audit log cannot be written: ")
        with pytest.raises(LogNotReadable, match="the audit log cannot be read: "):
            log.find("k1", "a")
        with pytest.raises(LogNotWritable, match="the audit log cannot be opened: "):
            AuditLog.open(url, key=KEY)
        assert time.monotonic() - begun < 5
    finally:
        postgres.start()
    assert log.find("k1", "a") is None
    recovers(log, url, 1)


def test_a_database_that_is_read_only(postgres: Postgres):
    url = postgres.new_database()
    log = AuditLog.open(url, key=KEY)
    log.append(decision(1)).result()
    name = url.rpartition("/")[2]

    def read_only(state: str) -> None:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {state}".encode())
            connection.execute(b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    read_only("on")
    for number in range(3):
        refused(log.append(decision(number)), "the audit log cannot be written: cannot execute .* in a read-only")
    read_only("off")
    recovers(log, url, 1)


def removed(file: Path) -> None:
    file.unlink()


def replaced_by_a_copy(file: Path) -> None:
    file.with_name("copy").write_bytes(file.read_bytes())
    file.with_name("copy").rename(file)


@pytest.mark.parametrize("meddle", [removed, replaced_by_a_copy])
@pytest.mark.parametrize("which", ["audit.db", "audit.db-wal"])
def test_a_file_that_was_taken_away_is_not_written_to(tmp_path: Path, meddle: Callable[[Path], None], which: str):
    log = AuditLog.open(url_in(tmp_path), key=KEY)
    log.append(decision(1)).result()
    meddle(tmp_path / which)
    refused(log.append(decision(2)), "file was removed, or another one put in its place|No such file")
    log.close()
