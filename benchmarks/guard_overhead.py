"""What the guard adds to an answer: keys, limits, the record committed before the answer leaves, the live monitor.

    python benchmarks/guard_overhead.py            # SQLite, the figures; then PostgreSQL, printed
    python benchmarks/guard_overhead.py --quick    # a look, not a result

The same web application with and without it, its decider answering at once; requests of one row come at random moments
(Poisson) at 80 % of the guarded application's peak, to both at the same rate, in turn. Times are the server's own, from
a request's arrival in the application to its answer's last byte; an overhead is the difference of the two quantiles.
Server, database and monitor share one core, the load generator has another. Ray Serve's proxy, which both would have in
front of them, is left out: its own spread is larger than what is measured here.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from harness import QUICK_REPEATS, QUICK_SECONDS, REPEATS, SECONDS, Goal, publish, start
from numpy.typing import NDArray

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))  # the server that the tests start

from postgres import NoPostgres, running_postgres  # noqa: E402  # pyright: ignore[reportMissingImports]

LOAD, HALF, MOST_P50_MS, MOST_P99_MS = 0.8, 0.5, 2.0, 10.0
BARE, GUARDED = "bare", "guarded"


class Application(NamedTuple):
    """A running server."""

    port: str
    secret: str

    def durations(self) -> NDArray[np.float64]:
        """Milliseconds of the answers since this was asked last."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/durations", timeout=60) as answer:
            return np.array(json.load(answer), np.float64) * 1000


@contextlib.contextmanager
def process(core: int, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """One of our programs on a core, until the context ends."""
    started = subprocess.Popen(_command(core, "guarded_server.py", *arguments), stdout=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def load(core: int, to: Application, *arguments: float) -> float:
    """Answers per second of the load generator, on its own core."""
    command = _command(core, "load.py", to.port, to.secret, *map(str, arguments))
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return said["answers"] / said["seconds"]


def _command(core: int, program: str, *arguments: str) -> list[str]:
    return ["taskset", "-c", str(core), sys.executable, str(HERE / program), *arguments]


def overheads(store: str, folder: Path, cores: tuple[int, int], *, quick: bool) -> NDArray[np.float64]:
    """Milliseconds that the guard adds to the median and to the 99th percentile, for each repeat [R, 2]."""
    ours, loads = cores
    repeats, seconds = (QUICK_REPEATS, QUICK_SECONDS) if quick else (REPEATS, SECONDS)
    with process(ours, GUARDED, store, str(folder)) as first, process(ours, BARE, store, str(folder)) as second:
        running = {GUARDED: _said_by(first), BARE: _said_by(second)}
        with process(ours, "watch", store, str(folder)) as watching:
            assert watching.stdout is not None
            watching.stdout.readline()  # while it starts it needs the core
            for each in running.values():
                load(loads, each, 2.0)  # warm-up
            peak = {kind: load(loads, each, seconds / 4) for kind, each in running.items()}
            rate = LOAD * peak[GUARDED]
            p50, p99 = _quantiles(loads, running[GUARDED], seconds, rate * HALF / LOAD)
            print(
                f"peak: {peak[GUARDED]:.0f} answers/s with the guard, {peak[BARE]:.0f} without; at half of it", end=" "
            )
            print(f"{p50:.2f} and {p99:.2f} ms (p50, p99) with the guard; at {rate:.0f}/s:")
            found = []
            for repeat in range(repeats):
                order = (GUARDED, BARE) if repeat % 2 == 0 else (BARE, GUARDED)
                taken = {kind: _quantiles(loads, running[kind], seconds, rate) for kind in order}
                found.append(taken[GUARDED] - taken[BARE])
                said = ", ".join(f"{kind} {p50:.2f} and {p99:.2f} ms" for kind, (p50, p99) in taken.items())
                print(f"repeat {repeat + 1}/{repeats}: p50 and p99 {said}")
    return np.array(found)


def _said_by(server: subprocess.Popen[str]) -> Application:
    assert server.stdout is not None
    said = server.stdout.readline().split()
    if len(said) != 2:
        raise SystemExit("the server did not start")
    return Application(*said)


def _quantiles(core: int, server: Application, seconds: float, rate: float) -> NDArray[np.float64]:
    server.durations()
    load(core, server, seconds, rate)
    return np.asarray(np.quantile(server.durations(), [0.5, 0.99]), np.float64)


def main() -> None:
    """Measure on SQLite, and on PostgreSQL where it is installed."""
    quick = start(__doc__ or "")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("the load generator needs a core of its own: this process may use one alone")
    ours, loads = cores[:2]
    os.sched_setaffinity(0, {ours})  # and with it PostgreSQL, which it starts
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        found = overheads(f"sqlite:///{folder}/equiray.db", folder, (ours, loads), quick=quick)
    for place, (name, most) in enumerate((("p50", MOST_P50_MS), ("p99", MOST_P99_MS))):
        goal = Goal("at most", most)
        publish(
            f"guard_overhead_{name}_ms",
            found[:, place].tolist(),
            unit="ms",
            peer="without guard",
            quick=quick,
            goal=goal,
        )
    try:
        with running_postgres(fsync=True) as server, tempfile.TemporaryDirectory() as scratch:
            p50, p99 = np.median(overheads(server.new_database(), Path(scratch), (ours, loads), quick=quick), axis=0)
            print(f"on PostgreSQL: {p50:.2f} ms at the median, {p99:.2f} ms at the 99th percentile")
    except NoPostgres as reason:
        print(f"not measured on PostgreSQL: {reason}")


if __name__ == "__main__":
    main()
