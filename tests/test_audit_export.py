"""The exported file is the log: whoever has the key verifies it without the database."""

import hmac
import json
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from audit_logs import KEY, decision, filled, url_in
from equiray.errors import BadInput, Incomplete
from equiray.serving.audit import AuditLog
from equiray.serving.audit.export import export_log
from test_disk_full import full_disk


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_in(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres").new_schema()


def test_the_file_verifies_by_itself(url: str, tmp_path: Path):
    log = AuditLog.open(url, key=KEY)
    for number in range(25):
        log.append(decision(number, payload=None if number == 7 else {"n": number})).result()
    log.close()
    out = tmp_path / "log.parquet"
    assert export_log(url, out, page=10) == 25
    table = pq.read_table(out)
    assert pq.ParquetFile(out).num_row_groups == 3 and out.stat().st_mode & 0o777 == 0o600
    prev = table.schema.metadata[b"equiray.log_id"].decode()
    for row in table.to_pylist():
        salt, payload, mac = row.pop("salt"), row.pop("payload"), row.pop("mac")
        message = json.dumps({**row, "body": json.loads(row["body"])}, sort_keys=True, separators=(",", ":"))
        assert hmac.new(KEY, message.encode(), sha256).hexdigest() == mac and row["prev"] == prev
        if row["seq"] == 8:
            assert (salt, payload, row["commitment"]) == (None, None, None)
        else:
            assert hmac.new(salt.encode(), payload.encode(), sha256).hexdigest() == row["commitment"]
        prev = mac


def test_a_part_of_the_log(url: str, tmp_path: Path):
    log = AuditLog.open(url, key=KEY)
    for number in range(12):
        log.append(decision(number, key_id=f"k{number % 2}", kind="chat" if number % 3 else "outcome")).result()
    log.close()
    out = tmp_path / "part.parquet"
    assert export_log(url, out, after=2, key_id="k1", kinds=["chat"], with_payloads=False, page=2) == 3
    table = pq.read_table(out)
    assert table["seq"].to_pylist() == [6, 8, 12]
    assert "payload" not in table.column_names and "salt" not in table.column_names
    assert export_log(url, tmp_path / "none.parquet", after=12) == 0
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0


def test_what_cannot_be_exported(url: str, tmp_path: Path):
    out = tmp_path / "log.parquet"
    with pytest.raises(BadInput, match="no audit log"):
        export_log(url, out)
    filled(url, 400)
    log = AuditLog.open(url, key=KEY)  # has SQLite's other files made
    with full_disk(), pytest.raises(Incomplete, match="cannot write"):
        export_log(url, out)
    assert not out.exists() and not list(tmp_path.glob("*.part"))
    log.close()
    out.write_text("mine")
    with pytest.raises(BadInput, match="exists already"):
        export_log(url, out)
    assert out.read_text() == "mine"
