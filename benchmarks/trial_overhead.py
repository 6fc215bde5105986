"""What a trial costs beside its own work: trials that sleep for 30 s, and 16 workers whose trials sleep for 10 s.

The bound is no overhead at all. Of every worker the first trial is warm-up; from its end to the end of the last one a
worker is busy, or waits for its next trial. Processes are reused.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from harness import Goal, machine, publish

from equiray.search.ledger import Entry, Ledger
from equiray.search.runner import run_trials
from equiray.search.stopping import Stopping
from equiray.search.study import Outcome, Trial
from equiray.specs.sweep import SweepSpec
from equiray.streaming.cluster import ray_cluster

OVERHEAD, START_S, BUSY = Goal("at most", 0.10), Goal("at most", 2.0), Goal("at least", 0.90)


class Sleeper:
    """A study whose trials sleep, and say when they did."""

    shared_bytes = 0

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def worker(self) -> "Sleeper":
        """Itself: there is nothing to load."""
        return self

    def run(self, trial: Trial) -> Iterator[Outcome]:
        """Sleep."""
        began = time.time()
        time.sleep(self.seconds)
        told = {"intrinsic_gap": 0.1, "perplexity_ratio": 1.0, "began": began, "ended": time.time()}
        yield Outcome(values=[[0.1, 1.0]], free=[[]], best=told, broken={})


class Waits(NamedTuple):
    """Of one worker, its first trial left out: seconds before each trial, seconds of all trials, and both together."""

    before: list[float]
    asleep: float
    span: float


def waits_of(workers: int, seconds: float, rounds: int, cpus: float) -> list[Waits]:
    """Run so many rounds of trials on so many workers at once."""
    spec = SweepSpec.model_validate(
        {
            "schema": "equiray.sweep/1",
            "name": "sleep",
            "kind": "unlearning",
            "run": {"schema": "equiray.run/1", "name": "sleep", "tasks": [{"name": "german"}]},
            "space": {"unlearning.lambda_gap": {"low": 0.1, "high": 10, "log": True}},
            "objectives": [
                {"metric": "intrinsic_gap", "reference": 1},
                {"metric": "perplexity_ratio", "reference": 2},
            ],
            "search": {"trials": workers * rounds},
            "resources": {"cpus": cpus, "at_once": workers},
        }
    )
    with tempfile.TemporaryDirectory() as scratch, ray_cluster(None, cpus=workers * cpus):
        ledger = Ledger(Path(scratch) / "trials.jsonl")
        run_trials(spec, Sleeper(seconds), Stopping(spec, {}), ledger, lambda _: None)
    by_worker: dict[str, list[Entry]] = {}
    for entry in ledger.entries:
        by_worker.setdefault(str(entry.worker), []).append(entry)
    return [_waits(sorted(of, key=lambda entry: entry.figures["began"])) for of in by_worker.values() if len(of) > 1]


def _waits(entries: list[Entry]) -> Waits:
    times = [(entry.figures["began"], entry.figures["ended"]) for entry in entries]
    before = [later[0] - earlier[1] for earlier, later in pairwise(times)]
    asleep = sum(ended - began for began, ended in times[1:])
    return Waits(before, asleep, times[-1][1] - times[0][1])


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description="What a trial costs beside its own work.")
    parser.add_argument("--quick", action="store_true", help="shorter sleep: a look, not a result")
    quick = parser.parse_args().quick
    print(f"machine: {machine()}")
    few = waits_of(workers=2, seconds=2 if quick else 30, rounds=3 if quick else 6, cpus=1)
    starts = np.concatenate([of.before for of in few])
    share = [of.span / of.asleep - 1 for of in few]
    publish("trial_overhead", share, unit="of a 30 s trial", peer="no overhead", quick=quick, goal=OVERHEAD)
    print(
        f"a trial starts {np.median(starts):.3f} s after the last one on its worker, {starts.max():.3f} s at most",
        end="",
    )
    print(START_S.said(float(starts.max())))
    many = waits_of(workers=16, seconds=3 if quick else 10, rounds=3 if quick else 6, cpus=0.1)
    busy = [of.asleep / of.span for of in many]
    print(f"{len(many)} workers are busy {min(busy):.1%} of the time or more{BUSY.said(min(busy))}")


if __name__ == "__main__":
    main()
