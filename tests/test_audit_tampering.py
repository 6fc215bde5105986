"""Whatever somebody changes in the database, by plain SQL, is found; and what cannot be found is said."""

import hmac
import json
import shutil
import sqlite3
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text

from audit_logs import CHECKPOINT_KEY, KEY, behind_its_back, change, decision, filled, url_in
from equiray.errors import BadInput
from equiray.serving.audit import AuditLog, LogNotReadable, Verification, verify_log
from equiray.serving.audit.checkpoints import FILE

RECORDS = 30


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_in(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres").new_schema()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere"


def signed(url: str, folder: Path, count: int = RECORDS) -> None:
    """`count` records more, with a checkpoint at the beginning, one in the middle and one at the end."""
    for part in (count // 2, count - count // 2):
        filled(url, part, checkpoints=folder, checkpoint_key=CHECKPOINT_KEY)


def verified(url: str, folder: Path) -> Verification:
    return verify_log(url, key=KEY, checkpoints=folder, checkpoint_key=CHECKPOINT_KEY)


def changes(found: Verification) -> list[tuple[str, int | None]]:
    return [(problem.change, problem.seq) for problem in found.problems]


def test_nothing_was_changed(url: str, folder: Path):
    signed(url, folder)
    found = verified(url, folder)
    assert found.problems == () and (found.length, found.erased, found.checkpoints) == (RECORDS, 0, 3)
    assert found.unseen == ("both places put back to an earlier moment; or anything, by somebody who has both keys",)
    assert found.last_checkpoint is not None and found.last_checkpoint.length == RECORDS
    blind = verify_log(url, key=KEY)
    assert blind.problems == () and blind.checkpoints == 0 and len(blind.unseen) == 3
    assert all(line.startswith("without checkpoints: ") for line in blind.unseen)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("body", "REPLACE(body, 'credit', 'housing')"),
        ("body", "'{}'"),
        ("body", "''"),
        ("at", "REPLACE(at, '20', '19')"),
        ("kind", "'outcome'"),
        ("key_id", "'k2'"),
        ("model_version", "'v2'"),
        ("record_id", "'another'"),
        ("idempotency_key", "'x'"),
        ("request_sha256", "'x'"),
        ("prev", "mac"),
        ("mac", "prev"),
    ],
)
def test_an_altered_record(url: str, column: str, value: str):
    filled(url, RECORDS)
    change(url, f"UPDATE audit_records SET {column} = {value} WHERE seq = 7")
    found = verify_log(url, key=KEY)
    assert changes(found) == [("altered", 7)] and found.problems[0].message == "record 7 is not what was written"


def test_an_altered_commitment_is_an_altered_record_with_another_payload(url: str):
    filled(url, RECORDS)
    change(url, "UPDATE audit_records SET commitment = mac WHERE seq = 7")
    assert changes(verify_log(url, key=KEY)) == [("altered", 7), ("payload", 7)]
    change(url, "UPDATE audit_records SET commitment = NULL WHERE seq = 8")
    assert changes(verify_log(url, key=KEY)) == [("altered", 7), ("payload", 7)]
    assert verify_log(url, key=KEY).problems[0].message == "records 7 to 8 are not what was written"


def test_many_altered_records_are_one_problem(url: str):
    filled(url, RECORDS)
    change(url, "UPDATE audit_records SET key_id = 'k2' WHERE seq < 5 OR seq = 9 OR seq > 20")
    (problem,) = verify_log(url, key=KEY).problems
    assert problem.message == "records 1 to 4, 9 and 21 to 30 are not what was written"


@pytest.mark.parametrize(("which", "said"), [("= 9", "record 9 is"), ("BETWEEN 9 AND 12", "records 9 to 12 are")])
def test_removed_records(url: str, which: str, said: str):
    filled(url, RECORDS)
    change(url, *(f"DELETE FROM {table} WHERE seq {which}" for table in ("audit_records", "audit_payloads")))
    found = verify_log(url, key=KEY)
    assert changes(found) == [("removed", 9)] and found.problems[0].message == f"{said} missing"


def test_the_first_records_removed(url: str):
    filled(url, RECORDS)
    change(url, *(f"DELETE FROM {table} WHERE seq < 3" for table in ("audit_records", "audit_payloads")))
    assert changes(verify_log(url, key=KEY)) == [("removed", 1)]


def test_records_in_another_order(url: str):
    filled(url, RECORDS)
    change(url, *(f"UPDATE audit_records SET seq = {new} WHERE seq = {old}" for old, new in ((4, 99), (6, 4), (99, 6))))
    found = verify_log(url, key=KEY)
    assert changes(found) == [("reordered", 4), ("reordered", 6), ("payload", 4)]
    assert found.problems[0].message == "record 4 was written as record 6"


def test_a_removed_record_and_the_rest_moved_up(url: str):
    filled(url, RECORDS)
    change(url, "DELETE FROM audit_records WHERE seq = 20", "DELETE FROM audit_payloads WHERE seq = 20")
    for seq in range(21, RECORDS + 1):
        change(url, f"UPDATE audit_records SET seq = {seq - 1} WHERE seq = {seq}")
        change(url, f"UPDATE audit_payloads SET seq = {seq - 1} WHERE seq = {seq}")
    change(url, f"UPDATE audit_head SET length = {RECORDS - 1}")
    assert {problem.change for problem in verify_log(url, key=KEY).problems} <= {"reordered", "altered"}
    assert verify_log(url, key=KEY).problems[0].seq == 20


def test_a_record_put_in(url: str):
    filled(url, RECORDS)
    columns = "record_id, at, kind, key_id, model_version, body, idempotency_key, request_sha256, commitment, prev, mac"
    other = columns.replace("record_id", "'new'", 1).replace("commitment", "NULL")
    change(url, f"INSERT INTO audit_records (seq, {columns}) SELECT 31, {other} FROM audit_records WHERE seq = 30")
    assert changes(verify_log(url, key=KEY)) == [("altered", 31), ("head", None)]
    change(url, f"UPDATE audit_records SET seq = 0 WHERE seq = {RECORDS + 1}")
    assert changes(verify_log(url, key=KEY)) == [("altered", 0)]


def cut(url: str, length: int, *, head: bool = True) -> None:
    change(url, *(f"DELETE FROM {table} WHERE seq > {length}" for table in ("audit_payloads", "audit_records")))
    if head:
        change(
            url,
            f"UPDATE audit_head SET length = {length}, mac = (SELECT MAX(mac) FROM audit_records WHERE seq = {length})",
        )


def test_the_tail_cut(url: str, folder: Path):
    signed(url, folder)
    cut(url, 25, head=False)
    assert changes(verify_log(url, key=KEY)) == [("cut", 26)]
    cut(url, 24)
    blind = verify_log(url, key=KEY)
    assert blind.problems == () and "a tail cut off together with the head row" in blind.unseen[0]
    found = verified(url, folder)
    assert changes(found) == [("cut", 25)]
    assert "the log ends at record 24, and had 30 at 20" in found.problems[0].message


def test_a_tail_younger_than_the_last_checkpoint_is_said_to_be_unseen(url: str, folder: Path):
    signed(url, folder)
    filled(url, 5)
    found = verified(url, folder)
    assert found.problems == () and found.unseen[0].startswith(
        "records 31 to 35, younger than the last checkpoint: cut"
    )
    cut(url, 33)
    found = verified(url, folder)
    assert found.problems == () and found.unseen[0].startswith(
        "records 31 to 33, younger than the last checkpoint: cut"
    )


def written_anew(url: str, first: int) -> None:
    """What somebody who has the chain's key would do: alter a record, and give all that follow new macs."""
    with behind_its_back(url) as connection:
        rows = connection.execute(text("SELECT * FROM audit_records ORDER BY seq")).mappings().all()
        prev = rows[0]["prev"] if first == 1 else rows[first - 2]["mac"]
        for row in rows[first - 1 :]:
            whole = {**row, "prev": prev, "body": {**json.loads(row["body"]), "task": "invented"}}
            del whole["mac"]
            message = json.dumps(whole, sort_keys=True, separators=(",", ":"))
            values = {
                "body": json.dumps(whole["body"], sort_keys=True, separators=(",", ":")),
                "prev": prev,
                "mac": (prev := hmac.new(KEY, message.encode(), sha256).hexdigest()),
                "seq": row["seq"],
            }
            connection.execute(
                text("UPDATE audit_records SET body = :body, prev = :prev, mac = :mac WHERE seq = :seq"), values
            )
        connection.execute(text("UPDATE audit_head SET mac = :mac"), {"mac": prev})


@pytest.mark.parametrize(("first", "seen"), [(1, 15), (15, 15), (16, 30), (30, 30)])
def test_written_anew_by_somebody_who_has_the_chains_key(url: str, folder: Path, first: int, seen: int):
    signed(url, folder)
    written_anew(url, first)
    blind = verify_log(url, key=KEY)
    assert blind.problems == () and "written anew by somebody who has its key" in blind.unseen[2]
    found = verified(url, folder)
    assert changes(found) == [("rewritten", seen)]
    assert f"record {seen} is not the one that was signed" in found.problems[0].message


def test_half_written_anew_does_not_fit_the_other_half(url: str):
    filled(url, RECORDS)
    with behind_its_back(url) as connection:
        old = connection.execute(text("SELECT * FROM audit_records WHERE seq > 20 ORDER BY seq")).mappings().all()
        head = connection.execute(text("SELECT mac FROM audit_head")).scalar_one()
    written_anew(url, 18)
    with behind_its_back(url) as connection:
        for row in old:
            statement = "UPDATE audit_records SET body = :body, prev = :prev, mac = :mac WHERE seq = :seq"
            connection.execute(text(statement), {name: row[name] for name in ("body", "prev", "mac", "seq")})
        connection.execute(text("UPDATE audit_head SET mac = :mac"), {"mac": head})
    assert changes(verify_log(url, key=KEY)) == [("rewritten", 21)]


def test_an_old_backup_restored(tmp_path: Path, folder: Path):
    url, file = url_in(tmp_path), tmp_path / "audit.db"
    signed(url, folder, 10)
    shutil.copy(file, tmp_path / "backup.db")
    signed(url, folder, 10)
    file.unlink()
    shutil.copy(tmp_path / "backup.db", file)
    assert verify_log(url, key=KEY).problems == ()
    assert changes(verified(url, folder)) == [("cut", 11)]
    with pytest.raises(BadInput, match=r"the log ends at record 10, and had 20 at .*an old backup restored"):
        filled(url, 1, checkpoints=folder, checkpoint_key=CHECKPOINT_KEY)
    filled(url, 15)  # it goes on, without checkpoints, beyond the length that was signed
    assert changes(verified(url, folder)) == [("rewritten", 15)]
    with pytest.raises(BadInput, match="record 20 is not the one that was signed"):
        filled(url, 1, checkpoints=folder, checkpoint_key=CHECKPOINT_KEY)
    assert len((folder / FILE).read_text().splitlines()) == 5


def test_a_new_log_in_the_place_of_the_old_one(tmp_path: Path, folder: Path):
    url = url_in(tmp_path)
    signed(url, folder)
    for file in tmp_path.glob("audit.db*"):
        file.unlink()
    filled(url, RECORDS)
    assert verify_log(url, key=KEY).problems == ()
    assert changes(verified(url, folder)) == [("rewritten", None)]
    with pytest.raises(BadInput, match="the checkpoints are another log's"):
        filled(url, 1, checkpoints=folder, checkpoint_key=CHECKPOINT_KEY)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "UPDATE audit_payloads SET payload = REPLACE(payload, 'male', 'MALE') WHERE seq = 9",
            "record 9: not what was",
        ),
        ("UPDATE audit_payloads SET salt = 'x' WHERE seq IN (9, 10)", "records 9 to 10: not what was written"),
        ("DELETE FROM audit_payloads WHERE seq IN (9, 11)", "records 9 and 11: gone, and no record says"),
        ("UPDATE audit_payloads SET seq = 77 WHERE seq = 9", "record 9: gone, and no record says"),
    ],
)
def test_an_altered_payload(url: str, statement: str, message: str):
    filled(url, RECORDS)
    change(url, statement)
    problem, *more = verify_log(url, key=KEY).problems
    assert (problem.change, problem.seq) == ("payload", 9) and message in problem.message
    assert [each.message for each in more] == (["payloads without a record: number 77"] if "77" in statement else [])


def test_a_payload_beside_a_record_that_had_none(url: str):
    log = AuditLog.open(url, key=KEY)
    log.append(decision(1, payload=None)).result()
    log.close()
    assert verify_log(url, key=KEY).problems == ()
    change(url, "INSERT INTO audit_payloads VALUES (1, 'x', '{}')")
    assert changes(verify_log(url, key=KEY)) == [("payload", 1)]


def test_the_head_row(url: str):
    filled(url, RECORDS)
    change(url, "UPDATE audit_head SET mac = log_id")
    assert changes(verify_log(url, key=KEY)) == [("head", None)]
    change(url, "UPDATE audit_head SET length = 5")
    assert changes(verify_log(url, key=KEY)) == [("head", None)]
    change(url, "DELETE FROM audit_head")
    assert ("head", None) in changes(verify_log(url, key=KEY))


def test_another_logs_id(url: str):
    filled(url, RECORDS)
    change(url, "UPDATE audit_head SET log_id = mac")
    found = verify_log(url, key=KEY)
    assert changes(found) == [("rewritten", 1), ("head", None)]


def test_another_key(url: str):
    filled(url, RECORDS)
    found = verify_log(url, key=CHECKPOINT_KEY)
    assert [problem.message for problem in found.problems] == [
        "records 1 to 30 are not what was written",
        "this is not the log's key, or the head row was altered",
    ]


def test_what_sqlite_keeps_in_any_column(tmp_path: Path):
    url = url_in(tmp_path)
    filled(url, RECORDS)
    change(
        url,
        "UPDATE audit_records SET body = X'00FF' WHERE seq = 3",
        "UPDATE audit_records SET at = CAST(X'FFFE' AS TEXT) WHERE seq = 5",
        "UPDATE audit_payloads SET payload = X'00FF' WHERE seq = 7",
    )
    found = verify_log(url, key=KEY)
    assert changes(found) == [("altered", 3), ("payload", 7)]
    assert found.problems[0].message == "records 3 and 5 are not what was written"
    log = AuditLog.open(url, key=KEY)
    for seq, said in ((3, "record 3 is not what was written"), (5, "Could not decode to UTF-8")):
        with pytest.raises(LogNotReadable, match=said):
            log.records(after=seq - 1, limit=1)
    log.close()
    change(url, "UPDATE audit_head SET length = 'many'")
    assert changes(verify_log(url, key=KEY))[-1] == ("head", None)


def test_a_table_taken_away(url: str):
    filled(url, 3)
    with behind_its_back(url) as connection:
        connection.execute(text("DROP TABLE audit_payloads"))
    found = verify_log(url, key=KEY)
    assert changes(found) == [("removed", None)] and "audit_payloads" in found.problems[0].message


def test_a_damaged_file(tmp_path: Path):
    url, file = url_in(tmp_path), tmp_path / "audit.db"
    filled(url, 200)
    whole = file.read_bytes()
    file.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
    assert changes(verify_log(url, key=KEY)) == [("altered", None)]
    file.write_bytes(b"no database" * 1000)
    assert changes(verify_log(url, key=KEY)) == [("altered", None)]


def test_where_there_is_no_log(url: str, tmp_path: Path):
    with pytest.raises(BadInput, match="no audit log"):
        verify_log(url, key=KEY)
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE t (a)").connection.close()
    with pytest.raises(BadInput, match="no audit log"):
        verify_log(f"sqlite:///{tmp_path / 'other.db'}", key=KEY)
    with pytest.raises(LogNotReadable, match="the audit log cannot be read"):
        verify_log("postgresql://nobody@127.0.0.1:1/none", key=KEY)


def edit_checkpoints(folder: Path, *keep: int, edit: tuple[str, str] = ("", "")) -> None:
    lines = (folder / FILE).read_text().splitlines(keepends=True)
    (folder / FILE).write_text("".join(lines[number] for number in keep).replace(*edit))


def test_changed_checkpoints(url: str, folder: Path):
    signed(url, folder)
    lines = (folder / FILE).read_text().splitlines()
    assert [json.loads(line)["length"] for line in lines] == [0, 15, 30]
    edit_checkpoints(folder, 0, 2)
    assert [problem.message for problem in verified(url, folder).problems] == [
        "checkpoints before line 2 were taken away or altered"
    ]
    (folder / FILE).write_text("\n".join([lines[0], lines[1].replace('"length": 15', '"length": 14'), lines[2], ""]))
    assert [problem.message for problem in verified(url, folder).problems] == [
        "checkpoint line 2 was altered, or signed with another key",
        "checkpoints before line 3 were taken away or altered",
    ]
    (problem,) = verify_log(url, key=KEY, checkpoints=folder, checkpoint_key=KEY).problems
    assert problem.message.startswith("none of the 3 checkpoints fits this key")
    (folder / FILE).unlink()
    assert changes(verified(url, folder)) == [("checkpoint", None)]
    folder.rmdir()
    with pytest.raises(BadInput, match="no folder of checkpoints"):
        verified(url, folder)


def test_half_a_line_after_a_crash_is_no_problem_and_is_said(url: str, folder: Path):
    signed(url, folder)
    with (folder / FILE).open("a") as file:
        file.write('{"schema": "equiray.chec')
    filled(url, 3, checkpoints=folder, checkpoint_key=CHECKPOINT_KEY)
    found = verified(url, folder)
    assert found.problems == () and found.checkpoints == 4
    assert found.unseen[0].startswith("what stood in unreadable lines of the checkpoints (4)")


def test_checkpoints_that_began_late_do_not_speak_of_before(url: str, folder: Path):
    filled(url, 10)
    filled(url, 10, checkpoints=folder, checkpoint_key=CHECKPOINT_KEY)
    found = verified(url, folder)
    assert found.problems == () and "before the first checkpoint, at record 10" in found.unseen[0]


def test_a_log_that_is_written_meanwhile_verifies(url: str, folder: Path):
    log = AuditLog.open(url, key=KEY, checkpoints=folder, checkpoint_key=CHECKPOINT_KEY, checkpoint_records=20)
    enough = threading.Event()

    def write() -> None:
        while not enough.is_set():
            log.append(decision(1)).result(30)

    writer = threading.Thread(target=write)
    writer.start()
    found = [verified(url, folder) for _ in range(10)]
    enough.set()
    writer.join()
    log.close()
    assert {each.problems for each in found} == {()}
    lengths = [each.length for each in found]
    assert lengths == sorted(lengths) and lengths[0] < lengths[-1] <= verified(url, folder).length
