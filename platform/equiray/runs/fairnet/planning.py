"""The rows of a FairNet run: which are used, what a model reads of them, whose gates there are.

Notable: every method and every seed trains, chooses and is tested on the same rows; a seed moves initial weights and
the order of rows. Rows above a split's bound are left out by a keyed hash of their ids, so that a smaller bound takes
a subset.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.data.examples import Examples, examples_of_task, skewed
from equiray.data.examples.load import ABOUT, About, Sizes, load_examples
from equiray.data.schema import MISSING_GROUP, SPLITS
from equiray.data.splits import keyed_hash
from equiray.data.tasks.load import load_task
from equiray.data.text import CountTokens
from equiray.errors import BadInput
from equiray.metrics.estimation import GroupedScores
from equiray.runs.fairnet.tables import SPLIT_SEED, TaskTable, Twins, attributes_of, make_twins, read_table
from equiray.specs.examples import ExamplesSpec
from equiray.specs.fairnet import FairNetSpec, RowsSpec
from equiray.specs.run import TaskSpec


@dataclass(frozen=True, kw_only=True)
class PlannedTask:
    """One task of a run.

    Attributes
    ----------
    table : TaskTable, optional
        What texts were made of, where the task is a table.
    examples : Examples
        The rows that are used: texts, pictures, or picture files.
    others : mapping from attribute to str [rows]
        Attributes that nobody asked to be reported by themselves: parts of intersections, and what stress is made of.
    gates : tuple of str
        Attributes with a detector and an adapter.
    steering : str
        The attribute, or the intersection of all gates, whose cells decide what is chosen.
    twins : Twins, optional
        Where the baseline `cda` or augmented anchors are asked for.
    """

    name: str
    about: About
    table: TaskTable | None
    examples: Examples
    others: Mapping[str, NDArray[np.str_]]
    gates: tuple[str, ...]
    steering: str
    twins: Twins | None

    @property
    def single(self) -> dict[str, NDArray[np.str_]]:
        """Groups of what is reported and of the parts of its intersections, these parts named or not."""
        known = {**self.others, **self.examples.attributes}
        return {part: known[part] for name in self.examples.attributes for part in name.split("*")}

    def rows(self, split: str) -> NDArray[np.int64]:
        """Places of a split's rows."""
        return np.flatnonzero(self.examples.split == split)

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


def plan_task(task_spec: TaskSpec | ExamplesSpec, spec: FairNetSpec, count_tokens: CountTokens | None) -> PlannedTask:
    """Load a task and cut it to the rows that are used; those of a table are written as text.

    `count_tokens` is the backbone's; None where it reads pictures.

    Raises
    ------
    BadInput
        As `load_task`, `examples_of_task`, `load_examples` and `skewed`; or an attribute has one group only, or more
        than one vulnerable group is meant; or a split has no rows of a class; or twins are needed and there are none.
    """
    if isinstance(task_spec, TaskSpec):
        assert count_tokens is not None, "tables are not given to backbones that read pictures"
        found = _from_table(task_spec, spec, count_tokens)
    else:
        found = _from_data_set(task_spec, spec)
    used = found.whole.take(_used(found.whole, spec.rows))
    if spec.skew is not None:
        gate, group = _to_skew(spec, found.gates, task_spec.name)
        used = skewed(used, attribute=gate, group=group, keep=spec.skew, seed=SPLIT_SEED)
    if found.table is None and count_tokens is not None:
        used = _with_cut_texts(used, spec.backbone.max_tokens, count_tokens)
    _check_splits(used)
    _check_groups(used, found.gates, spec)
    asked = {name: groups for name, groups in used.attributes.items() if name in found.asked}
    return PlannedTask(
        name=task_spec.name,
        about=found.about,
        table=found.table,
        examples=replace(used, attributes=asked),
        others={name: groups for name, groups in used.attributes.items() if name not in asked},
        gates=found.gates,
        steering="*".join(found.gates),
        twins=make_twins(found.table, used) if spec.needs_twins and found.table is not None else None,
    )


class _Found(NamedTuple):
    """A task's rows before any is left out, with attributes that nobody asked for, too."""

    whole: Examples
    gates: tuple[str, ...]
    asked: tuple[str, ...]
    about: About
    table: TaskTable | None


def _from_table(task_spec: TaskSpec, spec: FairNetSpec, count_tokens: CountTokens) -> _Found:
    task = load_task(task_spec, SPLIT_SEED)
    gates, asked = _gates(attributes_of(task_spec, task), task_spec.name)
    table = read_table(task_spec, task, spec, gates, count_tokens)
    declared = (attribute.name for attribute in task.schema.sensitive)
    whole = examples_of_task(task, table.serializer, tuple(dict.fromkeys((*asked, *declared))))
    return _Found(whole, gates, asked, About(task.schema.source, task.schema.licence), table)


def _from_data_set(task_spec: ExamplesSpec, spec: FairNetSpec) -> _Found:
    gates, asked = _gates(task_spec.attributes, task_spec.name)
    sizes = Sizes(spec.rows.train, spec.rows.validation, spec.rows.test)
    whole = load_examples(task_spec, asked, sizes=sizes, split_seed=SPLIT_SEED)
    return _Found(whole, gates, asked, ABOUT[task_spec.examples], None)


def _gates(names: Sequence[str], task: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Attributes with a gate of their own; and all that are reported, the intersection of the gates among them."""
    gates = tuple(dict.fromkeys(name for name in names if "*" not in name))
    if not gates:
        fix = "name one alone, too" + (f": {names[0].split('*')[0]}" if names else "")
        raise BadInput("no attribute has a gate of its own", place=f"task {task}, attributes", fix=fix)
    return gates, tuple(dict.fromkeys((*names, "*".join(gates))))


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


def _with_cut_texts(examples: Examples, most: int, count_tokens: CountTokens) -> Examples:
    """Says how many texts are longer than what is read of them; their ends are cut."""
    assert isinstance(examples.inputs, list)
    cut = sum(count > most for count in count_tokens([str(text) for text in examples.inputs]))
    said = f"{cut:,} of {len(examples):,} texts have more than {most} tokens: what follows is not read"
    return replace(examples, warnings=(*examples.warnings, said)) if cut else examples


def _check_splits(examples: Examples) -> None:
    """Each split needs rows of both classes: one to learn, one to choose, one to be tested on."""
    for split in SPLITS:
        counts = np.bincount(examples.label[examples.split == split], minlength=2)
        if not counts.all():
            said = " and ".join(f"{count} of {name!r}" for count, name in zip(counts, examples.classes, strict=True))
            raise BadInput(
                f"the rows of {split} are {said}", place=f"task {examples.name}, {split}", fix="bring rows of both"
            )
