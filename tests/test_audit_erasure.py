"""Erasure takes payloads away for good, the log says so, and verification still passes."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from audit_logs import KEY, behind_its_back, change, decision, filled, url_in
from equiray.errors import BadInput
from equiray.serving.audit import AuditLog, verify_log
from equiray.serving.audit.retention import AT_ONCE, OPERATOR, erase_key, erase_records, retain
from equiray.serving.audit.runs import common, named, runs_of, union, without


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_in(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres").new_schema()


def with_payloads(log: AuditLog) -> list[int]:
    return [record.seq for record in log.records(limit=10_000) if record.payload is not None]


def test_named_records(url: str):
    written = filled(url, 10)
    log = AuditLog.open(url, key=KEY)
    erased = erase_records(log, [written[seq - 1].record_id for seq in (8, 2, 3, 8)])
    assert (erased.payloads, erased.said_by, erased.overwritten) == (3, (11,), True)
    assert with_payloads(log) == [1, 4, 5, 6, 7, 9, 10]
    after = log.records()
    assert [(record.body, record.mac) for record in after[:10]] == [(record.body, record.mac) for record in written]
    assert after[1].commitment is not None and after[1].payload is None
    assert (after[10].kind, after[10].key_id) == ("admin", OPERATOR)
    assert after[10].body == {"action": "erase", "payloads": 3, "seqs": [[2, 3], [8, 8]]}
    again = erase_records(log, [written[1].record_id])
    assert (again.payloads, again.said_by, log.head().length) == (0, (), 11)
    log.close()
    found = verify_log(url, key=KEY)
    assert (found.problems, found.erased, found.length) == ((), 3, 11)


def test_an_unknown_record_erases_nothing(url: str):
    written = filled(url, 3)
    log = AuditLog.open(url, key=KEY)
    with pytest.raises(BadInput, match="1 records are not in the log: nobody"):
        erase_records(log, [written[0].record_id, "nobody"])
    assert with_payloads(log) == [1, 2, 3] and log.head().length == 3
    log.close()


def test_a_keys_payloads_many_at_once(url: str):
    log = AuditLog.open(url, key=KEY)
    waiting = [log.append(decision(n, key_id="k1" if n % 2 else "k2")) for n in range(2 * AT_ONCE + 10)]
    waiting.append(log.append(decision(0, key_id="k1", payload=None)))
    for future in waiting:
        future.result(60)
    erased = erase_key(log, "k1")
    assert erased.payloads == AT_ONCE + 5 and len(erased.said_by) == 2
    assert {record.key_id for record in log.records(limit=10_000) if record.payload is not None} == {"k2"}
    assert erase_key(log, "nobody").payloads == 0
    log.close()
    found = verify_log(url, key=KEY)
    assert found.problems == () and found.erased == AT_ONCE + 5


def test_after_some_days(url: str):
    filled(url, 10)
    log = AuditLog.open(url, key=KEY)
    middle = log.records()[-1].at
    log.append(decision(11)).result()
    assert retain(log, 1).payloads == 0 and log.head().length == 11
    erased = retain(log, 30, now=datetime.fromisoformat(middle) + timedelta(days=30, microseconds=1))
    assert erased.payloads == 10 and with_payloads(log) == [11]
    said = log.records()[-1].body
    assert said["action"] == "retain" and said["days"] == 30 and said["seqs"] == [[1, 10]]
    assert datetime.fromisoformat(said["before"]) == datetime.fromisoformat(middle) + timedelta(microseconds=1)
    assert retain(log, 0, now=datetime.now(UTC) + timedelta(days=1)).payloads == 1
    for days in (-1, float("nan")):
        with pytest.raises(BadInput, match="give 0 or more"):
            retain(log, days)
    log.close()
    found = verify_log(url, key=KEY)
    assert found.problems == () and found.erased == 11


def test_a_payload_that_comes_back_is_found(url: str):
    filled(url, 5)
    with behind_its_back(url) as connection:
        kept = dict(connection.execute(text("SELECT * FROM audit_payloads WHERE seq = 2")).mappings().one())
    log = AuditLog.open(url, key=KEY)
    erase_key(log, "k1")
    log.close()
    with behind_its_back(url) as connection:
        connection.execute(text("INSERT INTO audit_payloads VALUES (:seq, :salt, :payload)"), kept)
    (problem,) = verify_log(url, key=KEY).problems
    assert problem.message == "payloads of record 2: there, though a record says that they were erased"


def test_somebody_elses_word_erases_nothing(url: str):
    """An admin record without a fitting mac, or one that is older than the payload, explains nothing."""
    log = AuditLog.open(url, key=KEY)
    log.append(decision(1, kind="admin", body={"action": "erase", "seqs": [[1, 9]]}, payload=None)).result()
    for number in range(4):
        log.append(decision(number)).result()
    log.append(decision(6, kind="admin", body={"action": "note"}, payload=None)).result()
    log.close()
    change(url, "DELETE FROM audit_payloads WHERE seq = 3")
    change(url, """UPDATE audit_records SET body = '{"action":"erase","seqs":[[3,3]]}' WHERE seq = 6""")
    found = verify_log(url, key=KEY)
    assert [problem.message for problem in found.problems] == [
        "record 6 is not what was written",
        "payloads of record 3: gone, and no record says that they were erased",
    ]
    assert found.erased == 0


def test_nothing_of_an_erased_payload_stays_in_sqlites_files(tmp_path: Path):
    url, secret = url_in(tmp_path), "nowhere-any-more"
    log = AuditLog.open(url, key=KEY)
    for number in range(20):
        log.append(decision(number, payload={"rows": [f"{secret} {number} {'x' * 6000}"]})).result()
    before = b"".join(file.read_bytes() for file in tmp_path.glob("audit.db*"))
    assert secret.encode() in before
    assert erase_key(log, "k1").overwritten
    log.append(decision(1, payload=None)).result()
    after = b"".join(file.read_bytes() for file in tmp_path.glob("audit.db*"))
    log.close()
    assert secret.encode() not in after


def test_a_reader_that_keeps_old_pages_is_said(tmp_path: Path):
    url = url_in(tmp_path)
    filled(url, 20)
    log = AuditLog.open(url, key=KEY)
    reader = sqlite3.connect(tmp_path / "audit.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT COUNT(*) FROM audit_payloads").fetchone()
    assert not erase_key(log, "k1").overwritten
    reader.close()
    assert log.scrub()
    log.close()


def test_runs_are_sets():
    evens, threes = set(range(0, 60, 2)), {n for n in range(60) if n % 3 == 0 or 20 < n < 30}

    def members(runs: list[list[int]]) -> set[int]:
        return {n for first, last in runs for n in range(first, last + 1)}

    for ours in (evens, threes, set(), {5}, set(range(60))):
        for theirs in (evens, threes, set(), {5}, {0, 59}, set(range(60))):
            one, other = runs_of(sorted(ours)), runs_of(sorted(theirs))
            assert members(one) == ours
            assert common(one, other) == runs_of(sorted(ours & theirs))
            assert without(one, other) == runs_of(sorted(ours - theirs))
            assert union([*one, *other]) == runs_of(sorted(ours | theirs))
    assert named([[5, 5]]) == "record 5"
    assert named([[1, 2], [4, 4], [1000, 2000]]) == "records 1 to 2, 4 and 1,000 to 2,000"
    assert named([[n, n] for n in range(0, 18, 2)]) == "records 0, 2, 4, 6, 8, 10 and 3 more"
