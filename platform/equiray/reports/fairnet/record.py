"""``fairnet.json`` as pydantic models: what a FairNet run leaves for its report (docs/contracts/fairnet_results.json).

Notable: null is a figure that is not estimable, never 0. The file is read strictly, for its figures are quoted: an
unknown key, a method that nobody declared, or curves of unequal length are refused with the place where they stand.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from equiray.reports.fairnet.trainings import Figure, Part, Seed, Share
from equiray.reports.run_directory import read_json

FAIRNET_NAME = "fairnet.json"

Answer = Literal["yes", "no", "INCONCLUSIVE"]


class Backbone(Part):
    """The transformer, which of its layers do what, and what of it is trained; layers count from 0."""

    name: str
    identity: str
    depth: int
    width: int
    frozen_layers: int
    detector_layer: int
    adapter_first_layer: int
    trained_parameters: int
    adapter_parameters: int


class Method(Part):
    id: str
    label: str
    needs_group: bool
    what: str


class Gate(Part):
    attribute: str
    vulnerable: str
    kind: str
    regime: str


class Change(Part):
    """A figure under two methods, the second less the first, with the limits of that change."""

    first: Figure
    second: Figure
    value: Figure
    low: Figure
    high: Figure

    @model_validator(mode="after")
    def _limits_hold_the_value(self) -> "Change":
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the lower limit {self.low} lies above the upper one {self.high}")
        return self


class CellChange(Change):
    name: str
    rows: int


class Changes(Part):
    """A method against another, mean over trainings; limits of the cells and of the worst one hold together.

    `left_out` names cells with too few test rows, which the worst one is not sought among, either.
    """

    method: str
    reference: str
    trainings: int = Field(ge=1)
    confidence: float = Field(gt=0, lt=1)
    accuracy: Change
    worst: Change
    cells: list[CellChange]
    left_out: list[str] = Field(default=[])
    worst_up: Answer
    accuracy_kept: Answer


class Rows(Part):
    train: int
    validation: int
    test: int


class Task(Part):
    task: str
    title: str
    synthetic: bool
    warnings: list[str]
    rows: Rows
    attribute: str
    gates: list[Gate]
    changes: list[Changes]
    seeds: list[Seed] = Field(min_length=1)

    def change(self, method: str, reference: str = "erm") -> Changes | None:
        """How a method differs from another one, None where they were not compared."""
        found = (c for c in self.changes if (c.method, c.reference) == (method, reference))
        return next(found, None)


class Ablation(Part):
    """FairNet with a part taken away; its change is against ERM, as FairNet's own."""

    task: str
    name: str
    label: str
    change: Changes


class Stress(Part):
    """FairNet under a shift or under noise, on `rows` test rows of its own.

    `harmed` is the share of them that ERM decides right and FairNet wrong.
    """

    task: str
    name: str
    label: str
    rows: int = Field(ge=1)
    confidence: float = Field(gt=0, lt=1)
    open: Share
    worst: Change
    accuracy: Change
    harmed: Share


class FairnetFile(Part):
    """``fairnet.json``; `asked` says in words what `worst_up` and `accuracy_kept` answer."""

    schema_: Literal["equiray.fairnet-results/2"] = Field(alias="schema")
    name: str
    smoke: bool
    asked: str = ""
    backbone: Backbone
    methods: list[Method]
    tasks: list[Task] = Field(min_length=1)
    ablations: list[Ablation]
    stress: list[Stress]

    @model_validator(mode="after")
    def _names_are_declared(self) -> "FairnetFile":
        methods, tasks = [method.id for method in self.methods], [task.task for task in self.tasks]
        for what, names in (("method", methods), ("task", tasks)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} {twice[0]!r} stands twice")
        if "erm" not in methods:
            raise ValueError("there is no method `erm`, against which all others are held")
        for task in self.tasks:
            _declared((p.method for seed in task.seeds for p in seed.points), methods, f"points of task {task.task!r}")
            _declared((c.method for c in task.changes), methods, f"changes of task {task.task!r}")
            _declared((c.reference for c in task.changes), methods, f"changes of task {task.task!r}")
        _declared((each.task for each in (*self.ablations, *self.stress)), tasks, "ablations and stress")
        return self


def _declared(names: Iterable[str], known: list[str], where: str) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(
            f"{where} name {unknown[0]!r}, which the document does not declare (it has {', '.join(known)})"
        )


def is_fairnet(run_dir: Path) -> bool:
    """Whether a directory was left by a FairNet run."""
    return (run_dir / FAIRNET_NAME).is_file()


def load_fairnet(run_dir: Path) -> FairnetFile:
    """Read what a FairNet run left for its report.

    Raises
    ------
    BadInput
        The file cannot be read or does not follow its contract: names the place in it, what is wrong, and the fix.
    """
    return read_json(run_dir / FAIRNET_NAME, FairnetFile)
