"""What an audit record costs: from `AuditLog.append` until it is on the disk, SQLite, one caller; PostgreSQL beside it.

The bound is printed beside every repeat: one row of as many bytes, committed by the bare driver, just as durable.

    python benchmarks/audit_append.py
"""

import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from harness import QUICK_REPEATS, QUICK_SECONDS, REPEATS, SECONDS, Goal, publish, start

from equiray.serving.audit import AuditLog, Entry, verify_log

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from postgres import NoPostgres, running_postgres  # pyright: ignore[reportMissingImports]

KEY, CHECKPOINT_KEY = bytes(range(32)), bytes(range(32, 64))
CALLERS = (1, 16)
VERIFIED = 100_000
GATES = {"sex": {"risk": 0.2, "open": False}, "age": {"risk": 0.9, "open": True}}
DECISIONS = [{"id": "0", "decision": 1, "probability": 0.123456789, "gates": GATES, "refused": False}]
ROW_BYTES = 1200  # of such a record with its payload


class Waits(NamedTuple):
    """Milliseconds from append to commit, and records per second."""

    p50: float
    p99: float
    rate: float

    def said(self) -> str:
        """In words."""
        return f"p50 {self.p50:.3f} ms, p99 {self.p99:.3f} ms, {self.rate:,.0f}/s"


def entry(number: int) -> Entry:
    """A decision about one row, as the service records it."""
    body = {"task": "german", "decisions": DECISIONS, "input": "ab" * 32}
    payload = {"attributes": [{"sex": "female", "age": "25-40"}]}
    settings = {"idempotency_key": f"{number}-{time.time_ns()}", "request_sha256": "a" * 64}
    return Entry(kind="decision", key_id="k1", model_version="v1", body=body, payload=payload, **settings)


def waits(work: Callable[[int], object], callers: int, seconds: float) -> Waits:
    """Each caller in a thread of its own, one piece of work after the other."""
    taken: list[float] = []
    end = time.perf_counter() + seconds

    def call(caller: int) -> None:
        while (begun := time.perf_counter()) < end:
            work(caller)
            taken.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    p50, p99 = np.percentile(taken, [50, 99]) * 1000
    return Waits(float(p50), float(p99), len(taken) / seconds)


def bare(file: Path, seconds: float) -> Waits:
    """The driver alone."""
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, text TEXT)")
        return waits(lambda _: connection.execute("INSERT INTO rows (text) VALUES (?)", ["x" * ROW_BYTES]), 1, seconds)


def opened(url: str, folder: Path) -> AuditLog:
    """A log with its checkpoints."""
    return AuditLog.open(url, key=KEY, checkpoints=folder, checkpoint_key=CHECKPOINT_KEY)


def verify(url: str, folder: Path, records: int) -> None:
    """Fill the log up, verify it, and say how long that takes."""
    with closing(opened(url, folder)) as log:
        while (missing := records - log.head().length) > 0:
            for future in [log.append(entry(number)) for number in range(min(missing, 5000))]:
                future.result()
    begun = time.perf_counter()
    found = verify_log(url, key=KEY, checkpoints=folder, checkpoint_key=CHECKPOINT_KEY)
    seconds = time.perf_counter() - begun
    if found.problems:
        raise SystemExit(f"the log does not verify: {found.problems}")
    print(f"verified {found.length:,} records and {found.checkpoints} checkpoints in {seconds:.2f} s")


def measured(logs: Mapping[str, AuditLog], folder: Path, quick: bool) -> list[float]:
    """Interleave the driver and the logs; the medians of SQLite's waits with one caller."""
    repeats, seconds = (QUICK_REPEATS, QUICK_SECONDS) if quick else (REPEATS, SECONDS)
    medians = []
    for repeat in range(repeats):
        print(f"repeat {repeat + 1}/{repeats}: the driver alone: {bare(folder / 'bare.db', seconds).said()}")
        for name, log in logs.items():
            for callers in CALLERS:
                found = waits(lambda caller, log=log: log.append(entry(caller)).result(), callers, seconds)
                print(f"  {name}, {callers} callers: {found.said()}")
                if (name, callers) == ("SQLite", 1):
                    medians.append(found.p50)
    return medians


def main() -> None:
    """Measure, verify, publish."""
    quick = start(__doc__ or "")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd())))
        urls = {"SQLite": f"sqlite:///{folder / 'audit.db'}"}
        try:
            urls["PostgreSQL"] = stack.enter_context(running_postgres(fsync=True)).new_database()
        except NoPostgres as reason:
            print(f"no PostgreSQL: {reason}")
        logs = {name: opened(url, folder / name) for name, url in urls.items()}
        medians = measured(logs, folder, quick)
        for name, log in logs.items():
            log.close()
            verify(urls[name], folder / name, 1000 if quick else VERIFIED)
    publish("audit_append", medians, unit="ms", peer="none", quick=quick, goal=Goal("at most", 1.2))


if __name__ == "__main__":
    main()
