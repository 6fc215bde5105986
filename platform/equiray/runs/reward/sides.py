"""`Side`: the chains of one side of a run (train, validation, test) with all that is known of their steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.cases.case_set import family_of
from equiray.errors import BadInput
from equiray.mitigation.reward.check_sheet import write_check_sheet
from equiray.mitigation.reward.labelled import LabelledChains
from equiray.mitigation.reward.labels import UNLABELLED, StepLabel, label_array, outcome_array
from equiray.mitigation.reward.steps import ReasonedCase, masked
from equiray.runs.directory import RunDirectory
from equiray.runs.reward.judging import judge_of, labelled
from equiray.runs.reward.planning import SIDES, RewardPlan
from equiray.runs.sampling.chains import Sampler, reasoned_cases
from equiray.specs.reward_run import JudgeKind, RewardSpec

SHEET = "steps_to_check.csv"


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side.

    Attributes
    ----------
    name : str
    cases : tuple of ReasonedCase
    table : pa.Table
        Its chains as they were read (`Sampler.chains`).
    labels : mapping of str to int64 [steps]
        By judge, in the order of `step_records`.
    judged : tuple of StepLabel
        What the judge that trains said.
    """

    name: str
    cases: tuple[ReasonedCase, ...]
    table: pa.Table
    labels: Mapping[JudgeKind, NDArray[np.int64]]
    judged: tuple[StepLabel, ...]

    def of_steps(self, kind: JudgeKind) -> LabelledChains:
        """Steps, labelled by a judge."""
        return LabelledChains(self.cases, self.labels[kind])

    @property
    def of_chains(self) -> LabelledChains:
        """Chains, labelled by the answers that they end in."""
        return LabelledChains(self.cases, outcome_array(self.cases))

    @property
    def families(self) -> NDArray[np.int64]:
        """The number of each step's question: what is resampled."""
        names = [family_of(one.case) for one in self.cases for chain in one.chains for _ in chain.steps]
        return np.unique(np.array(names, dtype=np.str_), return_inverse=True)[1]


def prepare_sides(plan: RewardPlan, spec: RewardSpec, sampler: Sampler, directory: RunDirectory) -> dict[str, Side]:
    """Sample and label every side, and draw the sheet of steps that people check.

    Raises
    ------
    BadInput
        Training or validation has no step of one kind: nothing can be learnt.
    """
    sampler.ahead(plan.parts, directory)
    chains = {}
    for name in SIDES:
        table = sampler.chains(plan.parts[name], name, directory)
        cases = reasoned_cases(plan.parts[name], sampler.questions(plan.parts[name]), table)
        chains[name] = (tuple(cases), table)
    sides: dict[str, Side] = {}
    judged: dict[str, list[StepLabel]] = {}
    for name, (cases, table) in chains.items():
        labels = {}
        for kind in (spec.judge.kind, *spec.judge.compared):
            with directory.step(f"{name}: label steps ({kind})"):
                said = labelled(partial(judge_of, kind, spec, sampler.engines), kind, name, cases, directory)
            labels[kind] = label_array(cases, said)
            if kind == spec.judge.kind:
                judged[name] = said
        sides[name] = Side(name=name, cases=cases, table=table, labels=labels, judged=tuple(judged[name]))
    _check_kinds(sides, spec.judge.kind)
    if spec.judge.check_steps:
        every = [one for side in sides.values() for one in side.cases]
        said = [label for side in sides.values() for label in side.judged]
        write_check_sheet(directory.path / SHEET, every, said, seed=spec.seed, steps=spec.judge.check_steps)
    return sides


def with_masked(chains: LabelledChains) -> LabelledChains:
    """Chains, and once more with options and names masked: a model that never met the mask does not know the word."""
    return LabelledChains([*chains.cases, *masked(chains.cases)], np.concatenate([chains.labels, chains.labels]))


def _check_kinds(sides: Mapping[str, Side], kind: JudgeKind) -> None:
    for name in SIDES:
        labels = sides[name].labels[kind]
        biased, unbiased = (int((labels == said).sum()) for said in (0, 1))
        if not biased or not unbiased:
            raise BadInput(
                f"of {len(labels):,} {name} steps {biased} are labelled biased and {unbiased} unbiased, "
                f"{int((labels == UNLABELLED).sum()):,} neither",
                place=f"judge {kind!r}",
                fix="use more cases or chains, a smaller judge.delta, or another judge: both kinds are needed",
            )
