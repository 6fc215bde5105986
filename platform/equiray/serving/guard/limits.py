"""Rate limits and quotas of a key, and the one ledger that keeps them for all replicas. No clock, no Ray, no I/O.

Notable: a rate is a token bucket that holds one minute's worth, so that in any t minutes at most (1 + t) x the rate is
granted; a quota is counted by days of UTC and never exceeded. A grant is a small lease ahead of need: replicas spend it
without asking again. It is at most an eighth of what is left (a quota: a 64th), so the nearer a limit, the smaller the
leases, and at the limit each is what one request needs.
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple

from equiray.errors import BadInput
from equiray.serving.guard.refusals import Refused

LEASE_S = 5.0
"""Seconds for which a replica may spend a lease."""

AHEAD = 64
"""A quota is leased, and its mark written, by such parts of it."""

DAY_S = 86_400
Unit = Literal["requests", "rows", "tokens"]
"""What limits count."""

_LARGEST = 10**15  # exact as a float, and beyond any use


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a key may use; None: as much as it likes. They never change: for others, another key is made.

    Raises
    ------
    BadInput
        A limit is no number from 1 to 1e15.
    """

    requests_per_minute: int | None = None
    rows_per_minute: int | None = None
    tokens_per_day: int | None = None

    def __post_init__(self) -> None:
        for name, value in self.as_row().items():
            if value is not None and not 1 <= value <= _LARGEST:
                option = "--" + name.replace("_", "-")
                raise BadInput(f"no limit: {value}", place=option, fix=f"use 1 to {_LARGEST}, or leave it out for none")

    def as_row(self) -> dict[str, int | None]:
        """Its columns in the table of keys."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Any) -> "Limits":
        """Of a row of the table of keys."""
        return cls(**{field.name: getattr(row, field.name) for field in fields(cls)})

    def of(self, unit: Unit) -> int | None:
        """The limit on a unit."""
        return {"requests": self.requests_per_minute, "rows": self.rows_per_minute, "tokens": self.tokens_per_day}[unit]


class Lease(NamedTuple):
    """So many units that a replica may spend for `LEASE_S` seconds; tokens count for `day` (UTC, since 1970)."""

    amount: int
    day: int


class Moment(NamedTuple):
    """Now, by the clock that never jumps (rates) and by the one on the wall (days); seconds."""

    monotonic: float
    wall: float

    @property
    def day(self) -> int:
        """Days of UTC since 1970."""
        return int(self.wall // DAY_S)


class Bucket:
    """A rate: a bucket that holds `per_minute` units and refills at that rate.

    Parameters
    ----------
    unit : str
        `requests` or `rows`, for messages.
    per_minute : int
    level : float
        Units in it at `now`.
    now : Moment
    """

    def __init__(self, unit: str, per_minute: int, *, level: float, now: Moment) -> None:
        self._unit, self._size, self._rate = unit, per_minute, per_minute / 60
        self._level, self._at = min(level, per_minute), now.monotonic

    def check(self, amount: int, now: Moment) -> Refused | None:
        """Why so much cannot be granted now; None: it can."""
        self._level = min(self._size, self._level + max(0.0, now.monotonic - self._at) * self._rate)
        self._at = max(self._at, now.monotonic)
        limit = f"{self._size} {self._unit} per minute"
        if amount > self._size:
            return _never_fits(amount, self._unit, limit)
        wait = math.ceil((amount - self._level) * 60 / self._size)
        if wait <= 0:
            return None
        message = f"the key's limit of {limit} is reached; try again in {wait} s"
        return Refused(429, "rate_limit_exceeded", message, retry_after=wait)

    def grant(self, amount: int) -> int:
        """Grant what `check` let pass, and some more as a lease; returns both."""
        granted = max(amount, min(int(self._level / 8), math.ceil(self._rate * LEASE_S)))
        self._level -= granted
        return granted

    def give_back(self, amount: int) -> None:
        """Put back what a lease left over."""
        self._level = min(self._size, self._level + amount)


class Quota:
    """A day's tokens.

    What is granted never passes `reserved`, the mark that the database holds: after a crash the day goes on from the
    mark, so that a restart can lose a little of a quota, and never exceeds it.

    Parameters
    ----------
    per_day : int
    day : int
        Days of UTC since 1970.
    used : int
        The mark of an earlier limiter of that day; 0: there was none.
    """

    def __init__(self, per_day: int, *, day: int, used: int) -> None:
        self._per_day, self.day, self.used, self.reserved = per_day, day, used, used

    def wanted_mark(self, amount: int) -> int | None:
        """The mark to write before `amount` is granted, a little ahead; None: it is high enough, or none would be."""
        if self.used + amount <= self.reserved or self.used + amount > self._per_day:
            return None
        return min(self._per_day, self.used + amount + self._per_day // AHEAD)

    def check(self, amount: int, now: Moment) -> Refused | None:
        """Why so much cannot be granted now; None: it can."""
        limit = f"{self._per_day} tokens per day"
        if amount > self._per_day:
            return _never_fits(amount, "tokens", limit)
        if self.used + amount <= self._per_day:
            return None
        wait = math.ceil((self.day + 1) * DAY_S - now.wall)
        message = f"the key's quota of {limit} has {self._per_day - self.used} left; it begins anew at 00:00 UTC"
        return Refused(429, "quota_exceeded", message, retry_after=max(wait, 1))

    def grant(self, amount: int) -> int:
        """Grant what `check` let pass, and some more as a lease; returns both."""
        assert self.used + amount <= self.reserved, "the mark is written first"
        granted = max(amount, min((self._per_day - self.used) // AHEAD, self.reserved - self.used))
        self.used += granted
        return granted

    def give_back(self, amount: int) -> None:
        """Take back what was granted and not used."""
        self.used = max(0, self.used - amount)


class Ledger:
    """The buckets and quotas of every key.

    Parameters
    ----------
    empty_since : Moment or None
        When an earlier ledger was lost: what its buckets had granted is not known, so these begin empty then.
    """

    def __init__(self, *, empty_since: Moment | None = None) -> None:
        self._empty_since = empty_since
        self._buckets: dict[tuple[str, Unit], Bucket] = {}
        self.quotas: dict[str, Quota] = {}

    def lease(self, key_id: str, unit: Unit, limit: int, need: int, now: Moment) -> Lease | Refused:
        """Grant what is needed and a little more, or refuse.

        For tokens, the quota of the day is in `quotas` and its mark written (`Quota.wanted_mark`).
        """
        if unit == "tokens":
            quota = self.quotas[key_id]
            return quota.check(need, now) or Lease(quota.grant(need), quota.day)
        bucket = self._bucket(key_id, unit, limit, now)
        return bucket.check(need, now) or Lease(bucket.grant(need), now.day)

    def give_back(self, key_id: str, unit: Unit, limit: int, left: Lease, now: Moment) -> None:
        """Take back what a replica has not spent; tokens of a day that is over are gone."""
        if unit != "tokens":
            self._bucket(key_id, unit, limit, now).give_back(left.amount)
        elif key_id in self.quotas and self.quotas[key_id].day == left.day:
            self.quotas[key_id].give_back(left.amount)

    def _bucket(self, key_id: str, unit: Unit, limit: int, now: Moment) -> Bucket:
        found = self._buckets.get((key_id, unit))
        if found is None:
            lost = self._empty_since
            found = Bucket(unit, limit, level=limit if lost is None else 0, now=lost or now)
            self._buckets[key_id, unit] = found
        return found


def _never_fits(amount: int, unit: str, limit: str) -> Refused:
    return Refused(413, f"too_many_{unit}", f"{amount} {unit} at once never fit into the key's {limit}")
