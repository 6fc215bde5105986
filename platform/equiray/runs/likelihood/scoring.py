"""Likelihoods of a data set's choices, kept part by part: a run that was killed goes on from the last part."""

import shutil

import numpy as np
import pyarrow as pa

from equiray.data.cases.choice_sets import ChoiceSet
from equiray.data.cases.choices import Choice, Scores, TextScorer, score_choices
from equiray.runs.directory import RunDirectory
from equiray.streaming.progress import RowProgress

_CHOICES_AT_ONCE = 64
"""Scored between two files."""

_SCHEMA = pa.schema(
    [
        ("choice_id", pa.string()),
        ("category", pa.string()),
        ("family", pa.string()),
        ("per_token", pa.bool_()),
        ("logprobs", pa.list_(pa.float64())),
        ("tokens", pa.list_(pa.int64())),
    ]
)


def scored(chosen: ChoiceSet, scorer: TextScorer, directory: RunDirectory) -> Scores:
    """Scores of all choices, kept as ``scores/<data set>.parquet``; until all are there, in a folder of that name."""
    file, folder = f"scores/{chosen.name}.parquet", f"scores/{chosen.name}"
    table = directory.read_table(file)
    if table is None:
        parts: list[pa.Table] = []
        with RowProgress(f"{chosen.name}: likelihoods", total=len(chosen.choices), unit="choices") as progress:
            for first in range(0, len(chosen.choices), _CHOICES_AT_ONCE):
                block, name = chosen.choices[first : first + _CHOICES_AT_ONCE], f"{folder}/{first}.parquet"
                part = directory.read_table(name)
                if part is None:
                    scores = score_choices(scorer, block)
                    part = _table(block, scores)
                    directory.write_table(name, part)
                parts.append(part)
                progress.advance(len(block), 0)
        table = pa.concat_tables(parts)
        directory.write_table(file, table)
        shutil.rmtree(directory.path / folder, ignore_errors=True)
    return Scores(np.array(table["logprobs"].to_pylist()), np.array(table["tokens"].to_pylist()))


def _table(choices: tuple[Choice, ...], scores: Scores) -> pa.Table:
    own = {name: [getattr(choice, name) for choice in choices] for name in _SCHEMA.names[:4]}
    return pa.table({**own, "logprobs": scores.sums.tolist(), "tokens": scores.tokens.tolist()}, schema=_SCHEMA)
