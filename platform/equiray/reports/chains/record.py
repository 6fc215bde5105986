"""``chains.json`` as pydantic models: what a run of chains leaves for its report (docs/contracts/chains.md).

Notable: null is a figure that is not estimable, never 0. The file is read strictly, for its figures are quoted: an
unknown key, a method that nobody declared, or a grid that is no grid is refused with the place where it stands.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from equiray.metrics.estimates import Estimate
from equiray.reports.chains.parts import (
    ChainCounts,
    Figure,
    ModelFacts,
    Part,
    Share,
    ShownChain,
    Temperature,
    refuse_unknown,
)
from equiray.reports.run_directory import read_json

CHAINS_NAME = "chains.json"
REWARD = "reward"


class RewardModel(Part):
    """The reward run that scored the chains."""

    name: str
    smoke: bool
    held_out: list[str]
    learnt: list[str]
    judge: str
    process: ModelFacts
    outcome: ModelFacts | None
    step_auc: list[Estimate]


class Candidate(Part):
    """A temperature and a number of chains, with its figures on validation cases."""

    tau: Temperature
    chains: int = Field(ge=1)
    figures: dict[str, Figure]


class Check(Part):
    """A limit of the policy at the chosen point."""

    metric: str
    side: Literal["least", "most"]
    bound: float
    value: Figure
    low: Figure
    high: Figure


class Choice(Part):
    """How temperature and number of chains were chosen; `chosen` null: nothing was, and there is no weighted vote."""

    status: Literal["chosen", "inconclusive", "infeasible"]
    attribute: str
    chosen: Candidate | None
    majority: Candidate
    next_best: list[Candidate]
    candidates: int
    feasible: int
    excluded: dict[str, int]
    checks: list[Check]
    reason: str


class Grid(Part):
    """Figures at every temperature and number of chains: ``figures[name][temperature][chains]``."""

    split: Literal["validation", "test"]
    attribute: str
    cases: int
    temperatures: list[Temperature]
    chains: list[int]
    figures: dict[str, list[list[Figure]]]

    @model_validator(mode="after")
    def _planes_agree(self) -> "Grid":
        deep, wide = len(self.temperatures), len(self.chains)
        for name, plane in self.figures.items():
            if len(plane) != deep or any(len(row) != wide for row in plane):
                raise ValueError(f"`{name}` is no plane of {deep} temperatures x {wide} numbers of chains")
        return self


class Reach(Part):
    lowest: Share
    highest: Share


class Bound(Part):
    """How far weights could take groups apart: each group's lowest and highest rate, and the gaps these allow."""

    groups: dict[str, Reach]
    least_gap: Share
    largest_gap: Share


class Bounds(Part):
    any_scores: Bound
    any_assignment: Bound


class Stopping(Part):
    """Early stopping at a risk, replayed on the test chains."""

    risk: float
    saved: Share
    chains_a_case: float
    changed: Share
    changed_low: Share
    changed_high: Share


class Length(Part):
    """Rank correlation of a chain's score with its number of steps, within cases."""

    value: Figure
    low: Figure
    high: Figure
    cases: int


class Sides(Part):
    validation: ChainCounts
    test: ChainCounts


class ChainsTask(Part):
    task: str
    title: str
    licence: str
    warnings: list[str]
    source_sha256: str
    attributes: list[str] = Field(min_length=1)
    left_out: int
    model: str
    sides: Sides
    choice: Choice
    chains: int = Field(ge=1)
    grids: list[Grid]
    bounds: dict[str, Bounds]
    early_stopping: list[Stopping]
    length_effect: Length
    estimates: list[Estimate]
    heat_map: list[ShownChain]

    @property
    def is_questions(self) -> bool:
        """Whether it is BBQ, which has bias scores instead of rates of groups."""
        return any(e.metric.startswith("bbq_bias") for e in self.estimates)

    def get(self, stage: str, metric: str, attribute: str | None, group: str | None = None) -> Estimate | None:
        """An estimate of the test cases, None where there is none."""
        wanted = (stage, metric, attribute, group)
        return next((e for e in self.estimates if (e.stage, e.metric, e.attribute, e.group) == wanted), None)

    def grid(self, split: str, attribute: str) -> Grid | None:
        """The grid of a split and an attribute, None where there is none."""
        return next((g for g in self.grids if (g.split, g.attribute) == (split, attribute)), None)


class ChainsFile(Part):
    """``chains.json``."""

    schema_: Literal["equiray.chains-results/1"] = Field(alias="schema")
    name: str
    smoke: bool
    reference: str
    methods: list[str]
    sampling: dict[str, Any]
    decision: dict[str, Any]
    reward_model: RewardModel
    tasks: list[ChainsTask] = Field(min_length=1)
    durations_s: dict[str, float]
    command: str

    @model_validator(mode="after")
    def _names_are_declared(self) -> "ChainsFile":
        refuse_unknown([self.reference], self.methods, "`reference`")
        names = [task.task for task in self.tasks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"task {twice[0]!r} stands twice")
        for task in self.tasks:
            stages = [part for e in task.estimates for part in e.stage.split("-")]
            refuse_unknown(stages, self.methods, f"estimates of task {task.task!r}")
        return self


def is_chains(run_dir: Path) -> bool:
    """Whether a directory was left by a run of chains."""
    return (run_dir / CHAINS_NAME).is_file()


def load_chains(run_dir: Path) -> ChainsFile:
    """Read what a run of chains left for its report.

    Raises
    ------
    BadInput
        The file cannot be read or does not follow its contract: names the place in it, what is wrong, and the fix.
    """
    return read_json(run_dir / CHAINS_NAME, ChainsFile)
