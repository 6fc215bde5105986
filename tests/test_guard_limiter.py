"""The limiter as a Ray actor: shared by replicas, alive again after a crash, and refusing while it is away."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from equiray.serving.guard.key_rows import Key
from equiray.serving.guard.keys import KeyStore
from equiray.serving.guard.leases import LeasingLimiter
from equiray.serving.guard.limiter import RayLeases, stop_limiter
from equiray.serving.guard.limits import LEASE_S, Limits
from equiray.serving.guard.refusals import Refused
from guarded_app import make_app, serving

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    url = f"sqlite:///{tmp_path}/store.db"
    KeyStore.open(url).close()
    yield url
    stop_limiter(url)


def key_with(key_id: str = "k", **limits: int) -> Key:
    scopes = frozenset({"decide"})
    return Key(key_id=key_id, name="k", scopes=scopes, limits=Limits(**limits), created_at=datetime.now(UTC))


def ready(url: str) -> RayLeases:
    """The leases of an actor that has come up; until then it refuses, as it should."""
    leases = RayLeases(url)

    async def ask() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                await leases.check()
                return
            except Refused:
                await asyncio.sleep(0.2)
        raise AssertionError("the limiter did not come up")

    asyncio.run(ask())
    return leases


def test_eight_clients_on_two_servers_use_a_limit_up_exactly(url: str):
    store = KeyStore.open(url)
    _, secret = store.create(name="x", scopes=["chat"], limits=Limits(tokens_per_day=500))
    # two replicas: each its own app, keys, limiter and event loop; a chat takes 10 tokens and gives back 4
    apps = [make_app(KeyStore.open(url), LeasingLimiter(ready(url)), timeout_s=30) for _ in range(2)]
    answered: list[int] = []
    other: list[httpx.Response] = []

    def client(base: str) -> None:
        with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {secret}"}, timeout=60) as http:
            for _ in range(60):
                answer = http.post("/chat")
                if answer.status_code == 200:
                    answered.append(1)
                else:
                    other.append(answer)

    with serving(apps[0]) as one, serving(apps[1]) as two:
        threads = [threading.Thread(target=client, args=((one, two)[i % 2],)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        codes = {(a.status_code, a.json()["error"]["code"]) for a in other}
        assert (429, "quota_exceeded") in codes
        assert codes <= {(429, "quota_exceeded"), (503, "limiter_unavailable")}, "the second on a very busy machine"
        assert all(1 <= int(a.headers["retry-after"]) <= 86_400 for a in other)
        in_first_rush = len(answered)
        assert 10 * in_first_rush - 4 * (in_first_rush - 1) <= 500, "never more than the limit, refunds included"
        deadline = time.monotonic() + 4 * LEASE_S
        while time.monotonic() < deadline and 6 * len(answered) + 10 <= 500:  # refunds come back with the leases
            client(one)
            client(two)
            time.sleep(0.5)
    assert 500 - 10 < 6 * len(answered) <= 500


async def take(limiter: LeasingLimiter, key: Key, **amounts: int) -> int | Refused:
    try:
        return await limiter.take(key, **amounts)
    except Refused as refused:
        return refused


def test_a_killed_limiter_comes_back_and_no_limit_is_exceeded(url: str):
    import ray

    quota, rate = key_with("q", tokens_per_day=640), key_with("r", requests_per_minute=60)

    async def use_up(
        limiter: LeasingLimiter, key: Key, most: int = 10_000, **amounts: int
    ) -> tuple[int, Refused | None]:
        for n in range(most):
            refused = await take(limiter, key, **amounts)
            if isinstance(refused, Refused):
                return n, refused
        return most, None

    leases = ready(url)

    async def play() -> None:
        limiter = LeasingLimiter(leases)
        assert await use_up(limiter, quota, 100, tokens=1) == (100, None)
        assert (await use_up(limiter, rate, requests=1))[0] >= 60
        ray.kill(leases._actor, no_restart=False)
        replica = LeasingLimiter(leases)  # another replica holds no lease: it must ask
        statuses: list[int] = []
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (503 not in statuses or statuses[-1] == 503):
            answer = await take(replica, rate, requests=1)
            statuses.append(answer.status if isinstance(answer, Refused) else 200)
            await asyncio.sleep(0.05)
        assert 503 in statuses, "while it is away, requests are refused"
        assert statuses[-1] in (200, 429), "and it comes back"
        later, _ = await use_up(replica, rate, requests=1)
        assert later <= 10, "the bucket did not begin full again"
        n, refused = await use_up(replica, quota, tokens=1)
        assert refused is not None
        assert refused.code == "quota_exceeded"
        assert 640 - 100 - 2 * 10 <= n <= 640 - 100

    asyncio.run(play())


def test_a_limiter_that_is_gone_refuses_then_is_started_anew(url: str):
    key = key_with(requests_per_minute=60)

    leases = ready(url)

    async def play() -> None:
        limiter = LeasingLimiter(leases)
        await limiter.take(key, requests=1)
        stop_limiter(url)
        other = key_with("other", requests_per_minute=60)
        assert await limiter.take(key_with("free"), requests=1) == 0, "a key without limits needs no limiter"
        answers = []
        for _ in range(400):
            answers.append(await take(limiter, other, requests=1))
            if not isinstance(answers[-1], Refused) or answers[-1].status != 503:
                break
            await asyncio.sleep(0.3)
        assert isinstance(answers[0], Refused)
        assert (answers[0].status, answers[0].code) == (503, "limiter_unavailable")
        assert not isinstance(answers[-1], Refused) or answers[-1].status == 429

    asyncio.run(play())


def test_nobody_is_ready_without_a_limiter_until_another_has_come_up(url: str):
    leases = ready(url)
    stop_limiter(url)

    async def ask() -> None:
        for _ in range(100):  # it may answer for the last time while it is being killed
            await leases.check()
            await asyncio.sleep(0.1)

    with pytest.raises(Refused, match="limits cannot be checked"):
        asyncio.run(ask())
    ready(url)


def test_a_limiter_that_hangs_refuses_in_time(url: str, monkeypatch):
    monkeypatch.setattr("equiray.serving.guard.limiter._ANSWER_WITHIN_S", 0.2)

    class Hangs:
        class lease:
            @staticmethod
            async def remote(*_: object) -> None:
                await asyncio.sleep(60)

    async def play() -> None:
        leases = RayLeases(url)
        leases._actor = Hangs
        began = time.monotonic()
        refused = await take(LeasingLimiter(leases), key_with(requests_per_minute=60), requests=1)
        assert isinstance(refused, Refused)
        assert refused.status == 503
        assert time.monotonic() - began < 2

    asyncio.run(play())
