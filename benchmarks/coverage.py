"""How often intervals cover what they estimate, and how often a family of claims errs.

Of thousands of figures some fall short by Monte Carlo error alone. A cell in which one lies within `DOUBTFUL` of what
is promised, or beyond it, is drawn again, `AGAIN` times as often, and only the new figures count.

python benchmarks/coverage.py          # 5,000 samples of every cell or more, 20,000 of the families; hours of CPU time
python benchmarks/coverage.py --quick  # 200 samples of a few cells: a look, not a result

Writes its tables into docs/statistics.md, between the lines that mark them.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from coverage_cells import CONFIDENCE, Cell, cells, study
from coverage_families import FAMILIES, errors
from harness import Ratio, append_result, start, usable_cores

SIMULATIONS, FAMILY_SIMULATIONS = 5000, 20_000
QUICK_SIMULATIONS, QUICK_CELLS = 200, 12
LEAST, MOST, FAMILY_MOST = 0.93, 0.97, 0.055
DOUBTFUL, AGAIN = 0.005, 8
FEWEST_KNOWN = 0.1
"""A metric is left out of a cell in which fewer samples than this share have a value: there it is not estimable."""

DOCUMENT = Path(__file__).parents[1] / "docs" / "statistics.md"
BEGIN, END = "<!-- benchmarks/coverage.py writes from here -->", "<!-- to here -->"


class Covered(NamedTuple):
    """One metric in one cell: the share of samples with a value, how many of these are covered, and how widely.

    `width` is over that of an oracle who knows the estimate's standard deviation.
    """

    metric: str
    cell: str
    estimable: float
    covered: float
    width: float
    regular: bool

    @property
    def doubtful(self) -> bool:
        """Whether Monte Carlo error may be what keeps a promise, or breaks it."""
        return self.covered < LEAST + DOUBTFUL or (self.regular and self.covered > MOST - DOUBTFUL)


def measure(task: tuple[int, Cell, int]) -> list[Covered]:
    """All metrics of a cell; if one is doubtful, all from samples drawn anew."""
    seed, cell, simulations = task
    first = simulate(cell, [seed, 0], simulations)
    if not any(row.doubtful for row in first.values()):
        return list(first.values())
    again = [simulate(cell, [seed, part], simulations) for part in range(1, AGAIN + 1)]
    return [_pooled([part[place] for part in again if place in part] or [row]) for place, row in first.items()]


def simulate(cell: Cell, seed: Sequence[int], simulations: int) -> dict[int, Covered]:
    """All metrics of a cell, by their place in the study."""
    rows = {}
    for place, (metric, found) in enumerate(study(cell, np.random.default_rng([2026, *seed]), simulations)):
        low, high = found.interval
        known = ~np.isnan(low) & ~np.isnan(found.estimate)
        if known.mean() < FEWEST_KNOWN or np.isnan(found.truth):
            continue
        # Sums of floating-point chances may move the true value by a rounding error off an end it lies on.
        inside = (low[known] <= found.truth + 1e-9) & (found.truth - 1e-9 <= high[known])
        oracle = 2 * 1.96 * found.estimate[known].std()
        width = float((high - low)[known].mean() / oracle) if oracle > 1e-12 else np.nan
        rows[place] = Covered(metric, str(cell), float(known.mean()), float(inside.mean()), width, found.regular)
    return rows


def _pooled(rows: Sequence[Covered]) -> Covered:
    estimable = np.array([row.estimable for row in rows])
    covered = float(np.average([row.covered for row in rows], weights=estimable))
    width = float(np.mean([row.width for row in rows]))
    return rows[0]._replace(estimable=float(estimable.mean()), covered=covered, width=width)


def summary(rows: Iterable[Covered]) -> Iterator[str]:
    """A line for each metric: the lowest and highest coverage, where, and how wide the intervals are."""
    by_metric: Mapping[str, list[Covered]] = defaultdict(list)
    for row in rows:
        by_metric[row.metric].append(row)
    yield "| metric | cells | lowest coverage | in | highest where at most 97 % is due | width over the oracle's |"
    yield "|---|---|---|---|---|---|"
    for metric, found in by_metric.items():
        lowest = min(found, key=lambda row: row.covered)
        regular = [row.covered for row in found if row.regular]
        highest = f"{max(regular):.2%}" if regular else ""
        widths = [row.width for row in found if not np.isnan(row.width)]
        middle, widest = (f"{value:.2f}" for value in (np.median(widths), max(widths))) if widths else ("", "")
        where = f"{lowest.cell}" + ("" if lowest.estimable > 0.999 else f" ({lowest.estimable:.0%} estimable)")
        yield f"| {metric} | {len(found)} | {lowest.covered:.2%} | {where} | {highest} | {middle}, at most {widest} |"


def family_lines(wrong: Mapping[str, float], simulations: int) -> Iterator[str]:
    """A line for each family."""
    yield "| family | errs |"
    yield "|---|---|"
    for name, share in wrong.items():
        yield f"| {name} | {share:.2%} ± {2 * np.sqrt(share * (1 - share) / simulations):.2%} |"


def write(lines: Sequence[str]) -> None:
    """Put the lines between the marks of the document, which is made if it does not exist."""
    old = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else f"# Statistics\n\n{BEGIN}\n{END}\n"
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text("\n".join([f"{before}{BEGIN}", *lines, f"{END}{after}"]), encoding="utf-8")


def main() -> int:
    """Exit code 1 if something covers less, or errs more often, than is promised."""
    quick = start(__doc__ or "")
    simulations, in_family = (QUICK_SIMULATIONS,) * 2 if quick else (SIMULATIONS, FAMILY_SIMULATIONS)
    chosen = list(cells())
    if quick:
        chosen = chosen[:: max(1, len(chosen) // QUICK_CELLS)]
    tasks = [(place, cell, simulations) for place, cell in enumerate(chosen)]
    tasks.sort(key=lambda task: -len(task[1].sizes))  # the long ones first
    rows: list[Covered] = []
    with ProcessPoolExecutor(usable_cores()) as pool:
        for done, found in enumerate(pool.map(measure, tasks)):
            rows += found
            print(f"cell {done + 1}/{len(tasks)}: {found[0].cell if found else 'nothing estimable'}", flush=True)
        wrong = dict(zip(FAMILIES, pool.map(errors, FAMILIES, [in_family] * len(FAMILIES)), strict=True))
    once, again = (2 * np.sqrt(CONFIDENCE * (1 - CONFIDENCE) / n) for n in (simulations, AGAIN * simulations))
    lines = [
        "",
        f"{simulations:,} samples of each of {len(chosen)} cells, {AGAIN * simulations:,} of those in doubt; twice the "
        f"Monte Carlo error at {CONFIDENCE:.0%} is {once:.2%} and {again:.2%}. An oracle's interval is 3.92 true "
        "standard deviations of the estimate wide.",
        "",
        *summary(rows),
        "",
        f"Families of claims at 5 %, {in_family:,} samples:",
        "",
        *family_lines(wrong, in_family),
        "",
    ]
    print("\n".join(lines))
    lowest, highest = min(row.covered for row in rows), max(row.covered for row in rows if row.regular)
    good = lowest >= LEAST and highest <= MOST and max(wrong.values()) <= FAMILY_MOST
    print(f"lowest {lowest:.2%} (promised {LEAST:.0%}), highest where due {highest:.2%} (promised {MOST:.0%})")
    if quick:
        print("smoke: a look, not a result; nothing was written")
        return 0
    write(lines)
    append_result(
        Ratio(id="coverage", value=lowest, unit="share covered", peer="nominal 0.95", low=lowest, high=highest)
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
