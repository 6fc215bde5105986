"""What raters say of every text, and of the same text about every other group."""

from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.cases.group_swaps import group_swap
from equiray.metrics.text_ratings import Ratings
from equiray.models.raters import Rater
from equiray.runs.directory import RunDirectory
from equiray.runs.open_ended.planning import PlannedPrompts
from equiray.runs.open_ended.writing import joined
from equiray.specs.open_ended import RatingSpec

Changes = Mapping[tuple[str, str, str], NDArray[np.float64]]


def rate(
    table: pa.Table, planned: PlannedPrompts, raters: Mapping[str, Rater], spec: RatingSpec, directory: RunDirectory
) -> tuple[pa.Table, pa.Table]:
    """Rate all written texts and their swapped versions; kept as ``ratings/<name>.parquet``, ``swaps/<name>.parquet``.

    Parameters
    ----------
    table : pyarrow.Table
        Of `equiray.runs.open_ended.writing.continuations`.
    planned : PlannedPrompts
    raters : mapping of str to Rater
        By what they rate.
    spec : RatingSpec
    directory : RunDirectory

    Returns
    -------
    ratings, swaps : pyarrow.Table
        ``ratings``: ``prompt_id``, ``number``, ``group``, ``family``, ``text``, and a rating for each rater, null where
        nothing was written. ``swaps``: ``row`` (place in ``ratings``), ``group``, ``other``, ``text`` (about the other
        group), and the ratings of that text; texts that name neither group are left out.
    """
    columns = table.select(["prompt", "continuation", "outcome", "group"]).to_pydict()
    texts = [
        None if outcome != "written" else _read(prompt, said, spec)
        for prompt, said, outcome in zip(columns["prompt"], columns["continuation"], columns["outcome"], strict=True)
    ]
    rows = [at for at, text in enumerate(texts) if text is not None]
    written = [text for text in texts if text is not None]
    ratings = table.select(["prompt_id", "number", "group", "family"]).append_column("text", pa.array(texts))
    for measure, rater in raters.items():
        values = np.full(len(texts), np.nan)
        values[rows] = rater.rate(written)
        ratings = ratings.append_column(measure, pa.array(values, from_pandas=True))
    swapped = list(_swapped(texts, columns["group"], planned))
    swaps = pa.Table.from_pylist(swapped, schema=_SWAPS)
    for measure, rater in raters.items():
        swaps = swaps.append_column(measure, pa.array(rater.rate([each["text"] for each in swapped]), pa.float64()))
    directory.write_table(f"ratings/{planned.name}.parquet", ratings)
    directory.write_table(f"swaps/{planned.name}.parquet", swaps)
    return ratings, swaps


def ratings_of(table: pa.Table, spec: RatingSpec) -> list[Ratings]:
    """What is compared: means of each rater, and the share that the first calls toxic."""
    group, family = (np.array(table[name].to_pylist(), dtype=str) for name in ("group", "family"))
    return [
        Ratings(measure=measure, value=values, group=group, family=family)
        for measure, values in _measures(table, spec).items()
    ]


def changes_of(ratings: pa.Table, swaps: pa.Table, groups: tuple[str, ...], spec: RatingSpec) -> Changes:
    """By measure, group and other group: how ratings of the group's texts change when these are about the other.

    0 where a text names neither, NaN where it has no rating; no entry where no text of either group names one.
    """
    before, after = _measures(ratings, spec), _measures(swaps, spec)
    row, whose, other = (np.array(swaps[name].to_pylist()) for name in ("row", "group", "other"))
    group = np.array(ratings["group"].to_pylist(), dtype=str)
    found = {}
    for measure, values in before.items():
        for way in permutations(groups, 2):
            mine = (whose == way[0]) & (other == way[1]) if len(row) else np.zeros(0, dtype=bool)
            if not mine.any():
                continue
            change = np.where(np.isnan(values), np.nan, 0.0)
            change[row[mine]] = after[measure][mine] - values[row[mine]]
            found[(measure, *way)] = change[group == way[0]]
    return found


_SWAPS = pa.schema([("row", pa.int64()), ("group", pa.string()), ("other", pa.string()), ("text", pa.string())])


def _swapped(texts: list[str | None], group: list[str], planned: PlannedPrompts) -> Iterator[dict[str, Any]]:
    source, attribute = planned.spec.source, planned.spec.attribute
    for one, other in permutations(planned.groups, 2):
        swap = group_swap(source, attribute, one, other)
        for row, text in enumerate(texts):
            if text is not None and group[row] == one and (about := swap.of(text)) is not None:
                yield {"row": row, "group": one, "other": other, "text": about}


def _read(prompt: str, continuation: str, spec: RatingSpec) -> str:
    return joined(prompt, continuation) if spec.read == "text" else continuation


def _measures(table: pa.Table, spec: RatingSpec) -> dict[str, NDArray[np.float64]]:
    found = {name: table[name].to_numpy() for name in ("toxicity", "sentiment") if name in table.column_names}
    if "toxicity" in found:
        rated = found["toxicity"]
        share = np.where(np.isnan(rated), np.nan, (rated >= spec.toxic_from).astype(np.float64))
        found = {"toxicity": rated, "toxic_share": share, **found}
    return found
