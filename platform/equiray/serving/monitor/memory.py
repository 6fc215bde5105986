"""`Memory`: the latest decisions, so that an outcome that comes later is counted with them, and once."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class Remembered:
    """One decision: codes of its groups, in the order of the attributes, its gates, and whether its label has come."""

    version: str
    decision: int
    groups: Sequence[int]
    gates: Mapping[str, bool]
    settled: bool = False


class Memory:
    """At most `most` decisions; the oldest are forgotten."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: OrderedDict[str, Remembered] = OrderedDict()

    def add(self, decision_id: str, one: Remembered) -> None:
        self._kept[decision_id] = one
        while len(self._kept) > self.most:
            self._kept.popitem(last=False)

    def find(self, decision_id: str) -> Remembered | None:
        return self._kept.get(decision_id)

    def __len__(self) -> int:
        return len(self._kept)

    def to_json(self) -> list[list[Any]]:
        return [
            [key, one.version, one.decision, list(one.groups), dict(one.gates), one.settled]
            for key, one in self._kept.items()
        ]

    @classmethod
    def from_json(cls, most: int, document: Sequence[Sequence[Any]]) -> "Memory":
        memory = cls(most)
        for key, *values in document:
            memory.add(key, Remembered(*values))
        return memory
