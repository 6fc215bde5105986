"""From cells to shares covered, kept as they come: a run that was stopped goes on where it stopped.

Of thousands of figures some fall short by Monte Carlo error alone. One that lies within `DOUBTFUL` of what is promised,
or beyond it, is drawn again, `AGAIN` times as often, and only the new samples count.
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from coverage_cells import Cell, Figures, remembered
from coverage_changes import paired_scores, paired_targets
from coverage_decided import decided, unanswered, weighted
from coverage_families import errors
from coverage_paired import paired
from coverage_scored import scored, weighted_scores
from coverage_targets import targets

LEAST, MOST = 0.93, 0.97
DOUBTFUL, AGAIN = 0.005, 8
FEWEST_KNOWN = 0.1
"""A metric is left out of a cell in which fewer samples than this share have a value: there it is not estimable."""

KEPT = Path(__file__).parents[1] / "runs" / "coverage" / "cells.jsonl"
STUDIES: Mapping[str, Callable[[Cell, np.random.Generator, int], Figures]] = {
    "blind": decided,
    "accurate": decided,
    "silent": decided,
    "unanswered": unanswered,
    "weighted": weighted,
    "paired": paired,
    "paired scores": paired_scores,
    "paired targets": paired_targets,
    "scores": scored,
    "weighted scores": weighted_scores,
    "targets": targets,
}


@dataclass(frozen=True, kw_only=True)
class Covered:
    """One metric in one cell: the share of samples with a value, how many of these are covered, and how widely.

    `width` is over that of an oracle who knows the estimate's standard deviation, NaN where that is 0.
    """

    metric: str
    cell: str
    samples: int
    estimable: float
    covered: float
    width: float
    regular: bool

    @property
    def doubtful(self) -> bool:
        """Whether Monte Carlo error may be what keeps a promise, or breaks it."""
        return self.covered < LEAST + DOUBTFUL or (self.regular and self.covered > MOST - DOUBTFUL)


Task = tuple[str, Any, int]
"""What it is called, a `Cell` or a family's name, and how many samples."""


def results(tasks: Sequence[Task], processes: int, kept: Path = KEPT) -> Iterator[dict[str, Any]]:
    """What each task finds, in any order; what is kept from an earlier run of the same code is not done again."""
    code = code_sha256()
    known = {(line["task"], line["samples"]): line for line in _lines(kept) if line["code"] == code}
    todo = [task for task in tasks if (task[0], task[2]) not in known]
    yield from (known[task[0], task[2]] for task in tasks if (task[0], task[2]) in known)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("a", encoding="utf-8") as file:
        for found in map(measure, todo) if processes == 1 else _side_by_side(todo, processes):
            line = {"code": code, **found}
            file.write(json.dumps(line) + "\n")
            file.flush()
            yield line


def measure(task: Task) -> dict[str, Any]:
    """What a task finds, as it is kept."""
    name, of, samples = task
    start = time.process_time()
    found = [asdict(row) for row in cover(of, samples)] if isinstance(of, Cell) else errors(of, samples)
    return {"task": name, "samples": samples, "found": found, "seconds": round(time.process_time() - start, 2)}


def cover(cell: Cell, simulations: int) -> list[Covered]:
    """All metrics of a cell; what is doubtful from samples drawn anew."""
    rows = simulate(cell, 0, simulations)
    doubtful = {place for place, row in rows.items() if row.doubtful}
    again = [simulate(cell, part, simulations, doubtful) for part in range(1, AGAIN + 1)] if doubtful else []
    for place in doubtful:
        rows[place] = _pooled([part[place] for part in again if place in part] or [rows[place]])
    return list(rows.values())


def simulate(cell: Cell, part: int, simulations: int, wanted: set[int] | None = None) -> dict[int, Covered]:
    """The metrics of a cell by their place in the study; those `wanted`, or all."""
    generator = np.random.default_rng([2026, part, *str(cell).encode()])
    rows = {}
    with remembered():
        for place, (metric, find) in enumerate(STUDIES[cell.kind](cell, generator, simulations)):
            if wanted is not None and place not in wanted:
                continue
            found = find()
            low, high = found.interval
            truth = np.broadcast_to(found.truth, low.shape)
            known = ~np.isnan(low) & ~np.isnan(found.estimate) & ~np.isnan(truth)
            if known.mean() < FEWEST_KNOWN:
                continue
            # Sums of floating-point chances may move the true value by a rounding error off an end it lies on.
            inside = (low[known] <= truth[known] + 1e-9) & (truth[known] - 1e-9 <= high[known])
            oracle = 2 * 1.96 * found.estimate[known].std()
            rows[place] = Covered(
                metric=metric,
                cell=str(cell),
                samples=simulations,
                estimable=float(known.mean()),
                covered=float(inside.mean()),
                width=float((high - low)[known].mean() / oracle) if oracle > 1e-12 else float("nan"),
                regular=bool(found.regular),
            )
    return rows


def code_sha256() -> str:
    """Hash of the code that is simulated and of what simulates it."""
    modules = [module for name, module in sys.modules.items() if name.startswith(("equiray.metrics", "coverage_"))]
    files = sorted({Path(module.__file__) for module in modules if module.__file__} | {Path(__file__)})
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _side_by_side(tasks: Iterable[Task], processes: int) -> Iterator[dict[str, Any]]:
    with ProcessPoolExecutor(processes) as pool:
        for done in as_completed([pool.submit(measure, task) for task in tasks]):
            yield done.result()


def _lines(kept: Path) -> list[dict[str, Any]]:
    """What was kept; the last line may have been cut off in the middle."""
    if not kept.is_file():
        return []
    whole = kept.read_text(encoding="utf-8")
    end = whole.rfind("\n") + 1
    if end < len(whole):
        kept.write_text(whole[:end], encoding="utf-8")
    return [json.loads(line) for line in whole[:end].splitlines()]


def _pooled(rows: Sequence[Covered]) -> Covered:
    estimable = np.array([row.estimable for row in rows])
    return Covered(
        metric=rows[0].metric,
        cell=rows[0].cell,
        samples=sum(row.samples for row in rows),
        estimable=float(estimable.mean()),
        covered=float(np.average([row.covered for row in rows], weights=estimable)),
        width=float(np.mean([row.width for row in rows])),
        regular=rows[0].regular,
    )
