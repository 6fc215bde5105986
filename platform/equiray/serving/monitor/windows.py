"""Decisions and outcomes per minute of the last hour: for plots only, never for a verdict."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

MINUTES = 60
_WORDS = ("decided", "selected", "outcomes")


class Windows:
    """Counts of the latest `MINUTES` minutes in which anything came."""

    def __init__(self) -> None:
        self._minutes: OrderedDict[str, dict[str, int]] = OrderedDict()

    def add(self, at: str, **counts: int) -> None:
        minute = at[:16]  # 2026-01-31T12:34
        bucket = self._minutes.setdefault(minute, dict.fromkeys(_WORDS, 0))
        for word, count in counts.items():
            bucket[word] += count
        while len(self._minutes) > MINUTES:
            self._minutes.popitem(last=False)

    def to_json(self) -> list[dict[str, Any]]:
        return [{"minute": minute, **counts} for minute, counts in self._minutes.items()]

    @classmethod
    def from_json(cls, document: Sequence[dict[str, Any]]) -> "Windows":
        windows = cls()
        for one in document:
            windows._minutes[one["minute"]] = {word: one[word] for word in _WORDS}
        return windows
