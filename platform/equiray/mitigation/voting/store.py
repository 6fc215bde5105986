"""Scored chains on disk: one Parquet file, a row a chain; what concerns all of them stands in the schema's metadata."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from equiray.errors import BadInput, reading_back, writing
from equiray.mitigation.voting.chains import ABSENT, NO_ANSWER, OUTCOMES, ScoredChains

SCHEMA = "equiray.scored_chains/1"
_KEY = b"equiray"
_AGAIN = "score the chains again, or name the Parquet file that `save_chains` wrote"


def save_chains(chains: ScoredChains, path: Path) -> None:
    """Write the chains that were sampled.

    Columns: ``case_id``, ``options``, ``chain`` (its place, from 0), ``outcome``, ``answer`` (null without one) and
    ``step_fair``, a list.

    Raises
    ------
    Incomplete
        The system refuses to write.
    """
    rows, places = np.nonzero(chains.outcomes != ABSENT)
    kept = np.flatnonzero((chains.outcomes != ABSENT).reshape(-1))
    lengths = chains.lengths.reshape(-1)[kept]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
    answers = chains.answers[rows, places]
    ids = pa.DictionaryArray.from_arrays(pa.array(rows.astype(np.int32)), pa.array(chains.case_ids, pa.string()))
    outcomes = pa.DictionaryArray.from_arrays(pa.array(chains.outcomes[rows, places]), pa.array(OUTCOMES))
    table = pa.table(
        {
            "case_id": ids,
            "options": pa.array(chains.options[rows]),
            "chain": pa.array(places.astype(np.int64)),
            "outcome": outcomes,
            "answer": pa.array(answers, mask=answers == NO_ANSWER),
            "step_fair": pa.LargeListArray.from_arrays(offsets, pa.array(chains.step_fair)),
        }
    )
    cases, width = chains.shape
    about = {"schema": SCHEMA, "split": chains.split, "cases": cases, "width": width, "rows": len(kept)}
    with writing(path):
        pq.write_table(table.replace_schema_metadata({_KEY: json.dumps(about).encode()}), path)


def load_chains(path: Path) -> ScoredChains:
    """Read what `save_chains` wrote.

    Raises
    ------
    BadInput
        The file is absent, cut short, altered, or another kind of file.
    """
    if not path.is_file():
        raise BadInput("there is no such file", place=str(path), fix=_AGAIN)
    with reading_back(path, fix=_AGAIN):
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        if _KEY not in metadata or (about := json.loads(metadata[_KEY]))["schema"] != SCHEMA:
            raise BadInput(f"no file of {SCHEMA}", place=str(path), fix=_AGAIN)
        if table.num_rows != about["rows"]:
            raise BadInput(f"{table.num_rows} chains, not {about['rows']}", place=str(path), fix=_AGAIN)
        return _chains(table, about["split"], about["cases"], about["width"])


def _chains(table: pa.Table, split: str, cases: int, width: int) -> ScoredChains:
    names = table["case_id"].cast(pa.string()).to_numpy()
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
    if len(starts) != cases:
        raise ValueError(f"{len(starts)} cases, not {cases}")
    ends = [*starts, len(names)]
    counts = np.array([stop - start for start, stop in pairwise(ends)])
    rows, places = np.repeat(np.arange(cases), counts), table["chain"].to_numpy()
    if not np.array_equal(places, np.concatenate([np.arange(count) for count in counts])):
        raise ValueError("the chains of a case do not stand in order")
    answers = np.full((cases, width), NO_ANSWER, np.int64)
    outcomes = np.full((cases, width), ABSENT, np.int8)
    lengths = np.zeros((cases, width), np.int64)
    answers[rows, places] = table["answer"].fill_null(NO_ANSWER).to_numpy()
    outcomes[rows, places] = [OUTCOMES.index(name) for name in table["outcome"].cast(pa.string()).to_pylist()]
    steps = table["step_fair"].combine_chunks()
    lengths[rows, places] = np.diff(steps.offsets.to_numpy())
    return ScoredChains(
        split=split,
        case_ids=tuple(names[starts].tolist()),
        options=table["options"].to_numpy()[starts],
        answers=answers,
        outcomes=outcomes,
        step_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        step_fair=steps.flatten().to_numpy().astype(np.float64),
    )
