"""What a reward run is about, loaded and found good before anything is computed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from equiray.data.cases.asking import Asking, ask
from equiray.data.cases.bbq_files import CATEGORIES
from equiray.data.cases.case_set import CaseSet, family_of
from equiray.data.cases.record import Case
from equiray.errors import BadInput
from equiray.runs.sampling.cases import load_bbq_cases, open_families
from equiray.specs.generation import SamplingSpec
from equiray.specs.reward_run import RewardSpec

SIDES = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class RewardPlan:
    """The cases of a run; `parts` by split, of which ``test`` holds the held-out categories."""

    cases: CaseSet
    parts: Mapping[str, tuple[Case, ...]]

    @property
    def learnt_families(self) -> tuple[str, ...]:
        """Questions that training or the choice of a checkpoint has seen: no decision may be made on them."""
        return tuple(sorted({family_of(case) for side in SIDES[:2] for case in self.parts[side]}))


def plan_reward(spec: RewardSpec) -> RewardPlan:
    """Load the cases and deal them to train, validation and test.

    A question of a held-out category that stands in another one, too, is left out of training, sampled or not.

    Raises
    ------
    BadInput
        A category is absent, or a side has no case.
    """
    _check(spec)
    cases = load_bbq_cases(spec.cases)
    unseen = open_families(spec.cases, spec.held_out)
    kept = [c for c in cases.cases if c.category in spec.held_out or family_of(c) not in unseen]
    parts = CaseSet(**{**vars(cases), "cases": tuple(kept)}).hold_out(spec.held_out, spec.seed)
    for side in SIDES:
        if len({family_of(case) for case in parts[side]}) < 2:
            raise BadInput(
                f"{len(parts[side])} cases to {_DOES[side]}",
                place="cases.items",
                fix="use more cases, so that each side has two questions or more",
            )
    return RewardPlan(cases=cases, parts=parts)


def wording_sha256(sampling: SamplingSpec) -> str:
    """Hash of the words in which cases are asked: chains asked otherwise are other chains to a reward model."""
    case = Case(case_id="wording", dataset="none", category="none", text="Who?", options=("one", "other"), answer=None)
    asked = [ask(case, Asking(variant=v, order_seed=None, examples=sampling.examples)) for v in ("reason", "fair")]
    return hashlib.sha256(repr([(one.text, one.examples) for one in asked]).encode()).hexdigest()


_DOES = {"train": "train on", "validation": "choose the checkpoint on", "test": "evaluate on"}


def _check(spec: RewardSpec) -> None:
    if spec.cases.dataset != "bbq":
        raise BadInput(
            f"steps of {spec.cases.dataset} cannot be labelled: its cases name no stereotyped option",
            place="cases.dataset",
            fix="train on bbq; the model then decides on any data set",
        )
    unknown = sorted(set(spec.held_out) - set(spec.cases.categories or CATEGORIES))
    if unknown:
        fix = f"name some of: {', '.join(spec.cases.categories or CATEGORIES)}"
        raise BadInput(f"no category {unknown[0]!r} to hold out", place="held_out", fix=fix)
    if not set(spec.cases.categories or CATEGORIES) - set(spec.held_out):
        raise BadInput("every category is held out", place="held_out", fix="leave some to train on")
    if spec.reward.reading == "outcome":
        fix = "name isolated or in_context; a model of whole chains is trained beside it (outcome: true)"
        raise BadInput("an outcome model scores no steps", place="reward.reading", fix=fix)
