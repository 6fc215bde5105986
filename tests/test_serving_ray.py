"""`equiray serve` for real: what it answers over HTTP, and what changes without a restart.

What the OpenAPI document promises is held by test_serving_openapi.py, without Ray.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pyarrow as pa
import pytest

from equiray.bundles.bundle import Bundle, load_bundle
from equiray.bundles.deciding import GatedDecider, with_thresholds
from equiray.data.tasks.load import load_task
from equiray.specs.fairnet import load_fairnet_spec
from served import Server, running, small_bundle, until
from serving_apps import rows_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ALL = ("decide", "outcomes", "audit", "admin")
APART = 2e-2  # bfloat16: with other neighbours in a batch a row's padding, and so its last bits, differ


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def made(folder: Path) -> Path:
    return small_bundle(folder)


@pytest.fixture(scope="module")
def bundle(made: Path) -> Bundle:
    return load_bundle(made)


@pytest.fixture(scope="module")
def people(folder: Path, made: Path) -> pa.Table:
    table = load_task(load_fairnet_spec(folder / "run" / "spec.yaml").tasks[0], 0).table
    return table.slice(0, 520)


@pytest.fixture(scope="module")
def rows(bundle: Bundle, people: pa.Table) -> list[dict[str, Any]]:
    assert bundle.serializer is not None
    return rows_of(people, [feature.name for feature in bundle.serializer.schema.features])


@pytest.fixture(scope="module")
def server(made: Path, folder: Path) -> Iterator[Server]:
    with running(made, folder) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client(*ALL) as opened:
        yield opened


def decided(client: httpx.Client, rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    answer = client.post("/v1/decisions", json={"task": "people", "rows": rows, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_decisions_over_http_are_the_bundles_own(client: httpx.Client, server: Server, bundle: Bundle, people, rows):
    assert isinstance(bundle.decider, GatedDecider)
    first = bundle.decide(people)
    gates = dict(zip(first.gates, np.median(first.risk, axis=0).astype(float).tolist(), strict=True))
    decider = with_thresholds(bundle.decider, float(np.median(first.probability)), gates)
    server.configure(threshold=decider.threshold, gates=gates)
    until(lambda: "+" in decided(client, rows[:1])["model_version"], "the live settings are taken")
    said = [
        one for start in range(0, len(rows), 100) for one in decided(client, rows[start : start + 100])["decisions"]
    ]
    texts = bundle.serializer.texts(people.append_column("row_id", pa.array(np.arange(len(people)))))
    expected = decider(texts, np.arange(len(texts)))

    probability = np.array([one["probability"] for one in said])
    risk = np.array([[one["gates"][name]["risk"] for name in expected.gates] for one in said])
    opened = np.array([[one["gates"][name]["open"] for name in expected.gates] for one in said])
    positive = np.array([one["decision"] for one in said]) == 1
    same_gates = (opened == expected.open).all(axis=1)
    risk_apart = np.abs(risk - expected.risk).max()
    apart = np.abs(probability - expected.probability)[same_gates].max()
    assert max(risk_apart, apart) <= APART
    near_gate = (np.abs(expected.risk - list(gates.values())) <= risk_apart).any(axis=1)
    near = near_gate | (np.abs(expected.probability - decider.threshold) <= apart)
    assert same_gates[~near_gate].all() and (positive == expected.positive)[~near].all()
    other = int((~same_gates | (positive != expected.positive)).sum())
    print(f"{len(rows)} rows, scores at most {max(risk_apart, apart):.1e} apart;", end=" ")
    print(f"{int(near.sum())} so near a threshold, {other} of them decided otherwise")
    assert near.mean() < 0.2 and 0 < opened.sum() < opened.size and 0 < positive.sum() < len(positive)


def test_texts_that_the_decider_reads_are_those_of_training(bundle: Bundle, people, rows):
    from equiray.serving.decisions.rows import table_of

    assert bundle.serializer is not None
    place = pa.array(np.arange(len(people)))
    sent = table_of(rows, bundle.serializer.schema).append_column("row_id", place)
    assert bundle.serializer.texts(sent) == bundle.serializer.texts(people.append_column("row_id", place))


def test_thresholds_change_in_the_same_process(client: httpx.Client, server: Server, rows):
    server.configure(threshold=None, gates={})
    until(lambda: "+" not in decided(client, rows[:1])["model_version"], "the bundle's own settings are back")
    before, pids = decided(client, rows[:50]), server.pids("decider")
    server.configure(threshold=2.0, gates={"sex": 2.0})
    until(lambda: decided(client, rows[:1])["model_version"] != before["model_version"], "other settings are taken")
    after = decided(client, rows[:50])
    assert after["model_version"].startswith(before["model_version"] + "+")
    assert {one["decision"] for one in after["decisions"]} == {0}
    assert not any(one["gates"]["sex"]["open"] for one in after["decisions"])
    assert server.pids("decider") == pids and len(pids) == 1

    server.configure(threshold=0.5, gates={"age": 0.5})
    until(lambda: "no gate is called 'age'" in server.log.read_text(), "settings that cannot be used are named")
    assert decided(client, rows[:1])["model_version"] == after["model_version"]
    assert server.pids("decider") == pids
    server.configure(threshold=None, gates={})
    until(lambda: decided(client, rows[:1])["model_version"] == before["model_version"], "the former settings are back")


def test_the_monitor_shows_what_was_decided(client: httpx.Client, server: Server, rows):
    def seen() -> int:
        """Decisions of this version, once the monitor has read the log."""
        length = server.verify().length
        until(lambda: client.get("/v1/fairness").json()["audit"]["length"] == length, "the monitor has read the log")
        versions = {one["model_version"]: one for one in client.get("/v1/fairness").json()["versions"]}
        return versions[version]["decisions"]

    version = decided(client, rows[:20])["model_version"]
    count = seen()
    decided(client, rows[:20])
    assert seen() == count + 20
    text = client.get("/metrics")
    assert text.status_code == 200 and text.headers["content-type"].startswith("text/plain") and version in text.text


def test_what_is_served_is_listed(client: httpx.Client, server: Server):
    (model,) = client.get("/v1/models").json()["data"]
    assert model["task"] == "people" and set(model["attributes"]) == {"sex", "region", "town"}
    assert httpx.get(f"{server.url}/healthz").text == "ok"
    page = httpx.get(f"{server.url}/dashboard")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html") and "<h1" in page.text


@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/audit", "/v1/models", "/metrics", "/v1/fairness", "/nowhere"])
def test_without_a_key_nothing_is_said(server: Server, path: str):
    assert httpx.request("POST" if path == "/v1/decisions" else "GET", server.url + path).status_code == 401


def test_the_log_verifies_after_all_this(server: Server):
    found = server.verify()
    assert found.problems == () and found.length > 0


def test_one_process_of_each_serves(server: Server):
    assert {role: len(server.pids(role)) for role in ("gateway", "decider", "watch", "proxy")} == {
        "gateway": 1,
        "decider": 1,
        "watch": 1,
        "proxy": 1,
    }
    assert psutil.pid_exists(server.process.pid)
