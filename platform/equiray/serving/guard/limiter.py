"""The one limiter that all replicas share: a named Ray actor around the ledger.

Notable: it holds no keys, for what is asked of it carries the limit. How far quotas are reserved stands in the
database, written ahead in the background, so that a lease waits for it on a key's first request of a day alone. A
limiter that Ray started anew after a crash goes on from there, its buckets empty: limits hold over `kill -9`. While it
cannot be reached, requests of limited keys are refused with 503 as soon as their replica's lease ends; keys without
limits never ask it.
"""

import asyncio
import hashlib
import logging
import time
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from equiray.serving.guard.limits import AHEAD, Lease, Ledger, Moment, Quota, Unit
from equiray.serving.guard.quotas import QuotaTable
from equiray.serving.guard.refusals import RETRY_SOON_S, Refused
from equiray.serving.guard.tables import open_engine

_LOG = logging.getLogger(__name__)
_NAMESPACE = "equiray"
_ANSWER_WITHIN_S = 2.0


def _clock() -> Moment:
    return Moment(time.monotonic(), time.time())


class SharedLedger:
    """The ledger and its quotas' marks in the database. Its methods run in one event loop.

    Parameters
    ----------
    quotas : QuotaTable
    restarted : bool
        Whether another one was lost: what that had granted in the last minute is not known.
    clock : callable
    """

    def __init__(self, quotas: QuotaTable, *, restarted: bool = False, clock: Callable[[], Moment] = _clock) -> None:
        self._quotas, self._clock = quotas, clock
        self._ledger = Ledger(empty_since=clock() if restarted else None)
        self._writing: dict[str, asyncio.Lock] = {}
        self._ahead: dict[str, asyncio.Task[None]] = {}

    async def lease(self, key_id: str, unit: Unit, limit: int, need: int, left: Lease) -> Lease | Refused:
        """Take back what is left of a replica's lease, and grant a new one, or say why not."""
        self.give_back(key_id, unit, limit, left)
        if unit == "tokens":
            try:
                await self._reserve(key_id, limit, need)
            except SQLAlchemyError:
                return _unavailable()
            self._reserve_ahead(key_id, limit)
        return self._ledger.lease(key_id, unit, limit, need, self._clock())

    def give_back(self, key_id: str, unit: Unit, limit: int, left: Lease) -> None:
        """Take back what is left of a lease."""
        if left.amount:
            self._ledger.give_back(key_id, unit, limit, left, self._clock())

    async def _reserve(self, key_id: str, limit: int, need: int) -> None:
        """Return when the day's mark covers what is needed, or nothing ever will."""
        while not self._covers(key_id, need):
            async with self._writing.setdefault(key_id, asyncio.Lock()):
                if not self._covers(key_id, need):
                    await self._write_mark(key_id, limit, need)

    def _reserve_ahead(self, key_id: str, limit: int) -> None:
        """Begin to write the next mark, where half of what was reserved ahead is used."""
        ahead = limit // (2 * AHEAD)
        if key_id not in self._ahead and not self._covers(key_id, ahead):
            task = self._ahead[key_id] = asyncio.create_task(self._reserve(key_id, limit, ahead))
            task.add_done_callback(lambda done: self._end(key_id, done))

    def _end(self, key_id: str, done: asyncio.Task[None]) -> None:
        del self._ahead[key_id]
        if not done.cancelled() and done.exception() is not None:
            _LOG.warning("a quota cannot be written ahead: %s", type(done.exception()).__name__)

    def _covers(self, key_id: str, need: int) -> bool:
        quota = self._ledger.quotas.get(key_id)
        return quota is not None and quota.day == self._clock().day and quota.wanted_mark(need) is None

    async def _write_mark(self, key_id: str, limit: int, need: int) -> None:
        day = self._clock().day
        quota = self._ledger.quotas.get(key_id)
        if quota is None or quota.day != day:
            used = await asyncio.to_thread(self._quotas.mark, key_id, day)
            quota = self._ledger.quotas[key_id] = Quota(limit, day=day, used=used)
        mark = quota.wanted_mark(need)
        if mark is not None:
            await asyncio.to_thread(self._quotas.write_mark, key_id, day, mark)
            quota.reserved = mark


class RayLeases:
    """Leases from the actor of a store; see `leases.Leases`.

    Parameters
    ----------
    url : str
        The keys' database: every replica of it shares one limiter.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._actor: Any = start_limiter(url)

    async def check(self) -> None:
        """Raises Refused, 503, while the actor does not answer, as when it has just been started."""
        await self._asked(lambda actor: actor.__ray_ready__.remote())

    async def lease(self, key_id: str, unit: Unit, limit: int, need: int, left: Lease) -> Lease:
        """Ask the actor; 503 where it does not answer."""
        answer = await self._asked(lambda actor: actor.lease.remote(key_id, unit, limit, need, left))
        if isinstance(answer, Refused):
            raise answer
        return answer

    async def _asked(self, what: Callable[[Any], Awaitable[Any]]) -> Any:
        """A new actor is started where the former one is dead for good."""
        from ray.exceptions import ActorDiedError, RayError

        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                return await what(self._actor)
        except ActorDiedError as error:
            self._actor = await asyncio.to_thread(start_limiter, self._url, restarted=True)
            raise _unavailable() from error
        except (RayError, TimeoutError) as error:
            raise _unavailable() from error

    def give_back(self, key_id: str, unit: Unit, limit: int, left: Lease) -> None:
        """Tell the actor; nobody waits."""
        self._actor.give_back.remote(key_id, unit, limit, left)


class _Actor(SharedLedger):
    def __init__(self, url: str, restarted: bool) -> None:
        import ray

        with warnings.catch_warnings():  # Ray's own code calls a name that Ray has deprecated
            warnings.simplefilter("ignore")
            again = bool(ray.get_runtime_context().was_current_actor_reconstructed)
        super().__init__(QuotaTable(open_engine(url)), restarted=restarted or again)


def start_limiter(url: str, *, restarted: bool = False) -> Any:
    """The limiter of a store: the one that runs in this Ray cluster, or a new one, which outlives its starter.

    Parameters
    ----------
    url : str
    restarted : bool
        Whether a new one takes the place of one that was lost.
    """
    import ray

    actor = ray.remote(num_cpus=0, max_restarts=-1)(_Actor)
    named = actor.options(name=_name(url), namespace=_NAMESPACE, lifetime="detached", get_if_exists=True)
    return named.remote(url, restarted)


def stop_limiter(url: str) -> None:
    """End the limiter of a store, where one runs: with the application, for nothing else ends it."""
    import ray

    try:
        ray.kill(ray.get_actor(_name(url), namespace=_NAMESPACE))
    except ValueError:  # none runs
        return


def _name(url: str) -> str:
    return f"limiter-{hashlib.sha256(url.encode()).hexdigest()[:16]}"


def _unavailable() -> Refused:
    message = "the key's limits cannot be checked now; try again"
    return Refused(503, "limiter_unavailable", message, retry_after=RETRY_SOON_S)
