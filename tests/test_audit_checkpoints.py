"""Checkpoints come when they are due, never go backwards, and their place's trouble stops no answers."""

import fcntl
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_logs import CHECKPOINT_KEY, KEY, decision, filled, url_in
from equiray.errors import BadInput
from equiray.serving.audit import AuditLog, verify_log
from equiray.serving.audit.checkpoints import FILE
from equiray.serving.audit.keys import VARIABLES, ensure_key, load_key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere"


def opened(tmp_path: Path, **settings) -> AuditLog:
    named = {"checkpoints": tmp_path / "elsewhere", "checkpoint_key": CHECKPOINT_KEY, **settings}
    return AuditLog.open(url_in(tmp_path), key=KEY, **named)


def lengths(folder: Path) -> list[int]:
    return [json.loads(line)["length"] for line in (folder / FILE).read_text().splitlines()]


def signed_length(log: AuditLog) -> int:
    last = log.status().checkpoint
    assert last is not None
    return last.length


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def test_after_so_many_records(tmp_path: Path, folder: Path):
    log = opened(tmp_path, checkpoint_records=10)
    for number in range(25):
        log.append(decision(number)).result()
        until(lambda: signed_length(log) >= log.head().length // 10 * 10)
    signed = lengths(folder)
    log.close()
    assert signed == [0, 10, 20] and lengths(folder) == [0, 10, 20, 25]


def test_after_so_many_seconds_where_there_is_something_new(tmp_path: Path, folder: Path):
    log = opened(tmp_path, checkpoint_seconds=0.4)
    log.append(decision(1)).result()
    until(lambda: lengths(folder) == [0, 1])
    time.sleep(1)
    assert lengths(folder) == [0, 1]
    log.append(decision(2)).result()
    until(lambda: lengths(folder) == [0, 1, 2])
    log.close()
    assert lengths(folder) == [0, 1, 2]


def test_several_writers_keep_one_ascending_line(tmp_path: Path, folder: Path):
    logs = [opened(tmp_path, checkpoint_records=7) for _ in range(4)]

    def write(log: AuditLog) -> None:
        for number in range(40):
            log.append(decision(number)).result(60)

    threads = [threading.Thread(target=write, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for log in logs:
        log.close()
    assert lengths(folder) == sorted(set(lengths(folder))) and lengths(folder)[-1] == 160
    found = verify_log(url_in(tmp_path), key=KEY, checkpoints=folder, checkpoint_key=CHECKPOINT_KEY)
    assert found.problems == () and found.length == 160 and found.checkpoints == len(lengths(folder)) > 10


def test_a_place_in_trouble_stops_no_answers_and_is_said(tmp_path: Path, folder: Path):
    log = opened(tmp_path, checkpoint_records=2)
    (folder / FILE).rename(folder / "aside")
    (folder / FILE).mkdir()
    for number in range(5):
        log.append(decision(number)).result()
    until(lambda: log.status().checkpoint_problem is not None)
    assert "Is a directory" in str(log.status().checkpoint_problem) and log.status().problem is None
    assert signed_length(log) == 0
    (folder / FILE).rmdir()
    (folder / "aside").rename(folder / FILE)
    log.append(decision(6)).result()
    until(lambda: log.status().checkpoint_problem is None)
    log.close()
    assert lengths(folder)[-1] == 6


def test_somebody_who_keeps_the_files_lock_is_not_waited_for_for_ever(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("equiray.serving.audit.checkpoints._LOCK_WAIT_S", 0.2)
    log = opened(tmp_path, checkpoint_records=1)
    with (folder / FILE).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        log.append(decision(1)).result()
        until(lambda: log.status().checkpoint_problem is not None)
        assert log.append(decision(2)).result(5).seq == 2
    log.close()
    assert lengths(folder) == [0, 2]


def test_an_altered_checkpoint_is_not_built_upon(tmp_path: Path, folder: Path):
    filled(url_in(tmp_path), 3, checkpoints=folder, checkpoint_key=CHECKPOINT_KEY)
    lines = (folder / FILE).read_text()
    (folder / FILE).write_text(lines.replace('"length": 3', '"length": 2'))
    with pytest.raises(BadInput, match="was altered, or signed with another key"):
        opened(tmp_path)
    (folder / FILE).write_text(lines)
    with pytest.raises(BadInput, match="was altered, or signed with another key"):
        opened(tmp_path, checkpoint_key=bytes(32))
    opened(tmp_path).close()


def test_settings_that_cannot_be_used(tmp_path: Path):
    with pytest.raises(BadInput, match="one key for both"):
        opened(tmp_path, checkpoint_key=KEY)
    with pytest.raises(BadInput, match="give both checkpoints and checkpoint_key"):
        opened(tmp_path, checkpoint_key=None)
    with pytest.raises(BadInput, match="checkpoint_key has 5 bytes"):
        opened(tmp_path, checkpoint_key=b"short")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="checkpoints cannot be kept here"):
        opened(tmp_path, checkpoints=tmp_path / "file" / "folder")


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(BadInput, match="no audit key"):
        load_key("audit", tmp_path)
    made: list[bytes] = []
    threads = [threading.Thread(target=lambda: made.append(ensure_key("audit", tmp_path / "keys"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file = tmp_path / "keys" / "audit.key"
    assert len(set(made)) == 1 and len(made) == 8 and len(made[0]) == 32
    assert made[0] == load_key("audit", tmp_path / "keys") == bytes.fromhex(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600 and [path.name for path in file.parent.iterdir()] == ["audit.key"]
    assert ensure_key("checkpoint", tmp_path / "keys") != made[0]
    file.chmod(0o640)
    with pytest.raises(BadInput, match=r"others may read the key \(mode 640\)"):
        load_key("audit", tmp_path / "keys")


def test_keys_in_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EQUIRAY_AUDIT_KEY", KEY.hex())
    assert load_key("audit", tmp_path) == ensure_key("audit", tmp_path) == KEY
    assert list(tmp_path.iterdir()) == []
    for wrong in ("", "xyz", KEY.hex()[:-2]):
        monkeypatch.setenv("EQUIRAY_AUDIT_KEY", wrong)
        with pytest.raises(BadInput, match="no key\n  where: environment variable EQUIRAY_AUDIT_KEY"):
            load_key("audit", tmp_path)
