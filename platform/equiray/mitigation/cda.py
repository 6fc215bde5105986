"""Counterfactual data augmentation (arXiv 2509.16462): each training row is followed by its flipped twins.

What it can and cannot do is plain on raw columns: where only the attribute's own column flips, every value of it
occurs equally often with every other row and label, so a logistic regression gives it the coefficient 0, and the
model is the one trained without the column ("unawareness"). Anything beyond that needs a flip that reaches further
(Adult: husband and wife), or a model that reads text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from equiray.data.counterfactuals import COUNTERFACTUAL, twins
from equiray.data.schema import Schema
from equiray.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Augmented:
    """A training table with its twins.

    `table` has one more column, ``counterfactual``, null for originals. Twins share their original's row id, so a
    fold drawn over row ids keeps them together. Every row, original or twin, has weight 1: a row without a twin
    (counted by reason in `skipped`) therefore weighs less than one with twins.
    """

    table: pa.Table
    originals: int
    twins: int
    skipped: Mapping[str, int]


def augment(train: pa.Table, schema: Schema, attributes: Sequence[str]) -> Augmented:
    """Follow each training row by its counterfactual twins.

    Parameters
    ----------
    train : pyarrow.Table
        Rows of the training split only: validation and test stay as they are.
    schema : Schema
        Declares the flips.
    attributes : sequence of str
        Attributes flipped together: with several, also each of their combinations
        (`equiray.data.counterfactuals.twins`).

    Raises
    ------
    BadInput
        A row belongs to another split, or `twins` refuses the attributes.
    """
    others = set(train["split"].unique().to_pylist()) - {"train"}
    if others:
        raise BadInput(
            f"rows of the splits {sorted(others)} would be augmented",
            place=f"task {schema.name!r}, column split",
            fix="pass task.split('train'): twins in validation or test would be scored as people",
        )
    flipped = twins(train, schema, attributes)
    nobody = pa.nulls(len(train), pa.string())
    stacked = pa.concat_tables([train.append_column(COUNTERFACTUAL, nobody), flipped.table])
    place = {row_id: position for position, row_id in enumerate(train["row_id"].to_pylist())}
    position = [place[row_id] for row_id in stacked["row_id"].to_pylist()]
    return Augmented(
        table=stacked.take(np.argsort(position, kind="stable")),
        originals=len(train),
        twins=len(flipped.table),
        skipped=flipped.skipped,
    )
