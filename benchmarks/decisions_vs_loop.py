"""Decisions per second through the endpoint, in batches, against the bare bundle's loop over the same rows.

    python benchmarks/decisions_vs_loop.py            # about ten minutes, with the training of the bundle
    python benchmarks/decisions_vs_loop.py --quick    # a look, not a result

A FairNet on MiniLM decides the 1,000 people of German Credit as text. The endpoint is `equiray serve`: Ray Serve's
proxy, key, limits, one Decider replica, a record committed before each answer leaves, the live monitor; two clients
send 256 rows at a time. The loop calls `Bundle.decide` with the same 256 rows in one process, without HTTP or records.
Both may use all cores. Beside it: what `deterministic: true` costs, under which every row is decided alone.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from harness import Goal, Side, agree, measure_sides, publish, start
from served_bundle import batches, endpoint, people, trained

from equiray.bundles.bundle import load_bundle

AIM, ALONE_ROWS = 0.8, 64


def probabilities(decisions: list[dict[str, Any]]) -> np.ndarray:
    """Of the positive class."""
    return np.array([one["probability"] for one in decisions])


def main() -> None:
    """Measure both, then what it costs to decide every row alone."""
    quick = start(__doc__ or "")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        path = trained(folder, "german", rows=600, dtype="bfloat16")
        bundle = load_bundle(path)
        table = people(bundle)
        everybody = range(len(table))

        def loop(chosen: range) -> float:
            return float(sum(len(bundle.decide(_rows(table, each)).probability) for each in batches(chosen)))

        with endpoint(path, folder / "together", table, "german", alone=False) as served:
            own = [bundle.decide(_rows(table, each)).probability for each in batches(everybody)]
            agree("probabilities", probabilities(served.all_of(everybody)), np.concatenate(own), 2e-2)
            sides = served.side("endpoint"), Side("loop", loop)
            taken = measure_sides(sides, len(table), quick=quick, at_least=len(table))
        ratios = [rates["endpoint"] / rates["loop"] for rates in taken]
        with endpoint(path, folder / "alone", table, "german", alone=True) as served:
            few = range(ALONE_ROWS)
            forth, back = served.decide(few), served.decide(few[::-1])[::-1]
            if [one["probability"] for one in forth] != [one["probability"] for one in back]:
                raise SystemExit("`deterministic: true` gave other bits in another order")
            alone = measure_sides((served.side("deterministic"),), ALONE_ROWS, quick=True)[0]["deterministic"]
    publish("decisions_vs_loop", ratios, unit="times", peer="bundle loop", quick=quick, goal=Goal("at least", AIM))
    together = float(np.median([rates["endpoint"] for rates in taken]))
    print(f"deterministic: true: {alone:.1f} decisions/s, {together / alone:.1f} times slower than {together:.1f}")


def _rows(table: pa.Table, chosen: range) -> pa.Table:
    return table.slice(chosen.start, len(chosen))


if __name__ == "__main__":
    main()
