"""Scored steps in a Parquet file: what people's sheets are drawn from."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from equiray.errors import BadInput
from equiray.mitigation.reward.labels import StepLabel
from equiray.mitigation.reward.steps import ReasonedCase, step_records

if TYPE_CHECKING:  # reading scores needs no torch
    from equiray.mitigation.reward.scoring import StepScores

SCORES = pa.schema(
    [
        ("model", pa.string()),
        ("case_id", pa.string()),
        ("chain", pa.int64()),
        ("step", pa.int64()),
        ("question", pa.string()),
        ("text", pa.string()),
        ("logit", pa.float64()),
        ("reward", pa.float64()),
        ("outcome", pa.float64()),
        ("judge", pa.float64()),
    ]
)
"""``model``: sha256 of the reward model's weights; ``logit``: its score before calibration; ``reward``, ``outcome``
and ``judge``: probabilities of being unbiased (of the step, of the whole chain by an outcome model, of the step by a
judge), null where there is none."""


def scores_table(
    model: str,
    cases: Sequence[ReasonedCase],
    scores: "StepScores",
    *,
    outcome: "StepScores | None" = None,
    judge: Sequence[StepLabel] | None = None,
) -> pa.Table:
    """The table of `SCORES` of all steps.

    Parameters
    ----------
    model : str
        ``weights_sha256`` of the reward model (`store.read_about`).
    cases, scores
        As scored by it.
    outcome : StepScores, optional
        Of the same chains by a model of the reading ``outcome``.
    judge : sequence of StepLabel, optional
        Labels of these steps; those without a probability count as 0 or 1, those without a label are null.
    """
    said = {(one.case_id, one.chain, one.step): _probability(one) for one in judge or ()}
    steps = [*step_records(cases)]
    whole: list[float] | None = None
    if outcome is not None:
        whole = np.repeat(outcome.probabilities, np.diff(scores.first)).tolist()
    columns = {
        "model": [model] * len(steps),
        "case_id": [step.case_id for step in steps],
        "chain": [step.chain for step in steps],
        "step": [step.step for step in steps],
        "question": [step.question for step in steps],
        "text": [step.text for step in steps],
        "logit": scores.logits.tolist(),
        "reward": scores.probabilities.tolist(),
        "outcome": whole or [None] * len(steps),
        "judge": [said.get((step.case_id, step.chain, step.step)) for step in steps],
    }
    return pa.table(columns, schema=SCORES)


def _probability(label: StepLabel) -> float | None:
    return label.unbiased if label.probability is None else label.probability


def read_scores(file: Path) -> pa.Table:
    """Read a file of scored steps.

    Raises
    ------
    BadInput
        No such file, no Parquet, a column missing or of another type, or no row.
    """
    fix = "name the scores.parquet that scoring chains wrote"
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise BadInput(f"cannot read scores: {str(error).splitlines()[0]}", place=str(file), fix=fix) from error
    missing = [name for name in SCORES.names if name not in table.column_names]
    if missing:
        raise BadInput(f"column {missing[0]!r} is missing", place=str(file), fix=fix)
    try:
        table = table.select(SCORES.names).cast(SCORES)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadInput(f"a column has another type: {error}", place=str(file), fix=fix) from error
    for name in ("model", "case_id", "chain", "step", "text", "logit", "reward"):
        if table[name].null_count:
            raise BadInput(f"column {name!r} has {table[name].null_count} empty values", place=str(file), fix=fix)
    if not len(table) or len(set(table["model"].to_pylist())) > 1:
        problem = "scores of more than one reward model" if len(table) else "no scored step"
        raise BadInput(problem, place=str(file), fix=fix)
    return table
