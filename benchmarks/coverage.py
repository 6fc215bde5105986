"""How often intervals cover what they estimate, and how often a family of claims errs.

python benchmarks/coverage.py                # 5,000 samples of every cell or more, 20,000 of the families
python benchmarks/coverage.py --processes 1  # on one core; default: all
python benchmarks/coverage.py --every 5      # one cell of five, and all families
python benchmarks/coverage.py --quick        # 200 samples of a few cells: a look, not a result

Writes its tables into docs/statistics.md, between the lines that mark them. What a run that was stopped has found is
kept in runs/coverage, and the same command goes on from there.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from coverage_cells import CONFIDENCE, cells
from coverage_families import FAMILIES
from coverage_measure import AGAIN, KEPT, LEAST, MOST, Covered, Task, results
from harness import Ratio, append_result, machine, usable_cores

SIMULATIONS, FAMILY_SIMULATIONS = 5000, 20_000
QUICK_SIMULATIONS, QUICK_CELLS = 200, 12
FAMILY_MOST = 0.055

KINDS: Mapping[str, tuple[str, str]] = {
    "Figures": ("", ""),
    "One group less the other": ("", ", one group less the other"),
    "Some rows unanswered": ("", ", some rows unanswered"),
    "Weighted rows": ("weighted ", ""),
    "Changes between two models": ("change of ", ""),
}
"""Tables, and how the names of the figures in them begin and end."""

DOCUMENT = Path(__file__).parents[1] / "docs" / "statistics.md"
BEGIN, END = "<!-- benchmarks/coverage.py writes from here -->", "<!-- to here -->"


def tasks(quick: bool, every: int = 1) -> list[Task]:
    """Cells, then families."""
    chosen = list(cells())
    chosen = chosen[:: max(1, len(chosen) // QUICK_CELLS) if quick else every]
    simulations, in_family = (QUICK_SIMULATIONS,) * 2 if quick else (SIMULATIONS, FAMILY_SIMULATIONS)
    return [*((str(cell), cell, simulations) for cell in chosen), *((name, name, in_family) for name in FAMILIES)]


def summary(rows: Iterable[Covered]) -> Iterator[str]:
    """A table of each kind of figure, a line for each metric: lowest and highest coverage, where, and how wide."""
    by_metric: dict[str, dict[str, list[Covered]]] = {title: defaultdict(list) for title in KINDS}
    for row in rows:
        title, metric = kind_of(row.metric)
        by_metric[title][metric].append(row)
    for title, metrics in by_metric.items():
        if not metrics:
            continue
        yield from (f"### {title}", "")
        yield "| metric | cells | lowest coverage | in | highest where at most 97 % is due | width over the oracle's |"
        yield "|---|---|---|---|---|---|"
        yield from (_line(metric, found) for metric, found in metrics.items())
        yield ""


def kind_of(name: str) -> tuple[str, str]:
    """The table that a figure belongs to, and its name there."""
    for title, (prefix, suffix) in KINDS.items():
        if (prefix or suffix) and name.startswith(prefix) and name.endswith(suffix):
            return title, name.removeprefix(prefix).removesuffix(suffix)
    return next(iter(KINDS)), name


def _line(metric: str, found: Sequence[Covered]) -> str:
    lowest = min(found, key=lambda row: row.covered)
    regular = [row.covered for row in found if row.regular]
    highest = f"{max(regular):.2%}" if regular else ""
    widths = [row.width for row in found if not np.isnan(row.width)]
    middle, widest = (f"{value:.2f}" for value in (np.median(widths), max(widths))) if widths else ("", "")
    where = lowest.cell + ("" if lowest.estimable > 0.999 else f" ({lowest.estimable:.0%} estimable)")
    return f"| {metric} | {len(found)} | {lowest.covered:.2%} | {where} | {highest} | {middle}, at most {widest} |"


def family_lines(wrong: Mapping[str, float], simulations: int) -> Iterator[str]:
    """A line for each family."""
    yield "| family | errs |"
    yield "|---|---|"
    for name, share in wrong.items():
        yield f"| {name} | {share:.2%} ± {2 * np.sqrt(share * (1 - share) / simulations):.2%} |"


def write(lines: Sequence[str]) -> None:
    """Put the lines between the marks of the document."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text("\n".join([f"{before}{BEGIN}", *lines, f"{END}{after}"]), encoding="utf-8")


def main() -> int:
    """Exit code 1 if something covers less, or errs more often, than is promised."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few cells, few samples: a look, not a result")
    parser.add_argument("--processes", type=int, default=usable_cores(), metavar="N", help="default: one for each core")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="one cell of N; default: all")
    options = parser.parse_args()
    todo = tasks(options.quick, options.every)
    print(f"machine: {machine()}; {len(todo)} cells and families, {options.processes} processes", flush=True)
    with tempfile.TemporaryDirectory() as thrown_away:
        kept = Path(thrown_away) / KEPT.name if options.quick else KEPT
        found = {}
        for line in results(todo, options.processes, kept):
            found[line["task"]] = line
            print(f"{len(found)}/{len(todo)} {line['task']}: {line['seconds']} s", flush=True)
    rows = [Covered(**row) for name, of, _ in todo if name != of for row in found[name]["found"]]
    wrong = {name: found[name]["found"] for name in FAMILIES}
    lines = document_lines(rows, wrong, options.quick)
    print("\n".join(lines))
    lowest, highest = min(row.covered for row in rows), max(row.covered for row in rows if row.regular)
    good = lowest >= LEAST and highest <= MOST and max(wrong.values()) <= FAMILY_MOST
    print(f"lowest {lowest:.2%} (promised {LEAST:.0%}), highest where due {highest:.2%} (promised {MOST:.0%})")
    print(f"{sum(line['seconds'] for line in found.values()) / 60:.0f} minutes of CPU time")
    if options.quick:
        print("smoke: a look, not a result; nothing was written")
        return 0
    write(lines)
    append_result(
        Ratio(id="coverage", value=lowest, unit="share covered", peer="nominal 0.95", low=lowest, high=highest)
    )
    return 0 if good else 1


def document_lines(rows: Sequence[Covered], wrong: Mapping[str, float], quick: bool) -> list[str]:
    """Both tables, and how sure they are."""
    simulations, in_family = tasks(quick)[0][2], tasks(quick)[-1][2]
    once, again = (2 * np.sqrt(CONFIDENCE * (1 - CONFIDENCE) / n) for n in (simulations, AGAIN * simulations))
    return [
        "",
        f"{simulations:,} samples of each of {len({row.cell for row in rows})} of {len(list(cells()))} cells, "
        f"{AGAIN * simulations:,} where in doubt; twice the Monte Carlo error at {CONFIDENCE:.0%} is {once:.2%} and "
        f"{again:.2%}. An oracle's interval is 3.92 true standard deviations of the estimate wide.",
        "",
        *summary(rows),
        "### Families of claims",
        "",
        f"At 5 %, {in_family:,} samples.",
        "",
        *family_lines(wrong, in_family),
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
