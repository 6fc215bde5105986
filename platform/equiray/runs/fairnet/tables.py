"""The tables of a FairNet run: their rows as texts, and the counterfactual twins of these."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.examples import Examples
from equiray.data.examples.of_task import fit_row_serializer
from equiray.data.importance import feature_importance
from equiray.data.schema import Task
from equiray.data.text import CountTokens, Serializer
from equiray.mitigation.cda import augment
from equiray.runs.predictions import prepare_twins
from equiray.specs.fairnet import FairNetSpec
from equiray.specs.run import TaskSpec

SPLIT_SEED = 0
"""Splits do not move with a run's seeds: trainings are compared on the same rows."""


@dataclass(frozen=True, kw_only=True)
class TaskTable:
    """What a task's texts were made of: its table, and the serializer that wrote its rows."""

    spec: TaskSpec
    task: Task
    serializer: Serializer

    def rows(self, row_ids: NDArray[np.int64]) -> pa.Table:
        """Rows as they stand in the table, in the order of `row_ids`."""
        place_of = {row_id: place for place, row_id in enumerate(self.task.table["row_id"].to_pylist())}
        return self.task.table.take([place_of[row_id] for row_id in row_ids.tolist()])


@dataclass(frozen=True, kw_only=True)
class Twins:
    """Counterfactual twins of training rows: `texts` [M], and `of` [M], each one's original as a place in the task."""

    texts: list[str]
    of: NDArray[np.int64]


def attributes_of(spec: TaskSpec, task: Task) -> tuple[str, ...]:
    """Attributes that are asked for; the first that the schema declares where none is named."""
    return spec.attributes or (task.schema.sensitive[0].name,)


def read_table(spec: TaskSpec, task: Task, run: FairNetSpec, gates: Sequence[str], count: CountTokens) -> TaskTable:
    """A task with its rows as lists, the shortest of the templates.

    The gates' own columns come first: what a budget cuts from a row no detector can find in it.
    """
    own = [attribute.column for attribute in task.schema.sensitive if attribute.name in gates]
    features = {feature.name for feature in task.schema.features}
    ranked = feature_importance(task, seed=SPLIT_SEED).order
    order = dict.fromkeys((*(column for column in own if column in features), *ranked))
    serializer = fit_row_serializer(
        task, template="list", order=tuple(order), max_tokens=run.backbone.max_tokens, count_tokens=count
    )
    return TaskTable(spec=spec, task=task, serializer=serializer)


def make_twins(table: TaskTable, used: Examples) -> Twins:
    """Twins of the training rows that are used; raises BadInput where no flip is declared."""
    place_of = {row_id: place for place, row_id in enumerate(used.row_id.tolist()) if used.split[place] == "train"}
    train = table.task.split("train")
    flips = prepare_twins(table.spec, table.task, ("cda",))[0]
    kept = train.filter(np.isin(train["row_id"].to_numpy(), list(place_of)))
    augmented = augment(kept, table.task.schema, flips).table
    made = augmented.filter(augmented["counterfactual"].is_valid())
    originals = [place_of[row_id] for row_id in made["row_id"].to_pylist()]
    return Twins(texts=table.serializer.texts(made), of=np.array(originals))
