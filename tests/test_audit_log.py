"""What is appended to the audit log is there, once, in one order, and a key's second use is answered with the first."""

import hmac
import json
import stat
import threading
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text

from audit_logs import KEY, behind_its_back, change, decision, filled, url_in
from equiray.errors import BadInput
from equiray.serving.audit import AuditLog, IdempotencyConflict, LogNotWritable, new_record_id, verify_log

CIRCLE: dict = {}
CIRCLE["itself"] = CIRCLE


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_in(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres").new_schema()


def test_records_come_back_as_they_were_written(url: str):
    written = filled(url, 5)
    log = AuditLog.open(url, key=KEY)
    assert log.records() == written
    assert log.records(after=2, limit=2) == written[2:4]
    assert log.records(key_id="nobody") == [] and log.records(kinds=["chat", "admin"]) == []
    assert log.records(key_id="k1", kinds=["decision"]) == written
    assert log.by_id(written[3].record_id) == written[3] and log.by_id("none") is None
    assert log.head() == (5, written[-1].mac)
    assert [record.seq for record in written] == [1, 2, 3, 4, 5]
    log.close()


def test_a_mac_by_the_standard_librarys_json(url: str):
    filled(url, 3)
    with behind_its_back(url) as connection:
        rows = connection.execute(text("SELECT * FROM audit_records ORDER BY seq")).mappings().all()
        beside = connection.execute(text("SELECT salt, payload FROM audit_payloads ORDER BY seq")).all()
        prev = connection.execute(text("SELECT log_id FROM audit_head")).scalar_one()
    for row, (salt, payload) in zip(rows, beside, strict=True):
        whole = {**row, "body": json.loads(row["body"])}
        mac = whole.pop("mac")
        message = json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()
        assert mac == hmac.new(KEY, message, sha256).hexdigest()
        assert row["prev"] == prev
        assert row["commitment"] == hmac.new(salt.encode(), payload.encode(), sha256).hexdigest()
        assert json.dumps(json.loads(payload), sort_keys=True, separators=(",", ":")) == payload
        prev = mac


def test_equal_payloads_do_not_look_equal(url: str):
    log = AuditLog.open(url, key=KEY)
    one, other = (log.append(decision(1)).result() for _ in range(2))
    log.close()
    assert one.payload == other.payload and one.commitment != other.commitment
    with behind_its_back(url) as connection:
        salts = connection.execute(text("SELECT salt FROM audit_payloads")).scalars().all()
    assert len(set(salts)) == 2 and all(len(salt) == 32 for salt in salts)


def test_an_idempotency_key_returns_the_first_record(url: str):
    log = AuditLog.open(url, key=KEY)
    first = log.append(decision(1, idempotency_key="a", request_sha256="x")).result()
    again = log.append(decision(2, idempotency_key="a", request_sha256="x")).result()
    assert not first.repeated and again.repeated
    assert (again.seq, again.body, again.payload) == (first.seq, first.body, first.payload)
    with pytest.raises(IdempotencyConflict, match="'a' was used for another request"):
        log.append(decision(3, idempotency_key="a", request_sha256="y")).result()
    other_key = log.append(decision(4, idempotency_key="a", request_sha256="y", key_id="k2")).result()
    assert not other_key.repeated and other_key.seq == 2
    assert log.find("k1", "a") == first and log.find("k2", "a") == other_key and log.find("k1", "b") is None
    log.close()


def test_one_idempotency_key_twice_in_one_group(url: str):
    log = AuditLog.open(url, key=KEY)
    with behind_its_back(url) as connection:  # while somebody else has the lock, entries gather
        connection.execute(text("UPDATE audit_head SET length = length"))
        waiting = [log.append(decision(0))]
        waiting += [log.append(decision(n, idempotency_key="a", request_sha256="x" if n else "y")) for n in (1, 2, 0)]
        waiting.append(log.append(decision(9)))
        assert not any(future.done() for future in waiting)
    _, first, second, third, last = waiting
    assert second.result(10).repeated and second.result().record_id == first.result().record_id
    assert isinstance(third.exception(10), IdempotencyConflict)
    assert last.result(10).seq == 3
    log.close()


def test_the_same_entry_twice_is_one_record(url: str):
    log = AuditLog.open(url, key=KEY)
    entry = decision(1)
    before, after = decision(0), decision(2)
    written = [log.append(each).result() for each in (entry, before, entry, after)]
    assert [record.seq for record in written] == [1, 2, 1, 3]
    with pytest.raises(BadInput, match="is that of another record"):
        log.append(decision(5, record_id=entry.record_id)).result()
    assert log.append(decision(6)).result().seq == 4
    log.close()
    assert verify_log(url, key=KEY).problems == ()


def test_many_threads_make_one_chain(url: str):
    log = AuditLog.open(url, key=KEY)
    seqs: list[int] = []

    def write(thread: int) -> None:
        for number in range(50):
            seqs.append(log.append(decision(number, key_id=f"k{thread}")).result(30).seq)

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    per_key = Counter(record.key_id for record in log.records())
    log.close()
    assert sorted(seqs) == list(range(1, 401)) and set(per_key.values()) == {50}
    found = verify_log(url, key=KEY)
    assert found.problems == () and found.length == 400


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"body": {"p": float("nan")}}, "no JSON: .*\n  where: audit entry, body"),
        ({"body": {"p": {1, 2}}}, "no JSON: .*set.*\n  where: audit entry, body"),
        ({"body": CIRCLE}, "no JSON: .*recursion.*\n  where: audit entry, body"),
        ({"payload": {"p": b"x"}}, "no JSON: .*bytes.*\n  where: audit entry, payload"),
        ({"key_id": "a\0b"}, "zero character\n  where: audit entry, key_id"),
        ({"idempotency_key": "\ud83d"}, "half a character\n  where: audit entry, idempotency_key"),
        ({"idempotency_key": "x" * 257}, "257 characters\n  where: audit entry, idempotency_key"),
        ({"model_version": None}, "None is no text\n  where: audit entry, model_version"),
        ({"kind": "gossip"}, "'gossip' is no kind\n  where: audit entry, kind"),
    ],
)
def test_an_entry_that_cannot_be_stored_harms_no_other(url: str, named: dict, message: str):
    log = AuditLog.open(url, key=KEY)
    with pytest.raises(BadInput, match=message):
        log.append(decision(1, **named))
    assert log.append(decision(2)).result().seq == 1
    log.close()


def test_any_text_in_a_body_and_a_payload(url: str):
    words = {"zero \0": "\ud83d half", "é": '🎉\n"\\', "": [None, True, 1e300, -0.0, 10**40, 0.1]}
    log = AuditLog.open(url, key=KEY)
    log.append(decision(1, body=words, payload=words)).result()
    record = log.records()[0]
    log.close()
    assert record.body == words and record.payload == words
    assert verify_log(url, key=KEY).problems == ()


def test_what_was_cancelled_before_its_turn_is_not_written(url: str):
    log = AuditLog.open(url, key=KEY)
    with behind_its_back(url) as connection:
        connection.execute(text("UPDATE audit_head SET length = length"))
        running, cancelled = log.append(decision(1)), None
        while not running.running():
            pass
        cancelled = log.append(decision(2))
        assert cancelled.cancel() and not running.cancel()
    assert running.result(10).seq == 1
    assert log.append(decision(3)).result(10).seq == 2
    log.close()


def test_a_closed_log_has_written_what_waited_and_refuses_more(url: str):
    log = AuditLog.open(url, key=KEY)
    waiting = [log.append(decision(number)) for number in range(300)]
    log.close()
    log.close()
    assert all(future.result(0).seq for future in waiting)
    with pytest.raises(LogNotWritable, match="the audit log is closed"):
        log.append(decision(1)).result(0)


def test_another_key_does_not_write(url: str):
    filled(url, 2)
    with pytest.raises(BadInput, match="started with another key"):
        AuditLog.open(url, key=b"another key, as long as the first one")


def test_nobody_else_may_read_the_files(tmp_path: Path):
    log = AuditLog.open(url_in(tmp_path), key=KEY)
    log.append(decision(1)).result()
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    log.close()
    assert files == dict.fromkeys(("audit.db", "audit.db-wal", "audit.db-shm"), 0o600)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("audit.db", "no database URL"),
        ("mysql://host/db", "'mysql' is not supported"),
        ("sqlite://", "a log in memory"),
        ("sqlite:///:memory:", "a log in memory"),
    ],
)
def test_a_wrong_url(wrong: str, message: str):
    with pytest.raises(BadInput, match=message):
        AuditLog.open(wrong, key=KEY)
    with pytest.raises(BadInput, match=message):
        verify_log(wrong, key=KEY)


def test_ids_are_uuids_of_version_7_in_the_order_of_time():
    ids = [new_record_id() for _ in range(1000)]
    assert len(set(ids)) == 1000 and [one[:13] for one in ids] == sorted(one[:13] for one in ids)
    assert all(one[14] == "7" and one[19] in "89ab" and len(one) == 36 for one in ids)


def test_an_older_copy_put_in_place_is_not_written_to(url: str):
    log = AuditLog.open(url, key=KEY)
    for number in range(4):
        log.append(decision(number)).result()
    change(url, "DELETE FROM audit_payloads WHERE seq > 2", "DELETE FROM audit_records WHERE seq > 2")
    change(url, "UPDATE audit_head SET length = 2, mac = (SELECT mac FROM audit_records WHERE seq = 2)")
    with pytest.raises(LogNotWritable, match="ends at record 2, and ended at 4 before"):
        log.append(decision(5)).result()
    log.close()
