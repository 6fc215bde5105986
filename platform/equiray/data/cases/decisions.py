"""Decisions about people in a table's rows: COMPAS, Adult, ACS, German Credit and own tables as questions, with twins.

A decision is asked in the words of the task's schema; its positive option is the schema's first answer. COMPAS rows are
those of ProPublica's filter (`equiray.data.tasks.compas`).
"""

from collections.abc import Sequence

import pyarrow as pa

from equiray.data.cases.case_set import CaseSet
from equiray.data.cases.record import Case
from equiray.data.counterfactuals import COUNTERFACTUAL, twins
from equiray.data.examples.of_task import group_column
from equiray.data.schema import SPLITS, Schema, Task
from equiray.data.text import TASK_PREFIX, Serializer
from equiray.errors import BadInput

POSITIVE = 0
"""Place of the schema's positive answer among a case's options."""


def decision_cases(
    task: Task, serializer: Serializer, attributes: Sequence[str], *, split: str = "test", flip: Sequence[str] = ()
) -> CaseSet:
    """One case for each row of a split, each followed by its twins.

    Parameters
    ----------
    task : Task
    serializer : Serializer
        Fitted to the task; a row and its twins keep the same features.
    attributes : sequence of str
        Sensitive attributes of the schema, or intersections of them (``sex*race``).
    split : {"train", "validation", "test"}
    flip : sequence of str
        Attributes in which twins differ (`equiray.data.counterfactuals.twins`). A twin has no right answer: what would
        have become of a person of another group is not known. It shares its original's family.

    Raises
    ------
    BadInput
        There is no such split, an attribute or flip is not declared, or some row does not fit the serializer's budget.
    """
    if split not in SPLITS:
        fix = f"one of: {', '.join(SPLITS)}"
        raise BadInput(f"no split {split!r}", place=f"decisions of task {task.schema.name!r}", fix=fix)
    rows = task.split(split)
    cases = _cases(rows, task.schema, serializer, attributes)
    said: list[str] = []
    if flip:
        made = twins(rows, task.schema, flip)
        said = [f"{rows:,} rows have no twin ({reason})" for reason, rows in made.skipped.items()]
        cases = _with_twins(cases, _cases(made.table, task.schema, serializer, attributes))
    dropped = [f"{feature.feature} from {feature.rows:,}" for feature in serializer.dropped]
    if dropped:
        said.append(f"over the budget of tokens, left out of rows: {', '.join(dropped)}")
    return CaseSet(
        name=task.schema.name,
        title=task.schema.title,
        cases=tuple(cases),
        synthetic=False,
        source_sha256=task.source_sha256,
        warnings=(*task.schema.warnings, *said),
        licence=task.schema.licence,
    )


def _cases(table: pa.Table, schema: Schema, serializer: Serializer, attributes: Sequence[str]) -> list[Case]:
    """A case for each row; of rows that were flipped, twins."""
    groups = {name: group_column(table, schema, name).tolist() for name in attributes}
    flipped = table[COUNTERFACTUAL].to_pylist() if COUNTERFACTUAL in table.column_names else [None] * len(table)
    rows = zip(table["row_id"].to_pylist(), table["label"].to_pylist(), flipped, serializer.texts(table), strict=True)
    cases = []
    for place, (row_id, label, change, text) in enumerate(rows):
        family = f"{schema.name}/{row_id}"
        cases.append(
            Case(
                case_id=family if change is None else f"{family}/{change}",
                dataset=schema.name,
                category=schema.name,
                text=f"{TASK_PREFIX}{text}\n{schema.question}",
                options=schema.answers,
                answer=None if change is not None else POSITIVE if label else 1 - POSITIVE,
                groups={name: of[place] for name, of in groups.items()},
                positive=POSITIVE,
                twin_of=None if change is None else family,
                family=family,
            )
        )
    return cases


def _with_twins(originals: list[Case], made: list[Case]) -> list[Case]:
    """Each original with its twins behind it."""
    of: dict[str | None, list[Case]] = {}
    for twin in made:
        of.setdefault(twin.twin_of, []).append(twin)
    return [case for original in originals for case in (original, *of.get(original.case_id, ()))]
