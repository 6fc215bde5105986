"""`equiray log` and `equiray verify --audit`, in processes of their own: what they say, and their exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from audit_logs import CHECKPOINT_KEY, KEY, change, filled, url_in
from equiray.serving.audit import AuditLog
from equiray.serving.monitor import Monitor, Settings


@pytest.fixture
def url(tmp_path: Path) -> str:
    return url_in(tmp_path)


def equiray(*arguments: str, **variables: str) -> tuple[int, str]:
    keys = {"EQUIRAY_AUDIT_KEY": KEY.hex(), "EQUIRAY_CHECKPOINT_KEY": CHECKPOINT_KEY.hex()}
    done = subprocess.run(
        [sys.executable, "-m", "equiray", *arguments],
        env={**os.environ, **keys, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_log_through_its_life(url: str, tmp_path: Path):
    folder = str(tmp_path / "elsewhere")
    written = filled(url, 5, checkpoints=Path(folder), checkpoint_key=CHECKPOINT_KEY)

    code, said = equiray("verify", "--audit", url, "--checkpoints", folder)
    assert code == 0 and "5 records, 0 erased payloads, 2 checkpoints: each is what was written" in said
    code, said = equiray("verify", "--audit", url)
    assert code == 0 and said.count("not seen     without checkpoints: ") == 3

    code, said = equiray("log", "erase", written[1].record_id, "--checkpoints", folder, EQUIRAY_STORE=url)
    assert code == 0 and "done: 1 payloads erased, as record 6 says" in said
    code, said = equiray("log", "retain", "--store", url, "--days", "0", "--checkpoints", folder)
    assert code == 0 and "done: 4 payloads erased, as record 7 says" in said
    code, said = equiray("log", "erase", "--store", url, "--key-id", "k1")
    assert code == 0 and said == "nothing to erase\n"

    out = tmp_path / "log.parquet"
    code, said = equiray("log", "export", "--store", url, "--out", str(out), "--kind", "admin")
    assert code == 0 and said == f"done: {out} (2 records)\n"
    assert pq.read_table(out)["seq"].to_pylist() == [6, 7]

    code, said = equiray("verify", "--audit", url, "--checkpoints", folder)
    assert code == 0 and "7 records, 5 erased payloads, 4 checkpoints" in said and "younger" not in said

    change(url, "UPDATE audit_records SET key_id = 'k2' WHERE seq = 3")
    code, said = equiray("verify", "--audit", url, "--checkpoints", folder)
    assert code == 1 and said.startswith("problem      record 3 is not what was written\n")
    assert "1 problems: the log is not what was written" in said


def test_a_failed_version_is_accepted_by_a_record_that_the_monitor_reads(url: str):
    filled(url, 2)
    code, said = equiray("log", "accept", "b@1", "--reason", "seen by the board", "--store", url)
    assert code == 0 and said == "done: b@1 is accepted, as record 3 says\n"
    log = AuditLog.open(url, key=KEY)
    monitor = Monitor(Settings(attributes=()))
    monitor.take(log.records())
    log.close()
    assert monitor.accepted == {"b@1"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "--audit", "sqlite:////nowhere/audit.db"], "no audit log"),
        (["verify", "--audit", "nowhere"], "'nowhere' is no database URL"),
        (["verify", "--audit", "postgresql://127.0.0.1:1/x"], "the audit log cannot be read"),
        (["verify"], "one thing is verified at a time"),
        (["verify", ".", "--audit", "sqlite:////nowhere/audit.db"], "one thing is verified at a time"),
        (["verify", "--audit", "{url}", "--checkpoints", "/nowhere"], "no folder of checkpoints"),
        (["log", "retain", "--store", "{url}", "--days", "-1"], "-1.0 days"),
        (["log", "retain", "--store", "sqlite:////nowhere/audit.db", "--days", "1"], "no audit log"),
        (["log", "erase", "--store", "{url}"], "nothing to erase, or two things"),
        (["log", "erase", "--store", "{url}", "nobody"], "1 records are not in the log: nobody"),
        (["log", "export", "--store", "{url}", "--out", "{url}.parquet", "--kind", "gossip"], "'gossip' is no kind"),
    ],
)
def test_bad_input(url: str, arguments: list[str], message: str):
    filled(url, 1)
    code, said = equiray(*(argument.replace("{url}", url) for argument in arguments))
    assert code == 3 and message in said and not Path("/nowhere").exists()


def test_without_a_key(url: str, tmp_path: Path):
    filled(url, 1)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EQUIRAY_")}
    arguments = [sys.executable, "-m", "equiray", "verify", "--audit", url, "--keys", str(tmp_path)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3 and "no audit key" in done.stderr and "set EQUIRAY_AUDIT_KEY" in done.stderr
    (tmp_path / "audit.key").write_text(KEY.hex())
    (tmp_path / "audit.key").chmod(0o600)
    assert subprocess.run(arguments, env=environment, capture_output=True, check=False).returncode == 0
