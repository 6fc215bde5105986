"""Rates, quotas and leases: the total never exceeds a limit, whatever replicas, crashes and clocks do."""

import asyncio
import itertools
import math
import statistics
import time
from collections import Counter
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from equiray.serving.guard.key_rows import Key
from equiray.serving.guard.keys import KeyStore
from equiray.serving.guard.leases import LeasingLimiter
from equiray.serving.guard.limiter import SharedLedger
from equiray.serving.guard.limits import DAY_S, LEASE_S, Bucket, Lease, Ledger, Limits, Moment, Quota
from equiray.serving.guard.quotas import QuotaTable
from equiray.serving.guard.refusals import Refused
from equiray.serving.guard.tables import create_tables, open_engine

NOON = 20_000 * DAY_S + DAY_S / 2


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, wall: float = NOON) -> None:
        self.seconds, self.wall = 100.0, wall

    def __call__(self) -> Moment:
        return Moment(self.seconds, self.wall)

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall += seconds


class InProcess:
    """Leases straight from a ledger; counts the hops."""

    def __init__(self, ledger: SharedLedger) -> None:
        self.ledger, self.hops = ledger, 0

    async def lease(self, key_id: str, unit, limit: int, need: int, left: Lease) -> Lease:
        self.hops += 1
        await asyncio.sleep(0)
        answer = await self.ledger.lease(key_id, unit, limit, need, left)
        if isinstance(answer, Refused):
            raise answer
        return answer

    def give_back(self, key_id: str, unit, limit: int, left: Lease) -> None:
        self.ledger.give_back(key_id, unit, limit, left)


@pytest.fixture
def quotas(tmp_path: Path) -> QuotaTable:
    engine = open_engine(f"sqlite:///{tmp_path}/store.db")
    create_tables(engine)
    return QuotaTable(engine)


def key_with(**limits: int) -> Key:
    scopes = frozenset({"decide"})
    return Key(key_id="k", name="k", scopes=scopes, limits=Limits(**limits), created_at=datetime.now(UTC))


def replicas(quotas: QuotaTable, clock: Clock, n: int) -> list[LeasingLimiter]:
    shared = SharedLedger(quotas, clock=clock)
    return [LeasingLimiter(InProcess(shared), clock=lambda: clock.seconds) for _ in range(n)]


async def refusal(limiter: LeasingLimiter, key: Key, **amounts: int) -> Refused:
    with pytest.raises(Refused) as caught:
        await limiter.take(key, **amounts)
    return caught.value


@given(
    per_minute=st.integers(1, 500),
    asks=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 60)), min_size=1, max_size=80),
)
def test_no_interval_grants_more_than_a_burst_and_the_rate(per_minute: int, asks: list[tuple[float, int]]):
    clock, granted = Clock(), []
    ledger = Ledger()
    for seconds, amount in asks:
        clock.pass_by(seconds)
        answer = ledger.lease("k", "requests", per_minute, amount, clock())
        if isinstance(answer, Lease):
            assert answer.amount >= amount
            granted.append((clock.seconds, answer.amount))
        else:
            assert answer.status == (413 if amount > per_minute else 429)
    for first, last in itertools.combinations_with_replacement(range(len(granted)), 2):
        seconds = granted[last][0] - granted[first][0]
        total = sum(amount for _, amount in granted[first : last + 1])
        assert total <= per_minute + per_minute / 60 * seconds + 1e-6


@given(per_minute=st.integers(1, 500), amount=st.integers(1, 500))
def test_retry_after_is_the_first_second_that_lets_it_through(per_minute: int, amount: int):
    clock = Clock()
    bucket = Bucket("requests", per_minute, level=0, now=clock())
    refused = bucket.check(amount, clock())
    assert refused is not None
    if amount > per_minute:
        assert (refused.status, refused.retry_after) == (413, None)
        return
    assert refused.status == 429
    assert refused.retry_after == math.ceil(Fraction(amount * 60, per_minute))
    clock.pass_by(refused.retry_after + 1e-6)
    assert bucket.check(amount, clock()) is None


def test_a_clock_that_runs_backwards_grants_nothing():
    clock = Clock()
    bucket = Bucket("requests", 60, level=0, now=clock())
    clock.pass_by(-1000)
    assert bucket.check(1, clock()) is not None
    clock.pass_by(1000)
    assert bucket.check(1, clock()) is not None


@pytest.mark.parametrize("limit", [1, 7, 100, 1000])
@pytest.mark.parametrize("unit", ["requests", "rows"])
def test_two_replicas_with_eight_clients_use_a_rate_up_exactly(quotas: QuotaTable, limit: int, unit: str):
    clock = Clock()
    key, used = key_with(**{f"{unit}_per_minute": limit}), Counter()

    async def client(limiter: LeasingLimiter, name: int) -> None:
        while True:
            try:
                await limiter.take(key, **{unit: 1})
            except Refused:
                return
            used[name] += 1
            await asyncio.sleep(0)

    async def all_clients() -> None:
        pair = replicas(quotas, clock, 2)
        await asyncio.gather(*(client(pair[i % 2], i) for i in range(8)))

    asyncio.run(all_clients())
    assert used.total() == limit


def test_a_day_of_many_replicas_uses_a_quota_up_exactly(quotas: QuotaTable):
    clock, key, used, waits = Clock(), key_with(tokens_per_day=5_000), 0, set()

    async def day() -> None:
        nonlocal used
        four = replicas(quotas, clock, 4)
        for turn in range(2_000):
            limiter = four[turn % 4]
            try:
                granted = await limiter.take(key, tokens=7)
            except Refused as refused:
                waits.add(refused.retry_after + clock.wall // 1)
            else:
                used += 7
                if turn % 3 == 0:  # a text that ended early
                    used -= 5
                    limiter.give_back(key, tokens=5, day=granted)
            clock.pass_by(0.4)
            if turn % 10 == 0:
                await sweep(four)
        await sweep(four)
        while True:  # what leases and texts left over can be used, to the last unit
            clock.pass_by(1)
            try:
                await four[0].take(key, tokens=1)
            except Refused:
                break
            used += 1

    asyncio.run(day())
    assert used == 5_000
    assert waits == {20_001 * DAY_S}, "the quota begins anew at midnight"


async def sweep(limiters: list[LeasingLimiter]) -> None:
    """What the background task does when its time has come."""
    for limiter in limiters:
        limiter.hand_back_expired()


def test_a_request_normally_makes_no_hop(quotas: QuotaTable):
    clock, key = Clock(), key_with(requests_per_minute=6_000, rows_per_minute=600_000)

    async def minute() -> int:
        (limiter,) = replicas(quotas, clock, 1)
        for _ in range(3_000):  # half of what it may
            await limiter.take(key, requests=1)
            await limiter.take(key, rows=64)
            clock.pass_by(0.02)
        return limiter._source.hops

    assert asyncio.run(minute()) <= 3_000 * 0.02


def test_expired_leases_go_back_to_the_others(quotas: QuotaTable):
    clock, key = Clock(), key_with(tokens_per_day=6_400)

    async def play() -> None:
        idle, busy = replicas(quotas, clock, 2)
        await idle.take(key, tokens=1)  # leases a 64th, and falls silent
        taken = 0
        while True:
            try:
                await busy.take(key, tokens=1)
            except Refused:
                break
            taken += 1
        assert taken == 6_400 - 100
        clock.pass_by(LEASE_S - 0.01)
        await sweep([idle])
        assert (await refusal(busy, key, tokens=1)).status == 429
        clock.pass_by(0.3)  # and the refusal is no longer remembered
        await sweep([idle])
        for _ in range(99):
            await busy.take(key, tokens=1)
        clock.pass_by(1)
        assert (await refusal(busy, key, tokens=1)).status == 429

    asyncio.run(play())


def test_an_expired_lease_is_not_spent(quotas: QuotaTable):
    clock, key = Clock(), key_with(requests_per_minute=600)

    async def play() -> None:
        (limiter,) = replicas(quotas, clock, 1)
        await limiter.take(key, requests=1)
        hops = limiter._source.hops
        await limiter.take(key, requests=1)
        assert limiter._source.hops == hops
        clock.pass_by(LEASE_S)
        await limiter.take(key, requests=1)
        assert limiter._source.hops == hops + 1

    asyncio.run(play())


def test_a_client_over_its_limit_costs_few_hops(quotas: QuotaTable):
    clock, key = Clock(), key_with(requests_per_minute=1)

    async def play() -> None:
        (limiter,) = replicas(quotas, clock, 1)
        await limiter.take(key, requests=1)
        for _ in range(1_000):
            assert (await refusal(limiter, key, requests=1)).retry_after == 60
            clock.pass_by(0.001)
        assert limiter._source.hops <= 1 + 5
        clock.pass_by(60)
        await limiter.take(key, requests=1)

    asyncio.run(play())


def test_what_never_fits_is_said_so(quotas: QuotaTable):
    key = key_with(rows_per_minute=100, tokens_per_day=50)

    async def play() -> None:
        (limiter,) = replicas(quotas, Clock(), 1)
        rows, tokens = await refusal(limiter, key, rows=101), await refusal(limiter, key, tokens=51)
        assert (rows.status, rows.code, rows.retry_after) == (413, "too_many_rows", None)
        assert "101 rows" in rows.message
        assert "100 rows per minute" in rows.message
        assert (tokens.status, tokens.code) == (413, "too_many_tokens")

    asyncio.run(play())


def test_units_are_taken_together_or_not_at_all(quotas: QuotaTable):
    clock, key = Clock(), key_with(requests_per_minute=10, rows_per_minute=10)

    async def play() -> None:
        (limiter,) = replicas(quotas, clock, 1)
        await limiter.take(key, rows=10)
        for _ in range(20):
            await refusal(limiter, key, requests=1, rows=1)
            clock.pass_by(0.02)  # an answered request in between would have used the ten up
        clock.pass_by(LEASE_S)
        await sweep([limiter])
        for _ in range(10):
            await limiter.take(key, requests=1)

    asyncio.run(play())


def test_a_key_without_limits_makes_no_hop():
    class Down:
        async def lease(self, *_: object) -> Lease:
            raise AssertionError("asked")

        def give_back(self, *_: object) -> None:
            raise AssertionError("asked")

    asyncio.run(LeasingLimiter(Down()).take(key_with(), requests=1, rows=5, tokens=7))


def lease_all(ledger: SharedLedger, limit: int, *, most: int) -> int:
    """Tokens that a ledger grants until it refuses, or until `most` leases."""

    async def play() -> int:
        total = 0
        for _ in range(most):
            answer = await ledger.lease("k", "tokens", limit, 1, Lease(0, 0))
            if isinstance(answer, Refused):
                break
            total += answer.amount
        return total

    return asyncio.run(play())


@pytest.mark.parametrize("limit", [10, 1_000, 10**12])
def test_crashes_never_exceed_a_quota(quotas: QuotaTable, limit: int):
    clock = Clock()
    granted = [lease_all(SharedLedger(quotas, restarted=True, clock=clock), limit, most=3) for _ in range(20)]
    granted.append(lease_all(SharedLedger(quotas, clock=clock), limit, most=10**6))
    lost = 20 * (2 * limit // 64)  # a lease's part at most, and half of one written ahead
    assert limit - lost <= sum(granted) <= limit
    clock.pass_by(DAY_S)
    assert lease_all(SharedLedger(quotas, clock=clock), limit, most=10**6) == limit, "a new day"


def test_a_crash_leaves_rates_empty(quotas: QuotaTable):
    clock = Clock()
    after = SharedLedger(quotas, restarted=True, clock=clock)
    clock.pass_by(1)

    async def ask() -> Lease | Refused:
        return await after.lease("k", "requests", 60, 1, Lease(0, 0))

    assert asyncio.run(ask()) == Lease(1, 20_000), "one second's worth"
    refused = asyncio.run(ask())
    assert isinstance(refused, Refused)
    assert refused.retry_after == 1


def test_tokens_of_yesterday_do_not_count_today(quotas: QuotaTable):
    clock, key = Clock(wall=20_001 * DAY_S - 1), key_with(tokens_per_day=100)

    async def play() -> None:
        (limiter,) = replicas(quotas, clock, 1)
        yesterday = await limiter.take(key, tokens=100)
        assert (await refusal(limiter, key, tokens=1)).retry_after == 1
        clock.pass_by(2)
        today = await limiter.take(key, tokens=100)
        assert today == yesterday + 1
        limiter.give_back(key, tokens=100, day=yesterday)
        clock.pass_by(LEASE_S)
        await sweep([limiter])
        await refusal(limiter, key, tokens=1)
        limiter.give_back(key, tokens=100, day=today)
        clock.pass_by(LEASE_S)
        await sweep([limiter])
        await limiter.take(key, tokens=100)

    asyncio.run(play())


def test_tokens_that_come_back_while_the_day_changes_are_gone(quotas: QuotaTable):
    clock, key = Clock(wall=20_001 * DAY_S - 1), key_with(tokens_per_day=100)

    class AtMidnight(InProcess):
        async def lease(self, *asked) -> Lease:
            if clock.wall < 20_001 * DAY_S and self.hops:
                clock.pass_by(2)
                limiter.give_back(key, tokens=60, day=20_000)
            return await super().lease(*asked)

    limiter = LeasingLimiter(AtMidnight(SharedLedger(quotas, clock=clock)), clock=lambda: clock.seconds)

    async def play() -> None:
        await limiter.take(key, tokens=60)
        await limiter.take(key, tokens=100)
        clock.pass_by(LEASE_S)
        await sweep([limiter])
        await refusal(limiter, key, tokens=1)

    asyncio.run(play())


def test_a_lease_of_yesterday_gives_nothing_back_today():
    clock, ledger = Clock(), Ledger()
    quota = ledger.quotas["k"] = Quota(100, day=clock().day, used=0)
    quota.reserved = 100
    lease = ledger.lease("k", "tokens", 100, 100, clock())
    assert lease == Lease(100, clock().day)
    ledger.give_back("k", "tokens", 100, Lease(100, clock().day - 1), clock())
    assert quota.used == 100
    ledger.give_back("k", "tokens", 100, Lease(100, clock().day), clock())
    assert quota.used == 0


def test_a_mark_that_cannot_be_written_grants_nothing(quotas: QuotaTable, monkeypatch):
    def fails(*_: object) -> None:
        raise OperationalError("UPDATE", {}, Exception("disk full"))

    monkeypatch.setattr(quotas, "write_mark", fails)

    async def play() -> None:
        (limiter,) = replicas(quotas, Clock(), 1)
        refused = await refusal(limiter, key_with(tokens_per_day=100), tokens=1)
        assert (refused.status, refused.code, refused.retry_after) == (503, "limiter_unavailable", 1)
        assert "disk" not in refused.message

    asyncio.run(play())


def test_marks_are_written_while_leases_are_granted(quotas: QuotaTable, monkeypatch):
    """A slow database delays a key's first lease of a day, and no later one."""
    write = quotas.write_mark

    def slowly(key_id: str, day: int, reserved: int) -> None:
        time.sleep(0.05)
        write(key_id, day, reserved)

    monkeypatch.setattr(quotas, "write_mark", slowly)

    async def play() -> tuple[int, list[float]]:
        ledger, total, waits = SharedLedger(quotas), 0, []
        for _ in range(60):
            began = time.monotonic()
            answer = await ledger.lease("k", "tokens", 6_400, 10, Lease(0, 0))
            waits.append(time.monotonic() - began)
            assert isinstance(answer, Lease)
            ledger.give_back("k", "tokens", 6_400, Lease(answer.amount - 10, answer.day))
            total += 10
            assert quotas.mark("k", answer.day) >= total, "never ahead of its mark"
            await asyncio.sleep(0.02)
        return total, waits

    _, waits = asyncio.run(play())
    assert waits[0] > 0.05
    assert sorted(waits)[-3] < 0.04, "a busy machine may delay one"


def test_the_background_task_hands_leases_back(quotas: QuotaTable, monkeypatch):
    monkeypatch.setattr("equiray.serving.guard.leases.LEASE_S", 0.05)
    key = key_with(tokens_per_day=6_400)

    async def play() -> None:
        shared = SharedLedger(quotas)
        idle, busy = (LeasingLimiter(InProcess(shared)) for _ in range(2))
        await idle.take(key, tokens=1)
        await asyncio.sleep(0.3)
        assert shared._ledger.quotas["k"].used == 1
        idle.close()
        busy.close()

    asyncio.run(play())


def test_key_and_limits_cost_a_request_less_than_a_fifth_of_a_millisecond(tmp_path: Path):
    store = KeyStore.open(f"sqlite:///{tmp_path}/store.db")
    limits = Limits(requests_per_minute=10**7, rows_per_minute=10**7)
    _, secret = store.create(name="x", scopes=["decide"], limits=limits)

    async def play() -> float:
        limiter, spent = LeasingLimiter(InProcess(SharedLedger(QuotaTable(store._engine)))), []
        for _ in range(2_000):
            began = time.perf_counter()
            key = store.authenticate(secret)
            await limiter.take(key, requests=1)
            await limiter.take(key, rows=1)
            spent.append(time.perf_counter() - began)
        return statistics.median(spent)

    assert asyncio.run(play()) < 0.0002  # 0.01 ms on an idle machine
    store.close()
