"""Decisions per second through the endpoint, in batches, against the bare bundle's loop over the same rows.

    python benchmarks/decisions_vs_loop.py            # about ten minutes, with the training of the bundle
    python benchmarks/decisions_vs_loop.py --quick    # a look, not a result

A FairNet on MiniLM decides the 1,000 people of German Credit as text. The endpoint is `equiray serve`: Ray Serve's
proxy, key, limits, one Decider replica, a record committed before each answer leaves, the live monitor; two clients
send 256 rows at a time. The loop calls `Bundle.decide` with the same 256 rows in one process, without HTTP or records.
Both may use all cores. Beside it: what `deterministic: true` costs, under which every row is decided alone.
"""

import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import yaml
from harness import Goal, Side, agree, measure_sides, publish, start, usable_cores

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))  # the server that the tests start

from equiray.bundles.bundle import load_bundle  # noqa: E402
from equiray.cli import main as equiray  # noqa: E402
from equiray.data.tasks.load import load_task  # noqa: E402
from equiray.specs.run import TaskSpec  # noqa: E402
from served import running  # noqa: E402  # pyright: ignore[reportMissingImports]

AIM, BATCH_ROWS, CLIENTS, ALONE_ROWS = 0.8, 256, 2, 64
TRAINING = {"epochs": 0.5}
SPEC = {
    "schema": "equiray.fairnet/1",
    "name": "served",
    "tasks": [{"name": "german", "attributes": ["sex"], "rows": 600}],
    "seeds": [0],
    "backbone": {"source": "minilm", "max_tokens": 256, "frozen_layers": 4, "dtype": "bfloat16"},
    "base": TRAINING,
    "detector": {"training": TRAINING},
    "adapter": {"training": TRAINING},
    "baselines": ["thresholds"],
}


def command(*arguments: object) -> None:
    """One of equiray's commands, which succeeds."""
    try:
        equiray([str(argument) for argument in arguments])
    except SystemExit as left:
        if left.code:
            raise


def trained(folder: Path) -> Path:
    """A bundle that little training on few rows made: its speed is that of a good one."""
    (folder / "spec.yaml").write_text(yaml.safe_dump(SPEC))
    command("run", folder / "spec.yaml", "--out", folder / "run")
    command("bundle", folder / "run", "--pick", "seed0", "--out", folder / "bundle")
    return folder / "bundle"


class Endpoint:
    """Clients of a running server."""

    def __init__(self, http: httpx.Client, rows: list[dict[str, Any]]) -> None:
        self._http, self._rows = http, rows

    def decide(self, chosen: range) -> list[dict[str, Any]]:
        """What one request's rows are decided."""
        body = {"task": "german", "rows": [self._rows[place] for place in chosen]}
        return self._http.post("/v1/decisions", json=body).raise_for_status().json()["decisions"]

    def all_of(self, chosen: range) -> list[dict[str, Any]]:
        """The same in batches, several on the way at once."""
        with ThreadPoolExecutor(CLIENTS) as clients:
            return [one for each in clients.map(self.decide, batches(chosen)) for one in each]

    def side(self, name: str) -> Side:
        """For the harness."""
        return Side(name, lambda chosen: float(len(self.all_of(chosen))))


def batches(chosen: range) -> list[range]:
    """Ranges of `BATCH_ROWS` rows."""
    return [chosen[start : start + BATCH_ROWS] for start in range(0, len(chosen), BATCH_ROWS)]


@contextmanager
def endpoint(bundle: Path, folder: Path, rows: list[dict[str, Any]], *, alone: bool) -> Iterator[Endpoint]:
    """A server whose decider may use all cores."""
    folder.mkdir()
    batching = {"rows": BATCH_ROWS, "deterministic": alone}
    live = running(bundle, folder, batching=batching, decider={"cpus": usable_cores()})
    with live as server, server.client("decide") as http:
        yield Endpoint(http, rows)


def probabilities(decisions: list[dict[str, Any]]) -> np.ndarray:
    """Of the positive class."""
    return np.array([one["probability"] for one in decisions])


def main() -> None:
    """Measure both, then what it costs to decide every row alone."""
    quick = start(__doc__ or "")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        path = trained(folder)
        bundle = load_bundle(path)
        assert bundle.serializer is not None
        table = load_task(TaskSpec(name="german"), 0).table
        table = table.select([feature.name for feature in bundle.serializer.schema.features])
        rows, everybody = table.to_pylist(), range(len(table))

        def loop(chosen: range) -> float:
            return float(sum(len(bundle.decide(_rows(table, each)).probability) for each in batches(chosen)))

        with endpoint(path, folder / "together", rows, alone=False) as served:
            own = [bundle.decide(_rows(table, each)).probability for each in batches(everybody)]
            agree("probabilities", probabilities(served.all_of(everybody)), np.concatenate(own), 2e-2)
            sides = served.side("endpoint"), Side("loop", loop)
            taken = measure_sides(sides, len(rows), quick=quick, at_least=len(rows))
        ratios = [rates["endpoint"] / rates["loop"] for rates in taken]
        with endpoint(path, folder / "alone", rows, alone=True) as served:
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
