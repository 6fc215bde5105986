"""`Block`: what was counted in some rows of one input. Small, sparse, and equal wherever it was counted.

Only what occurs is kept: the levels, strata (combinations of levels), cells and scores that have rows, each list in an
order that the rows alone determine, integers in the smallest type that holds them. So equal rows make equal bytes, and
`digest` tells whether two blocks say the same.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.data.row_blocks import BlockId

_Whole = NDArray[np.unsignedinteger]
_Real = NDArray[np.float64]


class Decisions(NamedTuple):
    """Rows by stratum, label and prediction [N]; `cell` = (stratum K + label) (K + 2) + prediction, K classes."""

    cell: _Whole
    counts: _Whole
    weight: _Real | None
    weight_squared: _Real | None


class Scores(NamedTuple):
    """Rows by stratum, label and score [M]; `cell` = stratum K + label, `value` a place in `values` or on the grid.

    `values` are the distinct scores, ascending, None where there were too many and the grid of `scores` holds them.
    """

    values: _Real | None
    cell: _Whole
    value: _Whole
    counts: _Whole
    weight: _Real | None
    weight_squared: _Real | None


class BinSums(NamedTuple):
    """Sums of 1 (or w), s and s^2 over scores s; `cell` = (stratum K + label) B + bin, B calibration bins [Q]."""

    cell: _Whole
    rows: _Real
    score: _Real
    score_squared: _Real


class Targets(NamedTuple):
    """Sums over rows by stratum [T], as in `tables.TargetSums`: of 1, y, f, |f - y|, (f - y)^2, f^2, (f - y)^4.

    y is a real-valued target and f its prediction. Each is times w; `weight_squared`, and what ends in w2, times w^2.
    """

    rows: _Real
    target: _Real
    prediction: _Real
    absolute_error: _Real
    squared_error: _Real
    prediction_squared: _Real
    squared_error_squared: _Real
    weight_squared: _Real
    prediction_w2: _Real
    absolute_error_w2: _Real
    squared_error_w2: _Real
    prediction_squared_w2: _Real
    squared_error_squared_w2: _Real
    counts: _Whole


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Counts of the rows that `id` names.

    `levels` are each attribute's groups that occur; `classes` those of labels and predictions. `strata` [T, A] holds
    places in `levels`. `numeric` says of each attribute, and last of the classes, whether they stood as numbers in the
    file, None where all values are missing.
    """

    id: BlockId
    levels: tuple[tuple[str, ...], ...]
    classes: tuple[str, ...]
    numeric: tuple[bool | None, ...]
    strata: _Whole
    decisions: Decisions | None = None
    scores: Scores | None = None
    bin_sums: BinSums | None = None
    targets: Targets | None = None

    @cached_property
    def digest(self) -> str:
        """Sha256 of the payload: of everything but the id."""
        found = hashlib.sha256(json.dumps([self.levels, self.classes, self.numeric]).encode())
        for name, values in self.arrays().items():
            found.update(f"{name} {values.dtype.str} {values.shape} ".encode())
            found.update(np.ascontiguousarray(values).data)
        return found.hexdigest()

    def arrays(self) -> dict[str, NDArray]:
        """Every array there is, by part and name: ``decisions.counts``."""
        found: dict[str, NDArray] = {"strata": self.strata}
        for part in PARTS:
            held = getattr(self, part)
            if held is not None:
                found |= {f"{part}.{name}": values for name, values in held._asdict().items() if values is not None}
        return found


class Mapped(NamedTuple):
    """A block and where its strata and classes stand in the table: `group` [T], `label` [k], `prediction` [k + 2]."""

    block: Block
    group: NDArray[np.int64]
    label: NDArray[np.int64]
    prediction: NDArray[np.int64]


PARTS: dict[str, type] = {"decisions": Decisions, "scores": Scores, "bin_sums": BinSums, "targets": Targets}
