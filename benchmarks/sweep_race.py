"""Three ways to spend 30 FairNet trials on Adult, five times over: what suggests settings, and nothing else, differs.

All have the same base, states, free thresholds, constraints and reference point (sweep_race.yaml); the front of each
is chosen on validation rows and read once on test rows. What is compared is its hypervolume there. Trials are kept in
runs/race: a race that is broken off goes on, and both benchmarks share ours.
"""

import argparse
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from harness import Ratio, append_result, machine
from rich.console import Console
from scipy import stats

from equiray.metrics.fronts import hypervolume
from equiray.runs.directory import RunDirectory
from equiray.runs.search.kinds import Planned
from equiray.runs.search.planning import plan_sweep
from equiray.runs.search.points import front_of
from equiray.runs.search.reading import read_models
from equiray.search.ledger import Entry, Ledger
from equiray.search.runner import run_trials
from equiray.search.stopping import Stopping
from equiray.search.storage import Storage
from equiray.specs.sweep import SweepSpec, load_sweep_spec
from equiray.streaming.cluster import ray_cluster

ROOT = Path(__file__).parents[1]
RACE, SPEC = ROOT / "runs" / "race", ROOT / "benchmarks" / "sweep_race.yaml"
SEEDS, TRIALS = (0, 1, 2, 3, 4), 30
CONFIDENCE = 0.95
_CONSOLE = Console(stderr=True)


class Race(NamedTuple):
    """Hypervolume on test rows of each seed's fronts, [seeds], and seconds of a trial."""

    ours: np.ndarray
    peer: np.ndarray
    trial_s: float


def spec_of(algorithm: str, seed: int, trials: int) -> SweepSpec:
    """`ours` is the spec as it stands; its peers know no settings beforehand."""
    overrides = [f"seed={seed}", f"run.seeds=[{seed}]", f"search.trials={trials}"]
    if algorithm != "ours":
        overrides += [f"search.algorithm={algorithm}", "known={}"]
    return load_sweep_spec(SPEC, tuple(overrides))


def planned_of(seed: int, trials: int, race: Path) -> tuple[Planned, RunDirectory]:
    """The base of a seed, and states that all seeds share."""
    directory = RunDirectory(path=race / f"seed{seed}", console=_CONSOLE)
    states = race / "lower"
    states.mkdir(parents=True, exist_ok=True)
    directory.path.mkdir(exist_ok=True)
    if not (directory.path / "lower").exists():
        (directory.path / "lower").symlink_to(states)
    return plan_sweep(spec_of("ours", seed, trials), directory, Storage(str(directory.path))), directory


def volume(algorithm: str, seed: int, trials: int, planned: Planned, directory: RunDirectory) -> tuple[float, float]:
    """Hypervolume on test rows of one sweep's front, and the mean of its trials' seconds; Ray must be running."""
    spec, own = spec_of(algorithm, seed, trials), RunDirectory(path=directory.path / algorithm, console=_CONSOLE)
    storage = Storage(str(own.path))
    storage.open()
    ledger = Ledger(own.path / "trials.jsonl")
    study = replace(planned.study, storage=storage)  # type: ignore[type-var]

    def say(entry: Entry) -> None:
        print(
            f"seed {seed}, {algorithm}, trial {entry.trial.number}: {entry.status}, {entry.seconds:.1f} s", flush=True
        )

    run_trials(spec, study, Stopping(spec, planned.base), ledger, say)
    front = front_of(spec, ledger.entries)
    wanted = {point.trial: next(e.trial for e in ledger.entries if e.trial.number == point.trial) for point in front}
    arrays = read_models(study, wanted, ("test",), spec, own)["test"]
    figures = planned.figures("test", front, arrays)
    values = [[each[objective.metric] for objective in spec.objectives] for each in figures]
    found = hypervolume(values, [each.reference for each in spec.objectives], spec.directions)
    return found, float(np.mean([entry.seconds for entry in ledger.entries]))


def race(peer: str, seeds: Sequence[int], trials: int, folder: Path) -> Race:
    """Ours against a peer."""
    ours, theirs, seconds = [], [], []
    for seed in seeds:
        planned, directory = planned_of(seed, trials, folder)
        with ray_cluster(None, cpus=os.cpu_count() or 1, shared_bytes=planned.study.shared_bytes):
            for algorithm, found in (("ours", ours), (peer, theirs)):
                value, taken = volume(algorithm, seed, trials, planned, directory)
                found.append(value)
                seconds.append(taken)
        print(f"seed {seed}: hypervolume on test rows {ours[-1]:.5f} (ours), {theirs[-1]:.5f} ({peer})", flush=True)
    return Race(np.array(ours), np.array(theirs), float(np.mean(seconds)))


def main(name: str, peer: str, description: str) -> None:
    """Race, and print the mean ratio with the limits that its spread over seeds gives."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds, four trials: a look, not a result")
    quick = parser.parse_args().quick
    print(f"machine: {machine()}")
    seeds, trials, folder = (SEEDS[:2], 4, RACE / "quick") if quick else (SEEDS, TRIALS, RACE)
    if quick:
        shutil.rmtree(folder, ignore_errors=True)
    found = race(peer, seeds, trials, folder)
    ratio = found.ours / found.peer
    reach = stats.t.ppf(0.5 + CONFIDENCE / 2, len(ratio) - 1) * ratio.std(ddof=1) / np.sqrt(len(ratio))
    mean, low, high = ratio.mean(), ratio.mean() - reach, ratio.mean() + reach
    verdict = "ahead" if low > 1 else "behind" if high < 1 else "not told apart"
    print(
        f"{name}: {mean:.3f} [{low:.3f}, {high:.3f}] over {len(ratio)} seeds ({verdict}; lower limit of .97 "
        f"{'reached' if low >= 0.97 else 'MISSED'}); {found.trial_s:.1f} s a trial"
    )
    if quick:
        print("smoke: a look, not a result; nothing was appended")
        return
    unit = f"mean ratio of hypervolumes on test rows, {len(ratio)} seeds x {trials} trials; limits by seeds"
    append_result(Ratio(id=name, value=float(mean), unit=unit, peer=peer, low=float(low), high=float(high)))
