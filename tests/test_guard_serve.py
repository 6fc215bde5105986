"""The guard inside Ray Serve: two replicas behind its proxy, one limiter, one table of keys."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from equiray.serving.guard.keys import REVOKED_WITHIN_S, KeyStore
from equiray.serving.guard.leases import LeasingLimiter
from equiray.serving.guard.limiter import RayLeases, stop_limiter
from equiray.serving.guard.limits import Limits
from guarded_app import make_app

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]


@pytest.fixture(scope="module")
def served(tmp_path_factory, ray_cluster: None) -> Iterator[tuple[str, KeyStore]]:
    from ray import serve

    store_url = f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db"
    store = KeyStore.open(store_url)

    def build():
        return make_app(KeyStore.open(store_url), LeasingLimiter(RayLeases(store_url)), timeout_s=10)

    # Replicas import the app by name, and the tests' folder is on pytest's path alone.
    found = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}}

    @serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 0.1, "runtime_env": found})
    @serve.ingress(build)
    class Gateway:
        pass

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(Gateway.bind())
    yield f"http://127.0.0.1:{port}", store
    serve.shutdown()
    stop_limiter(store_url)
    store.close()


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def status_of(url: str, secret: str) -> int:
    return httpx.get(f"{url}/any", headers=bearer(secret), timeout=60).status_code


def test_eight_clients_share_one_limit(served: tuple[str, KeyStore]):
    url, store = served
    _, secret = store.create(name="x", scopes=["decide"], limits=Limits(requests_per_minute=40))
    _, other = store.create(name="y", scopes=["decide"], limits=Limits(requests_per_minute=1_000))
    time.sleep(2)  # every replica has read the table
    while status_of(url, other) != 200:  # and the limiter has come up
        time.sleep(0.5)
    began = time.monotonic()
    with ThreadPoolExecutor(8) as clients:
        statuses = list(clients.map(lambda _: status_of(url, secret), range(160)))
    seconds = time.monotonic() - began
    assert set(statuses) == {200, 429}
    assert 40 <= statuses.count(200) <= 40 + 40 / 60 * seconds + 1
    refused = httpx.get(f"{url}/any", headers=bearer(secret), timeout=60)
    assert 1 <= int(refused.headers["retry-after"]) <= 2


def test_every_replica_forgets_a_revoked_key_in_time(served: tuple[str, KeyStore]):
    url, store = served
    key, secret = store.create(name="x", scopes=["decide"])
    time.sleep(2)
    assert {status_of(url, secret) for _ in range(10)} == {200}
    store.revoke(key.key_id)
    time.sleep(REVOKED_WITHIN_S)
    assert {status_of(url, secret) for _ in range(20)} == {401}


def test_refusals_pass_ray_serve_unchanged(served: tuple[str, KeyStore]):
    url, store = served
    _, secret = store.create(name="x", scopes=["decide"])
    time.sleep(2)
    with httpx.Client(base_url=url, headers=bearer(secret), timeout=60) as http:
        assert http.post("/decide", json={"task": "t", "rows": [{}]}).json()["n"] == 1
        assert http.post("/decide", content=b" " * 20_000).status_code == 413
        assert (
            http.post("/decide", content=b"[" * 5_000, headers={"content-type": "application/json"}).status_code == 400
        )
        assert http.post("/chat").json()["error"]["code"] == "scope_missing"
        broken = http.get("/broken")
        assert (broken.status_code, broken.headers["retry-after"]) == (503, "1")
        assert "hunter2" not in broken.text
        slow = http.get("/slow")
        assert (slow.status_code, slow.json()["error"]["code"]) == (503, "timeout")
        with http.stream("GET", "/stream") as cut, pytest.raises(httpx.RemoteProtocolError):
            cut.read()
    anonymous = httpx.get(f"{url}/any", timeout=60)
    assert anonymous.status_code == 401
    assert anonymous.headers["www-authenticate"] == 'Bearer realm="equiray"'
