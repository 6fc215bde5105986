"""A process that writes to an audit log as fast as it can, until it is told to stop or killed.

    python audit_writer.py URL ACKNOWLEDGED THREADS NAME [CHECKPOINTS]

Every acknowledged record leaves a line in the file ACKNOWLEDGED, by one write that a kill cannot cut in two. What is
refused is counted and said at the end.
"""

import itertools
import json
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

from audit_logs import CHECKPOINT_KEY, KEY, decision
from equiray.serving.audit import AuditLog, LogNotWritable

stopping = threading.Event()


def write(log: AuditLog, acknowledged: int, name: str, refused: Counter) -> None:
    for number in itertools.count():
        if stopping.is_set():
            return
        entry = decision(number, key_id=name, idempotency_key=f"{name}-{threading.get_ident()}-{number}")
        try:
            record = log.append(entry).result(60)
        except LogNotWritable as error:
            refused[str(error)] += 1
            stopping.wait(0.05)
            continue
        assert record.record_id == entry.record_id and not record.repeated
        os.write(acknowledged, (json.dumps([record.seq, record.record_id, record.mac]) + "\n").encode())


def main(url: str, file: str, threads: str, name: str, checkpoints: str | None = None) -> None:
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signed = {"checkpoints": Path(checkpoints), "checkpoint_key": CHECKPOINT_KEY} if checkpoints else {}
    log = AuditLog.open(url, key=KEY, lock_wait_s=10, checkpoint_records=50, **signed)
    refused: Counter = Counter()
    acknowledged = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    running = [threading.Thread(target=write, args=(log, acknowledged, name, refused)) for _ in range(int(threads))]
    for thread in running:
        thread.start()
    print("writing", flush=True)
    stopping.wait()
    for thread in running:
        thread.join()
    log.close()
    print(json.dumps(refused))


if __name__ == "__main__":
    main(*sys.argv[1:])
