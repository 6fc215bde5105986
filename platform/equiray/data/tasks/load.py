"""`load_task`: from the spec of a task to its rows; `describe_tasks`: what there is to load."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from equiray.data.own_table import TableSpec, load_table_spec, read_own_table
from equiray.data.schema import Schema, Task
from equiray.data.tasks import acs, adult, compas, german
from equiray.data.tasks.assemble import assemble
from equiray.data.tasks.raw import RawTable
from equiray.errors import BadInput
from equiray.specs.run import TaskSpec

# (the caller's own folder or None, whether to download) -> rows, or None where they are not found without a download
Reader = Callable[[Path | None, bool], RawTable | None]
BUILT_IN: Mapping[str, Reader] = {
    "adult": adult.read,
    "german": german.read,
    "compas": compas.read,
    "acs": acs.read,
}
_CODEBOOKS = Path(__file__).parent.parent / "codebooks"


@dataclass(frozen=True, kw_only=True)
class TaskDescription:
    """One line of ``equiray data list``.

    `rows` and `origin` are None where no local place holds the rows; they are downloaded when the task is loaded.
    They are None, too, where a local file cannot be used; `problem` then says which one, why, and what to do.
    """

    name: str
    title: str
    rows: int | None
    attributes: tuple[str, ...]
    origin: str | None
    licence: str
    source: str
    warnings: tuple[str, ...]
    problem: BadInput | None


def load_task(spec: TaskSpec, seed: int, *, folder: Path | None = None) -> Task:
    """Load a built-in task, or the user's own table, with fixed splits.

    Parameters
    ----------
    spec : TaskSpec
    seed : int
        Decides splits and subsample, together with the row ids.
    folder : Path, optional
        A folder that holds the built-in task's files under their upstream names, looked at instead of the mirror, the
        asset packages and the official site.

    Returns
    -------
    Task
        All declared sensitive attributes are in the table, whichever of them `spec.attributes` reports.

    Raises
    ------
    BadInput
        The name is unknown, the file is absent, broken or changed, the rows contradict the schema, or the spec names
        an attribute or a flip that the schema does not declare.
    """
    if spec.path is not None and spec.table_schema is not None:
        if spec.name in BUILT_IN:
            fix = "name your table otherwise, or leave `path` and `table_schema` out"
            raise BadInput(f"{spec.name!r} is the name of a built-in task", place="tasks.name", fix=fix)
        document = load_table_spec(Path(spec.table_schema))
        schema = document.to_schema(spec.name)
        _check_declared(spec, schema)
        raw = read_own_table(Path(spec.path), document)
    else:
        document = _built_in_spec(spec.name)
        schema = document.to_schema(spec.name)
        _check_declared(spec, schema)
        raw = BUILT_IN[spec.name](folder, True)
        assert raw is not None, "a reader that may download finds its rows or raises"
    schema = replace(schema, warnings=schema.warnings + raw.warnings)
    return assemble(document, schema, raw, seed=seed, rows=spec.rows)


def builtin_schemas() -> dict[str, Schema]:
    """The schemas of the built-in tasks by name; no rows are read."""
    return {name: _built_in_spec(name).to_schema(name) for name in BUILT_IN}


def describe_tasks() -> list[TaskDescription]:
    """What is built in, how many rows each task has here and where they were found. Downloads nothing."""
    return [_described(name, schema) for name, schema in builtin_schemas().items()]


def _described(name: str, schema: Schema) -> TaskDescription:
    raw, problem = None, None
    try:
        raw = BUILT_IN[name](None, False)
    except BadInput as error:  # one changed file must not hide the other tasks
        problem = error
    return TaskDescription(
        name=name,
        title=schema.title,
        rows=None if raw is None else raw.table.num_rows,
        attributes=tuple(attribute.name for attribute in schema.sensitive),
        origin=None if raw is None else raw.origin,
        licence=schema.licence,
        source=schema.source,
        warnings=schema.warnings + (() if raw is None else raw.warnings),
        problem=problem,
    )


def _built_in_spec(name: str) -> TableSpec:
    if name not in BUILT_IN:
        near = difflib.get_close_matches(name, BUILT_IN, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        fix = f"{hint}built in: {', '.join(BUILT_IN)}; your own table needs `path` and `table_schema`"
        raise BadInput(f"there is no task {name!r}", place="tasks.name", fix=fix)
    return load_table_spec(_CODEBOOKS / f"{name}.yaml")


def _check_declared(spec: TaskSpec, schema: Schema) -> None:
    attributes = [attribute.name for attribute in schema.sensitive]
    flips = [flip.attribute for flip in schema.flips]
    crossed = [part for name in spec.attributes for part in name.split("*")]  # "sex*race" is an intersection
    _check_known(crossed, attributes, f"tasks[{spec.name}].attributes")
    _check_known(spec.flip, flips, f"tasks[{spec.name}].flip")


def _check_known(names: Sequence[str], known: Sequence[str], place: str) -> None:
    for name in names:
        if name not in known:
            fix = f"declared: {', '.join(known) or 'none'}"
            raise BadInput(f"{name!r} is not declared in the table's schema", place=place, fix=fix)
