"""What the guard adds to an answer: keys, limits, the record committed before the answer leaves, the live monitor.

    python benchmarks/guard_overhead.py            # SQLite, the figures; then PostgreSQL, printed
    python benchmarks/guard_overhead.py --quick    # a look, not a result

The load is 80 % of what `equiray serve` answers at its peak on one core: Ray Serve's proxy, gateway, a tiny model's
decider, monitor, requests of one row from 64 connections that ask again at once. At that load, with requests at random
moments (Poisson), the web application of a gateway is measured with and without its guard, in turn, its decider
answering at once: times are the server's own, from a request's arrival in the application to its answer's last byte,
and an overhead is the difference of two quantiles. Server, database and monitor share one core, the load generator has
another. The proxy itself is left out there: its own spread is larger than what is measured. Beside it, the same at 80 %
of what the web application answers without Ray Serve in front of it, which no deployment reaches.
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
from served import running, small_bundle  # noqa: E402  # pyright: ignore[reportMissingImports]

LOAD, MOST_P50_MS, MOST_P99_MS = 0.8, 2.0, 10.0
CONNECTIONS = 64
LITTLE = {"least": 1, "most": 1, "cpus": 0.25}
PERSON = {"task": "people", "rows": [{"income": 1.5, "sex": "female"}]}
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


def load(core: int, to: Application, seconds: float, *more: object) -> float:
    """Answers per second of the load generator, on its own core."""
    command = _command(core, "load.py", to.port, to.secret, str(seconds), *map(str, more))
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return said["answers"] / said["seconds"]


def deployed_peak(loads: int, *, quick: bool) -> float:
    """Answers per second of `equiray serve` on this process's core."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with running(small_bundle(folder), folder, gateway=LITTLE, decider=LITTLE) as server:
            to = Application(server.url.rpartition(":")[2], server.secret("decide"))
            asking = ("--connections", CONNECTIONS, "--body", json.dumps(PERSON))
            load(loads, to, 3.0, *asking)  # warm-up
            return load(loads, to, QUICK_SECONDS if quick else SECONDS, *asking)


def _command(core: int, program: str, *arguments: str) -> list[str]:
    return ["taskset", "-c", str(core), sys.executable, str(HERE / program), *arguments]


def overheads(store: str, folder: Path, cores: tuple[int, int], deployed: float, *, quick: bool) -> NDArray[np.float64]:
    """Milliseconds that the guard adds to the median and to the 99th percentile, for each repeat [R, 2]."""
    ours, loads = cores
    repeats, seconds = (QUICK_REPEATS, QUICK_SECONDS) if quick else (REPEATS, SECONDS)
    with process(ours, GUARDED, store, str(folder)) as first, process(ours, BARE, store, str(folder)) as second:
        running_now = {GUARDED: _said_by(first), BARE: _said_by(second)}
        with process(ours, "watch", store, str(folder)) as watching:
            assert watching.stdout is not None
            watching.stdout.readline()  # while it starts it needs the core
            for each in running_now.values():
                load(loads, each, 2.0)  # warm-up
            found = _compared(running_now, loads, LOAD * deployed, repeats, seconds)
            peak = {kind: load(loads, each, seconds / 4) for kind, each in running_now.items()}
            print(f"without Ray Serve {peak[GUARDED]:.0f} answers/s, and without the guard, too, {peak[BARE]:.0f}")
            try:
                p50, p99 = _compared(running_now, loads, LOAD * peak[GUARDED], 1, seconds)[0]
                print(f"there the guard adds {p50:.2f} ms at the median, {p99:.2f} ms at the 99th percentile")
            except subprocess.CalledProcessError as refused:  # a machine that others share may be slower by now
                print(f"there it does not keep up: {refused.stderr.strip()[-200:]}")
    return found


def _compared(
    servers: dict[str, Application], core: int, rate: float, repeats: int, seconds: float
) -> NDArray[np.float64]:
    """At a rate, both in turn."""
    print(f"at {rate:.0f} requests/s:")
    found = []
    for repeat in range(repeats):
        order = (GUARDED, BARE) if repeat % 2 == 0 else (BARE, GUARDED)
        taken = {kind: _quantiles(core, servers[kind], seconds, rate) for kind in order}
        found.append(taken[GUARDED] - taken[BARE])
        said = ", ".join(f"{kind} {p50:.2f} and {p99:.2f} ms" for kind, (p50, p99) in taken.items())
        print(f"repeat {repeat + 1}/{repeats}: p50 and p99 {said}", flush=True)
    return np.array(found)


def _said_by(server: subprocess.Popen[str]) -> Application:
    assert server.stdout is not None
    said = server.stdout.readline().split()
    if len(said) != 2:
        raise SystemExit("the server did not start")
    return Application(*said)


def _quantiles(core: int, server: Application, seconds: float, rate: float) -> NDArray[np.float64]:
    server.durations()
    load(core, server, seconds, "--rate", rate)
    return np.asarray(np.quantile(server.durations(), [0.5, 0.99]), np.float64)


def main() -> None:
    """Measure on SQLite, and on PostgreSQL where it is installed."""
    quick = start(__doc__ or "")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("the load generator needs a core of its own: this process may use one alone")
    ours, loads = cores[:2]
    os.sched_setaffinity(0, {ours})  # and with it PostgreSQL, which it starts
    deployed = deployed_peak(loads, quick=quick)
    print(f"equiray serve on one core: {deployed:.0f} answers/s")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        found = overheads(f"sqlite:///{folder}/equiray.db", folder, (ours, loads), deployed, quick=quick)
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
            p50, p99 = np.median(
                overheads(server.new_database(), Path(scratch), (ours, loads), deployed, quick=quick), axis=0
            )
            print(f"on PostgreSQL: {p50:.2f} ms at the median, {p99:.2f} ms at the 99th percentile")
    except NoPostgres as reason:
        print(f"not measured on PostgreSQL: {reason}")


if __name__ == "__main__":
    main()
