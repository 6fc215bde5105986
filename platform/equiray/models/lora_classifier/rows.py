"""What a classifier is trained on: prompts with their right answers, and which of them a step sees."""

import hashlib
import json
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.data.text import Prompts


class LabelledPrompts(NamedTuple):
    """Prompts and their right answers: `labels` int64 [rows], 1 for the positive one."""

    prompts: Prompts
    labels: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> "LabelledPrompts":
        """Some of them, in that order."""
        bodies = [self.prompts.row_bodies[row] for row in rows]
        return LabelledPrompts(self.prompts._replace(row_bodies=bodies), self.labels[rows])


def rows_of_step(step: int, rows: int, batch_rows: int, seed: int) -> NDArray[np.int64]:
    """Rows of a step: each once before any comes again, in an order of each epoch's own, drawn from (seed, epoch)."""
    places = (divmod(place, rows) for place in range(step * batch_rows, (step + 1) * batch_rows))
    return np.array([_order(seed, epoch, rows)[place] for epoch, place in places])


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, rows: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(rows)


def training_digest(train: LabelledPrompts, validation: LabelledPrompts, **more: Any) -> str:
    """Names a training by what it is made of: equal inputs, equal digests; kept as ``run`` beside all it leaves."""
    rows = [(part.prompts, part.labels.tolist()) for part in (train, validation)]
    return hashlib.sha256(json.dumps({"rows": rows, **more}, sort_keys=True).encode()).hexdigest()
