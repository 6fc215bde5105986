"""How benchmarks measure: ours and the peer in turn on the same work, each for 20 s or more, five times or more.

Start-up and warm-up are excluded for both and printed. What is published is the median of the repeats' ratios with
their smallest and largest; a `--quick` run prints `smoke` and is not appended.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike

RESULTS = Path(__file__).with_name("latest.jsonl")
REPEATS, SECONDS = 5, 20.0
QUICK_REPEATS, QUICK_SECONDS = 1, 2.0


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """One line of benchmarks/latest.jsonl: the median of the repeats' ratios, and the smallest and largest of them."""

    id: str
    value: float
    unit: str
    peer: str
    low: float
    high: float


class Side(NamedTuple):
    """One of the two that are compared: `run(rows)` does the work on the rows from `rows.start` on.

    It returns the units of work done (rows, or floating point operations).
    """

    name: str
    run: Callable[[range], float]


class Rates(NamedTuple):
    """Units per second of both sides in one repeat."""

    ours: float
    peer: float


def measure(
    ours: Side, peer: Side, rows: int, *, quick: bool, at_least: int = 1, clock: Callable[[], float] = time.perf_counter
) -> list[Rates]:
    """Interleave both sides over the same rows; within a repeat both get the same ones, each for `SECONDS` or more.

    `rows` is how many there are to choose from; repeats that would outgrow them begin again at the first. A repeat does
    `at_least` so many, where work that rows share would otherwise be undercounted: it grows with their number. `clock`
    is what seconds are taken from: `time.process_time` counts those of all threads.
    """
    sides = (ours, peer)
    taken = measure_sides(sides, rows, quick=quick, at_least=at_least, clock=clock)
    return [Rates(rates[ours.name], rates[peer.name]) for rates in taken]


def measure_sides(
    sides: Sequence[Side],
    rows: int,
    *,
    quick: bool,
    at_least: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> list[dict[str, float]]:
    """`measure` for any number of sides: units per second by name, one record per repeat."""
    repeats, seconds = (QUICK_REPEATS, QUICK_SECONDS) if quick else (REPEATS, SECONDS)
    pace = min(_pace(side, rows) for side in sides)
    wanted = max(int(pace * seconds) + 1, 1 if quick else at_least)
    size = min(wanted, rows)  # the slowest side's time; the others do the same rows again
    print(f"warm-up done; {repeats} repeats of {size} rows, {seconds:g} s or more each side")
    taken = []
    for repeat in range(repeats):
        chosen = _window(repeat, size, rows)
        order = sides if repeat % 2 == 0 else tuple(reversed(sides))  # none always runs second
        timed = {side.name: _rate(side, chosen, seconds, clock) for side in order}
        taken.append({side.name: timed[side.name] for side in sides})
        said = ", ".join(f"{name} {rate:.4g}/s" for name, rate in taken[-1].items())
        print(f"repeat {repeat + 1}/{repeats}: {said}")
    return taken


def _window(repeat: int, size: int, rows: int) -> range:
    start = repeat * size % max(rows - size + 1, 1)
    return range(start, start + size)


def _pace(side: Side, rows: int) -> float:
    """Rows per second in a short warm-up."""
    few = range(min(16, rows))
    side.run(few)
    start = time.perf_counter()
    side.run(few)
    return len(few) / (time.perf_counter() - start)


def _rate(side: Side, chosen: range, seconds: float, clock: Callable[[], float]) -> float:
    done, start = 0.0, clock()
    while (elapsed := clock() - start) < seconds:
        done += side.run(chosen)
    return done / elapsed


def report(
    name: str, rates: Sequence[Rates], *, unit: str, peer: str, quick: bool, target: float | None = None
) -> Ratio:
    """Print the median of ours over the peer's rate, with its spread, and append it unless the run was quick."""
    goal = None if target is None else Goal("at least", target)
    return publish(name, [rate.ours / rate.peer for rate in rates], unit=unit, peer=peer, quick=quick, goal=goal)


class Goal(NamedTuple):
    """What a figure is to reach."""

    side: Literal["at least", "at most"]
    bound: float

    def said(self, value: float) -> str:
        """Whether it does."""
        reached = value >= self.bound if self.side == "at least" else value <= self.bound
        return f"; target: {self.side} {self.bound:g}, {'reached' if reached else 'MISSED'}"


def publish(
    name: str, values: Sequence[float], *, unit: str, peer: str, quick: bool, goal: Goal | None = None
) -> Ratio:
    """Print the median of the repeats' figures, with their spread, and append it unless the run was quick."""
    ratio = Ratio(id=name, value=statistics.median(values), unit=unit, peer=peer, low=min(values), high=max(values))
    said = "" if goal is None else goal.said(ratio.value)
    print(f"{name}: {ratio.value:.3f} {unit} (of {len(values)} repeats {ratio.low:.3f} to {ratio.high:.3f}){said}")
    if quick:
        print("smoke: a look, not a result; nothing was appended")
    else:
        append_result(ratio)
    return ratio


def append_result(ratio: Ratio) -> None:
    """Append a line to benchmarks/latest.jsonl, with the machine and the date."""
    line = asdict(ratio) | {"machine": machine(), "date": datetime.now(UTC).date().isoformat()}
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def machine() -> str:
    """CPU model and cores, and the GPU if there is one; no host name."""
    model = platform.processor() or platform.machine()
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        named = [line for line in listed.read_text().splitlines() if line.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{model}, {usable_cores()} cores{gpu}"


def usable_cores() -> int:
    """Cores that this process may use: containers and task sets count."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start(description: str) -> bool:
    """Parse `--quick`, give torch all usable cores, print the settings; True if quick."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short repeat: a look, not a result")
    quick = parser.parse_args().quick
    torch.set_num_threads(usable_cores())
    print(f"machine: {machine()}; torch {torch.__version__}, {torch.get_num_threads()} threads")
    return quick


def agree(what: str, ours: ArrayLike, peer: ArrayLike, tolerance: float) -> None:
    """Stop unless both sides computed the same thing."""
    difference = float(np.abs(np.asarray(ours) - np.asarray(peer)).max())
    print(f"same {what}: largest difference {difference:.2g} (allowed {tolerance:g})")
    if not difference <= tolerance:
        raise SystemExit(f"the two sides did not compute the same {what}: they differ by {difference:.3g}")
