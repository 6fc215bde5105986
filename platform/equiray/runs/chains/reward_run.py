"""`RewardRun`: a finished reward run as the decisions of another run read it, and what it may not decide on."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equiray.data.cases.case_set import family_of
from equiray.data.cases.record import Case
from equiray.errors import BadInput, reading_back
from equiray.runs.reward.planning import wording_sha256
from equiray.runs.reward.training import OUTCOME, PROCESS, model_folder
from equiray.specs.chains import ChainsSpec
from equiray.specs.reward_run import RewardSpec, load_reward_spec

_DOCUMENT, _SCHEMA = "reward.json", "equiray.reward-results/1"


@dataclass(frozen=True, kw_only=True)
class RewardRun:
    """A reward run that is finished: its spec, and what its document says of it."""

    directory: Path
    spec: RewardSpec
    document: dict[str, Any]

    @classmethod
    def read(cls, directory: Path) -> "RewardRun":
        """Read a run directory.

        Raises
        ------
        BadInput
            It is no directory of a reward run, or the run is not finished.
        """
        place = f"reward_model {directory}"
        if not (directory / "spec.yaml").is_file():
            fix = "name the --out of a finished `equiray run jobs/reward_model.yaml`"
            raise BadInput("no run is there", place=place, fix=fix)
        try:
            spec = load_reward_spec(directory / "spec.yaml")
        except BadInput as error:
            fix = "name the --out of a finished `equiray run jobs/reward_model.yaml`"
            raise BadInput(f"not a run of a reward model: {error.problem}", place=place, fix=fix) from error
        file = directory / _DOCUMENT
        if not file.is_file():
            fix = f"finish it: equiray run {directory / 'spec.yaml'} --out {directory}"
            raise BadInput("the run is not finished", place=place, fix=fix)
        with reading_back(file, fix="repeat the command that made the run"):
            document = json.loads(file.read_text(encoding="utf-8"))
            if document["schema"] != _SCHEMA:
                raise ValueError(f"schema {document['schema']!r} is not {_SCHEMA}")
        return cls(directory=directory, spec=spec, document=document)

    @property
    def process(self) -> Path:
        """The model of steps."""
        return model_folder(self.directory, PROCESS)

    @property
    def outcome(self) -> Path | None:
        """The model of whole chains, if one was trained."""
        return model_folder(self.directory, OUTCOME) if self.document["models"]["outcome"] else None

    @property
    def held_out(self) -> tuple[str, ...]:
        """Categories of BBQ that it never saw."""
        return tuple(self.document["cases"]["held_out"])

    @property
    def weights(self) -> str:
        """Names what decides: hashes of its models' weights."""
        models = self.document["models"]
        return " ".join(models[name]["weights_sha256"] for name in (PROCESS, OUTCOME) if models[name])

    def check(self, spec: ChainsSpec) -> None:
        """Raise BadInput where chains of a spec are not what this model has learnt to read."""
        place = f"reward_model {self.directory}"
        if spec.separator != self.spec.separator:
            raise BadInput(
                f"its steps end at {self.spec.separator!r}, those of this spec at {spec.separator!r}",
                place=place,
                fix="write the same `separator`, or train a reward model with this one",
            )
        if wording_sha256(spec.sampling) != self.document["wording_sha256"]:
            raise BadInput(
                "its cases were asked in other words",
                place=place,
                fix="write the same `sampling.examples`, or train it again with this version",
            )
        if "outcome" in spec.baselines and self.outcome is None:
            raise BadInput(
                f"it has no model of whole chains: {self.document['models']['no_outcome']}",
                place=f"baselines, {place}",
                fix="leave outcome out of `baselines`, or train one (outcome: true)",
            )

    def check_categories(self, categories: Iterable[str]) -> None:
        """Raise BadInput where categories of BBQ are named that the model has learnt from."""
        learnt = sorted(set(categories) - set(self.held_out))
        if learnt:
            raise BadInput(
                f"the reward model has learnt from category {learnt[0]!r}",
                place="cases.categories",
                fix=f"name some of those that it never saw: {', '.join(self.held_out)}",
            )

    def check_cases(self, cases: Iterable[Case]) -> None:
        """Raise BadInput where a case asks what training, or the choice of a checkpoint, has seen."""
        seen = frozenset(self.document["learnt_families"])
        for case in cases:
            if family_of(case) in seen:
                raise BadInput(
                    f"the reward model has learnt from another wording of case {case.case_id!r}",
                    place="cases",
                    fix="name other categories, or train it on other ones",
                )
