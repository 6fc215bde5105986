"""The rows of a FairNet run: which are used, what a model reads of them, whose gates there are.

Notable: every method and every seed trains, chooses and is tested on the same rows; a seed moves initial weights and
the order of rows. Rows above a split's bound are left out by a keyed hash of their ids, so that a smaller bound takes
a subset.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.examples import Examples, examples_of_task, skewed
from equiray.data.examples.of_task import fit_row_serializer
from equiray.data.importance import feature_importance
from equiray.data.schema import MISSING_GROUP, SPLITS, Task
from equiray.data.splits import keyed_hash
from equiray.data.tasks.load import load_task
from equiray.data.text import CountTokens, Serializer
from equiray.errors import BadInput
from equiray.fairnet_spec import FairNetSpec, RowsSpec
from equiray.metrics.estimation import GroupedScores
from equiray.mitigation.cda import augment
from equiray.runs.predictions import prepare_twins
from equiray.specs import TaskSpec

SPLIT_SEED = 0
"""Splits do not move with a run's seeds: trainings are compared on the same rows."""


@dataclass(frozen=True, kw_only=True)
class PlannedTask:
    """One task of a run.

    Attributes
    ----------
    serializer : Serializer
        What made texts of the task's rows.
    examples : Examples
        The rows that are used, as texts.
    gates : tuple of str
        Attributes with a detector and an adapter.
    steering : str
        The attribute, or the intersection of all gates, whose cells decide what is chosen.
    twins : Twins, optional
        Where the baseline `cda` or augmented anchors are asked for.
    """

    spec: TaskSpec
    task: Task
    serializer: Serializer
    examples: Examples
    gates: tuple[str, ...]
    steering: str
    twins: "Twins | None"

    @property
    def name(self) -> str:
        return self.spec.name

    def rows(self, split: str) -> NDArray[np.int64]:
        """Places of a split's rows."""
        return np.flatnonzero(self.examples.split == split)

    def table(self, rows: NDArray[np.int64]) -> pa.Table:
        """Some rows as they stand in the task's table, in the order of `rows`."""
        place_of = {row_id: place for place, row_id in enumerate(self.task.table["row_id"].to_pylist())}
        return self.task.table.take([place_of[row_id] for row_id in self.examples.row_id[rows].tolist()])

    def labels(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.examples.label[rows].astype(np.int64)

    def grouped(self, rows: NDArray[np.int64]) -> tuple[GroupedScores, ...]:
        """Groups of every attribute, of some rows; names are those of the whole task, the missing last.

        A row of an intersection is missing where a part of it is.
        """
        found = []
        for attribute, groups in self.examples.attributes.items():
            names, code = np.unique(groups, return_inverse=True)
            missing = np.array([MISSING_GROUP in name.split("*") for name in names.tolist()])
            place = np.where(missing, (~missing).sum(), np.cumsum(~missing) - 1)
            known = (*names[~missing].tolist(), *([MISSING_GROUP] if missing.any() else []))
            found.append(GroupedScores(attribute, known, place[code[rows]]))
        return tuple(found)

    def steering_groups(self, rows: NDArray[np.int64]) -> GroupedScores:
        """Groups of the attribute that steers."""
        return next(each for each in self.grouped(rows) if each.attribute == self.steering)

    def cells(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Cell, 2 group + label, of each row."""
        return 2 * self.steering_groups(rows).code + self.labels(rows)


@dataclass(frozen=True, kw_only=True)
class Twins:
    """Counterfactual twins of training rows: `texts` [M], and `of` [M], each one's original as a place in the task."""

    texts: list[str]
    of: NDArray[np.int64]


def plan_task(task_spec: TaskSpec, spec: FairNetSpec, count_tokens: CountTokens) -> PlannedTask:
    """Load a task, cut it to the rows that are used, and write these as text.

    Raises
    ------
    BadInput
        As `load_task`, `examples_of_task` and `skewed`; or an attribute has one group only, or more than one
        vulnerable group is meant; or twins are needed and no flip is declared.
    """
    task = load_task(task_spec, SPLIT_SEED)
    names = task_spec.attributes or (task.schema.sensitive[0].name,)
    gates = tuple(dict.fromkeys(name for name in names if "*" not in name))
    if not gates:
        fix = f"name one alone, too: {names[0].split('*')[0]}"
        raise BadInput("no attribute has a gate of its own", place=f"task {task_spec.name}, attributes", fix=fix)
    steering = "*".join(gates)
    serializer = _serializer(task, spec, gates, count_tokens)
    whole = examples_of_task(task, serializer, tuple(dict.fromkeys((*names, steering))))
    used = whole.take(_used(whole, spec.rows))
    if spec.skew is not None:
        gate, group = _to_skew(spec, gates, task_spec.name)
        used = skewed(used, attribute=gate, group=group, keep=spec.skew, seed=SPLIT_SEED)
    _check_groups(used, gates, spec)
    twins = None
    if "cda" in spec.baselines or spec.adapter.augmentation:
        twins = _twins(task_spec, task, used, serializer)
    return PlannedTask(
        spec=task_spec,
        task=task,
        serializer=serializer,
        examples=used,
        gates=gates,
        steering=steering,
        twins=twins,
    )


def _serializer(task: Task, spec: FairNetSpec, gates: Sequence[str], count_tokens: CountTokens) -> Serializer:
    """Rows as lists, the shortest of the templates.

    The gates' own columns come first: what a budget cuts from a row no detector can find in it.
    """
    own = [attribute.column for attribute in task.schema.sensitive if attribute.name in gates]
    features = {feature.name for feature in task.schema.features}
    ranked = feature_importance(task, seed=SPLIT_SEED).order
    order = dict.fromkeys((*(column for column in own if column in features), *ranked))
    return fit_row_serializer(
        task, template="list", order=tuple(order), max_tokens=spec.backbone.max_tokens, count_tokens=count_tokens
    )


def _used(examples: Examples, most: RowsSpec) -> NDArray[np.int64]:
    order = keyed_hash(examples.row_id, SPLIT_SEED, "rows of a FairNet run")
    kept = []
    for split in SPLITS:
        rows = np.flatnonzero(examples.split == split)
        kept.append(np.sort(rows[np.argsort(order[rows])][: getattr(most, split)]))
    return np.concatenate(kept)


def _to_skew(spec: FairNetSpec, gates: Sequence[str], task: str) -> tuple[str, str]:
    named = [gate for gate in gates if gate in spec.vulnerable]
    if not named:
        fix = f"name it: vulnerable: {{{gates[0]}: ...}}"
        raise BadInput("`skew` needs a vulnerable group to make rare", place=f"task {task}, vulnerable", fix=fix)
    return named[0], spec.vulnerable[named[0]]


def _check_groups(examples: Examples, gates: Sequence[str], spec: FairNetSpec) -> None:
    for gate in gates:
        known = sorted(set(examples.attributes[gate].tolist()) - {MISSING_GROUP})
        if len(known) < 2:
            raise BadInput(
                f"{gate} has the group {', '.join(known)} only",
                place=f"task {examples.name}, attributes",
                fix="name an attribute with two groups or more",
            )
        group = spec.vulnerable.get(gate)
        if group is not None and group not in known:
            raise BadInput(
                f"{gate} has no group {group!r}", place=f"task {examples.name}, vulnerable", fix=f"it has: {known}"
            )


def _twins(task_spec: TaskSpec, task: Task, used: Examples, serializer: Serializer) -> Twins:
    place_of = {row_id: place for place, row_id in enumerate(used.row_id.tolist()) if used.split[place] == "train"}
    train = task.split("train")
    flips = prepare_twins(task_spec, task, ("cda",))[0]
    kept = train.filter(np.isin(train["row_id"].to_numpy(), list(place_of)))
    table = augment(kept, task.schema, flips).table
    made = table.filter(table["counterfactual"].is_valid())
    return Twins(texts=serializer.texts(made), of=np.array([place_of[row_id] for row_id in made["row_id"].to_pylist()]))
