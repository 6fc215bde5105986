"""A FairNet on MiniLM, trained a little, bundled, and served by `equiray serve`, for benchmarks of the endpoint."""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import yaml
from harness import Side, usable_cores

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # the server that the tests start

from equiray.bundles.bundle import Bundle
from equiray.cli import main as equiray
from equiray.data.tasks.load import load_task
from equiray.specs.run import TaskSpec
from served import Server, running  # pyright: ignore[reportMissingImports]

BATCH_ROWS, CLIENTS = 256, 2
_TRAINING = {"epochs": 0.5}


def command(*arguments: object) -> None:
    """One of equiray's commands, which succeeds."""
    try:
        equiray([str(argument) for argument in arguments])
    except SystemExit as left:
        if left.code:
            raise


def trained(folder: Path, task: str, *, rows: int, dtype: str) -> Path:
    """A bundle that little training on few rows made: its speed is that of a good one."""
    spec = {
        "schema": "equiray.fairnet/1",
        "name": "served",
        "tasks": [{"name": task, "attributes": ["sex"], "rows": rows}],
        "seeds": [0],
        "backbone": {"source": "minilm", "max_tokens": 256, "frozen_layers": 4, "dtype": dtype},
        "base": _TRAINING,
        "detector": {"training": _TRAINING},
        "adapter": {"training": _TRAINING},
        "baselines": ["thresholds"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec))
    command("run", folder / "spec.yaml", "--out", folder / "run")
    command("bundle", folder / "run", "--pick", "seed0", "--out", folder / "bundle")
    return folder / "bundle"


def people(bundle: Bundle, rows: int | None = None) -> pa.Table:
    """The features of a bundle's task, of its first rows."""
    assert bundle.serializer is not None
    schema = bundle.serializer.schema
    table = load_task(TaskSpec(name=schema.name), 0).table
    return table.select([feature.name for feature in schema.features]).slice(0, rows)


class Endpoint:
    """Clients of a running server, which ask about rows of a task."""

    def __init__(self, server: Server, http: httpx.Client, task: str, rows: list[dict[str, Any]]) -> None:
        self.server, self._http, self._task, self._rows = server, http, task, rows

    def ask(self, chosen: Sequence[int]) -> dict[str, Any]:
        """One request's answer."""
        body = {"task": self._task, "rows": [self._rows[place] for place in chosen]}
        return self._http.post("/v1/decisions", json=body).raise_for_status().json()

    def decide(self, chosen: Sequence[int]) -> list[dict[str, Any]]:
        """What one request's rows are decided."""
        return self.ask(chosen)["decisions"]

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
def endpoint(bundle: Path, folder: Path, table: pa.Table, task: str, *, alone: bool) -> Iterator[Endpoint]:
    """A server whose decider may use all cores; `alone`: it decides every row by itself."""
    folder.mkdir()
    batching = {"rows": BATCH_ROWS, "deterministic": alone}
    live = running(bundle, folder, batching=batching, decider={"cpus": usable_cores()})
    with live as server, server.client("decide") as http:
        yield Endpoint(server, http, task, table.to_pylist())
