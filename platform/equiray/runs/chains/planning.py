"""The cases of a run of chains, split into those that choose temperature and number of chains, and those decided on.

Notable: of BBQ without named categories the sample is that of the reward run, and what the model has learnt from is
left out, so both runs share their chains. Questions are dealt 2 to 3, whole families; of tables the rows' own splits
are used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from equiray.data.cases.bbq_files import CATEGORIES
from equiray.data.cases.case_set import CaseSet, family_of
from equiray.data.cases.record import Case
from equiray.errors import BadInput
from equiray.runs.chains.reward_run import RewardRun
from equiray.runs.sampling.cases import TEXTS, load_bbq_cases, load_decisions, load_texts
from equiray.runs.sampling.engines import Engines
from equiray.specs.chains import ChainsSpec
from equiray.specs.generation import CasesSpec

BBQ = "bbq"
SIDES = ("validation", "test")


@dataclass(frozen=True, kw_only=True)
class PlannedCases:
    """One data set's cases by split; `attributes` are compared, the first one chooses."""

    name: str
    spec: CasesSpec
    title: str
    warnings: tuple[str, ...]
    licence: str
    source_sha256: str
    attributes: tuple[str, ...]
    parts: Mapping[str, tuple[Case, ...]]
    left_out: int = 0

    @property
    def is_bbq(self) -> bool:
        """Whether answers are judged by stereotypes, and not by what is decided about groups."""
        return self.name == BBQ


def plan_cases(spec: ChainsSpec, reward: RewardRun, engines: Engines) -> list[PlannedCases]:
    """Load all cases of a spec.

    Raises
    ------
    BadInput
        A data set stands twice or is absent, or the reward model has learnt from a case.
    """
    names = [cases.dataset for cases in spec.cases]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"data set {name!r} stands twice", place="cases", fix="list each data set once")
    planned = []
    for cases in spec.cases:
        if cases.dataset == BBQ:
            planned.append(_bbq(cases, spec, reward))
        else:
            texts = cases.dataset in TEXTS
            sets = load_texts(cases) if texts else load_decisions(cases, SIDES, engines.count_tokens)
            planned.append(_planned(cases, sets["test"], {side: sets[side].cases for side in SIDES}))
    return planned


def _bbq(cases: CasesSpec, spec: ChainsSpec, reward: RewardRun) -> PlannedCases:
    reward.check_categories(cases.categories)
    sampled = load_bbq_cases(cases, only=CATEGORIES)
    held = sampled if cases.categories else sampled.of_categories(reward.held_out)
    reward.check_cases(held.cases)
    parts = held.split_by_family(spec.seed)
    sides = {"validation": (*parts["validation"], *parts["test"]), "test": parts["train"]}
    for side, of in sides.items():
        if len({family_of(case) for case in of}) < 2:
            fix = "use more cases, or more held-out categories"
            raise BadInput(f"{len(of)} {side} cases of BBQ", place="cases.items", fix=fix)
    return _planned(cases, held, sides, left_out=len(sampled) - len(held))


def _planned(cases: CasesSpec, of: CaseSet, sides: Mapping[str, Sequence[Case]], left_out: int = 0) -> PlannedCases:
    attributes = cases.attributes or tuple(dict.fromkeys(name for case in of.cases for name in case.groups))
    return PlannedCases(
        name=of.name,
        spec=cases,
        title=of.title,
        warnings=of.warnings,
        licence=of.licence,
        source_sha256=of.source_sha256,
        attributes=attributes,
        parts={side: tuple(found) for side, found in sides.items()},
        left_out=left_out,
    )
