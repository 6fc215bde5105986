"""Rows, serializers and stand-in embedders for the streaming tests: invented people, vectors that mean nothing."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa

import people
from equiray.data.counterfactuals import twins
from equiray.data.text import Serializer
from equiray.errors import BadInput
from equiray.streaming.kernel import Embedded

AGES, HOURS = (20, 39, 40, 41), (20.0, 39.0, 40.0, 41.0)


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def rows(count: int) -> pa.Table:
    cases = list(product(people.SEXES, AGES, people.RACES, HOURS))
    chosen = [cases[i * 7 % len(cases)] for i in range(count)]
    return people.table([{"sex": s, "age": a, "race": r, "hours": h} for s, a, r, h in chosen])


def rows_and_twins(count: int) -> pa.Table:
    originals = rows(count)
    flipped = twins(originals, people.SCHEMA, ["sex"]).table
    return pa.concat_tables([originals, flipped], promote_options="default")


def serializer() -> Serializer:
    return Serializer.fit(
        people.task([{"age": age} for age in AGES]),
        template="text",
        order=people.ORDER,
        max_tokens=200,
        count_tokens=words,
    )


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """Vectors of a text's bytes; `trouble` happens at the first text of a call that contains `at`."""

    trouble: str = ""
    at: str = "age is 41"
    marker: Path = Path("nowhere")
    seconds: float = 0.0

    def identity(self) -> dict[str, str]:
        return {"model": "stand-in"}

    def load(self, threads: int | None) -> "StandIn":
        return self

    def __call__(self, texts: Sequence[str]) -> Embedded:
        time.sleep(self.seconds)
        if any(self.at in text for text in texts):
            self._trouble()
        vectors = np.array([[len(text), sum(text.encode()) % 997, text.count("e")] for text in texts], np.float32)
        if self.trouble == "nan":
            vectors[-1, 1] = np.nan
        return Embedded(vectors, sum(words(texts)))

    def _trouble(self) -> None:
        if self.trouble == "bad input":
            raise BadInput("a row that no model can read", place="row 7", fix="mend it")
        if self.trouble == "hang":
            time.sleep(600)
        if self.trouble == "die" or (self.trouble == "die once" and not self.marker.exists()):
            self.marker.touch()
            os._exit(1)
