"""What a replica keeps of the shared limits: leases, spent without a hop.

Notable: a request whose units the lease covers makes no call and never yields to the event loop. A replica that dies
takes its leases with it, which never exceeds a limit; one that idles hands them back when they expire.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from equiray.serving.guard.key_rows import Key
from equiray.serving.guard.limits import LEASE_S, Lease, Unit
from equiray.serving.guard.refusals import Refused

_REMEMBER_REFUSAL_S = 0.25  # a client over its limit costs the limiter four calls a second, however fast it asks
_LONG_AGO = -float("inf")


class Leases(Protocol):
    """Where leases come from: the limiter, in another process or in this one."""

    async def lease(self, key_id: str, unit: Unit, limit: int, need: int, left: Lease) -> Lease:
        """Take back what is left of an earlier lease, and grant a new one; or raise Refused."""
        ...

    def give_back(self, key_id: str, unit: Unit, limit: int, left: Lease) -> None:
        """Take back what is left of a lease; nobody waits for it."""
        ...


class LeasingLimiter:
    """The limits of every key, as one replica sees them; for one event loop.

    Parameters
    ----------
    source : Leases
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, source: Leases, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._source, self._clock = source, clock
        self._accounts: dict[tuple[str, Unit], _Account] = {}
        self._sweeper: asyncio.Task[None] | None = None

    async def take(self, key: Key, *, requests: int = 0, rows: int = 0, tokens: int = 0) -> int:
        """Use so much of a key's limits, all of it or nothing.

        Returns
        -------
        int
            The day for which the tokens count, for `give_back`.

        Raises
        ------
        Refused
            429 over a limit; 413 for what never fits; 503 where the limiter cannot be reached.
        """
        day, taken = 0, []
        asked: list[tuple[Unit, int]] = [("requests", requests), ("rows", rows), ("tokens", tokens)]
        for unit, amount in asked:
            limit = key.limits.of(unit)
            if limit is None or amount <= 0:
                continue
            account = self._account(key.key_id, unit, limit)
            if not account.spend(amount, self._clock()):
                try:
                    await self._ask_until_spent(account, amount)
                except Refused:
                    for earlier, spent in taken:
                        earlier.unused += spent
                    raise
            taken.append((account, amount))
            day = account.lease.day
        return day

    def give_back(self, key: Key, *, tokens: int, day: int) -> None:
        """Return tokens that were taken ahead and not used; they go back within a lease's time, on the same day."""
        account = self._accounts.get((key.key_id, "tokens"))
        if account is not None and account.lease.day == day:
            account.unused += tokens

    def hand_back_expired(self) -> None:
        """Return what expired leases have left; a task of the first request's event loop does so all the time."""
        for account in self._accounts.values():
            if account.expires_at <= self._clock() and not account.asking.locked():
                left = account.leave()
                if left.amount:
                    self._source.give_back(account.key_id, account.unit, account.limit, left)

    def close(self) -> None:
        """Stop handing back expired leases."""
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _ask_until_spent(self, account: "_Account", amount: int) -> None:
        async with account.asking:  # one request asks; the others find its lease
            while not account.spend(amount, self._clock()):
                account.check_refusal(amount, self._clock())
                left, asked_at = account.leave(), self._clock()
                try:
                    lease = await self._source.lease(account.key_id, account.unit, account.limit, amount, left)
                except Refused as refused:
                    account.remember(refused, amount, self._clock() + _REMEMBER_REFUSAL_S)
                    raise
                account.begin(lease, asked_at + LEASE_S)

    def _account(self, key_id: str, unit: Unit, limit: int) -> "_Account":
        account = self._accounts.get((key_id, unit))
        if account is None:
            account = self._accounts[key_id, unit] = _Account(key_id, unit, limit)
            if self._sweeper is None or self._sweeper.done():
                self._sweeper = asyncio.get_running_loop().create_task(self._sweep())
        return account

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 4)
            self.hand_back_expired()


class _Account:
    """What this replica holds of one limit of one key."""

    def __init__(self, key_id: str, unit: Unit, limit: int) -> None:
        self.key_id, self.limit = key_id, limit
        self.unit: Unit = unit
        self.lease, self.expires_at = Lease(0, 0), _LONG_AGO
        self.unused = 0  # of this lease or an earlier one of its day; goes back with what it leaves
        self.asking = asyncio.Lock()
        self.refused: Refused | None = None
        self.refused_amount, self.refused_until = 0, _LONG_AGO

    def spend(self, amount: int, now: float) -> bool:
        """Whether the lease covers so much; it is then spent."""
        if amount > self.lease.amount or now >= self.expires_at:
            return False
        self.lease = Lease(self.lease.amount - amount, self.lease.day)
        return True

    def begin(self, lease: Lease, expires_at: float) -> None:
        """Hold a new lease; what came back of another day while it was asked for is gone."""
        if lease.day != self.lease.day:
            self.unused = 0
        self.lease, self.expires_at = lease, expires_at

    def leave(self) -> Lease:
        """Give up the lease; returns what is left of it."""
        left = Lease(self.lease.amount + self.unused, self.lease.day)
        self.lease, self.unused = Lease(0, self.lease.day), 0
        return left

    def remember(self, refused: Refused, amount: int, until: float) -> None:
        """Keep a refusal for a moment."""
        self.refused, self.refused_amount, self.refused_until = refused, amount, until

    def check_refusal(self, amount: int, now: float) -> None:
        """What was refused a moment ago is refused again, and so is more."""
        if self.refused is not None and amount >= self.refused_amount and now < self.refused_until:
            raise self.refused
