"""The monitor over a real audit log: written by several threads, tailed, erased, taken up again."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from equiray.serving.audit.log import AuditLog
from equiray.serving.audit.records import Entry
from equiray.serving.audit.retention import erase_key
from equiray.serving.monitor import Bound, Monitor, Settings
from monitor_cases import LogLine, stream

GAP = Bound(metric="demographic_parity_difference", attribute="sex", side="max", value=0.1)
SEX = Settings(attributes=("sex",), bounds=(GAP,))


def entry(line: LogLine) -> Entry:
    payload = None if line.payload is None else dict(line.payload)
    return Entry(
        kind="decision", key_id="k1", model_version=line.model_version, body=dict(line.body), payload=payload,
        record_id=line.record_id,
    )  # fmt: skip


def tail(monitor: Monitor, log: AuditLog) -> None:
    while found := log.records(after=monitor.seq, limit=70):
        monitor.take(found)


def test_it_reads_every_record_of_all_writers_once_and_keeps_what_is_erased_later(tmp_path: Path) -> None:
    lines = stream({"f": 0.7, "m": 0.3}, 3000)
    log, monitor = AuditLog.open(f"sqlite:///{tmp_path / 'log.db'}", key=b"k" * 32), Monitor(SEX)
    try:
        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(lambda line: log.append(entry(line)).result(), line) for line in lines[:100]]:
                done.result()
                tail(monitor, log)
        for line in lines[100:]:
            log.append(entry(line)).result()
        tail(monitor, log)
        document = monitor.document()
        (version,) = document["versions"]
        assert version["decisions"] == 3000 and version["verdict"] == "FAIL" and document["as_of"]["seq"] == 150
        selected = sum(one["decision"] for line in lines for one in line.body["decisions"])
        assert sum(one["selected"] for one in version["minutes"]) == selected
        stored = json.dumps(monitor.snapshot())

        erase_key(log, "k1")
        restored = Monitor(SEX)
        restored.restore(json.loads(stored))
        for reader in (monitor, restored):
            tail(reader, log)
            assert reader.document()["versions"] == document["versions"], "what was learnt stays, what was told is gone"
        anew = Monitor(SEX)
        tail(anew, log)
        (group,) = anew.document()["versions"][0]["attributes"][0]["groups"]
        assert (group["group"], group["n"]) == ("(missing)", 3000)
    finally:
        log.close()
