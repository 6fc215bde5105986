"""A policy's YAML (docs/contracts/policy.yaml), checked to the last key and name."""

import difflib
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, field_validator, model_validator

from equiray.errors import BadInput
from equiray.policies.known import KNOWN
from equiray.specs.documents import as_bad_input, read_mapping

_HERE = Path(__file__).parent
READY = tuple(sorted(file.stem for file in _HERE.glob("*.yaml")))
"""Policies that come with equiray, reachable by name."""

EVERY = "*"
"""As a rule's attribute: every attribute and intersection for which the metric is reported."""


def nearest(name: str, names: Iterable[str]) -> str:
    """``; did you mean 'sex'?``, empty where nothing comes near."""
    near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        keys = {field.alias or name for name, field in cls.model_fields.items()}
        for key in data if isinstance(data, dict) else ():
            if key not in keys:
                raise ValueError(f"unknown key {key!r}{nearest(str(key), keys)}")
        return data


class Rule(_Document):
    """A bound on one metric, at most `max` or at least `min`."""

    metric: str
    attribute: str | None = Field(default=None, description="null: over all rows; *: every attribute reported")
    group: str | None = Field(default=None, description="null: over groups, or of every group, as the metric is")
    max: FiniteFloat | None = None
    min: FiniteFloat | None = None
    min_n: int = Field(default=30, ge=1, description="rows that each group's denominator needs")
    min_share: float = Field(default=0, ge=0, lt=1, description="groups with a smaller share of rows are left out")

    @field_validator("metric")
    @classmethod
    def _is_known(cls, metric: str) -> str:
        if metric not in KNOWN:
            raise ValueError(f"unknown metric{nearest(metric, KNOWN)}")
        return metric

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Rule":
        if (self.max is None) == (self.min is None):
            raise ValueError(f"the rule on {self.metric} needs one of `max` and `min`")
        direction, (lowest, highest) = KNOWN[self.metric]
        if not lowest <= self.bound <= highest:
            raise ValueError(f"the bound {self.bound:g} lies outside {self.metric}'s range, {lowest:g} to {highest:g}")
        if (self.side, direction) in (("max", "higher"), ("min", "lower")):
            other = "min" if self.side == "max" else "max"
            raise ValueError(f"{self.metric}: {direction} is better, so a rule bounds it by `{other}`")
        if self.group is not None and self.attribute in (None, EVERY):
            raise ValueError(f"`group: {self.group}` needs the name of its `attribute`")
        return self

    @property
    def side(self) -> Literal["max", "min"]:
        return "min" if self.max is None else "max"

    @property
    def bound(self) -> float:
        bound = self.min if self.max is None else self.max
        assert bound is not None
        return bound


class Policy(_Document):
    """What must hold. The family of claims is all rules x groups, and all of it is right at once with 1 - alpha."""

    schema_: Literal["equiray.policy/1"] = Field(alias="schema")
    about: str | None = Field(default=None, description="shown beside the verdicts: where the bounds come from")
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    rules: list[Rule] = Field(min_length=1)

    @field_validator("rules")
    @classmethod
    def _distinct(cls, rules: list[Rule]) -> list[Rule]:
        asked = [(rule.metric, rule.attribute, rule.group, rule.side) for rule in rules]
        for what in asked:
            if asked.count(what) > 1:
                raise ValueError(f"two rules give {what[0]} of {what[1] or 'all rows'} a `{what[3]}`")
        return rules

    def sha256(self) -> str:
        """Content hash: equal policies, however written, have equal hashes."""
        canonical = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


class NamedPolicy(BaseModel):
    """A policy and what it is called: the name of a ready one, else its file's."""

    model_config = ConfigDict(frozen=True)

    name: str
    place: str
    policy: Policy

    @property
    def is_ready(self) -> bool:
        """Whether it comes with equiray."""
        return Path(self.place).parent == _HERE


def load_policy(named: str | Path) -> NamedPolicy:
    """Read and check a policy: a ready one (`READY`) by its name, any other by the path of its YAML.

    Raises
    ------
    BadInput
        There is no such policy, it is no YAML, a key or a metric is unknown, a bound contradicts the metric's
        direction; names the key, the file and the nearest name that is known.
    """
    path = Path(named).expanduser()
    if str(named) in READY:
        path = _HERE / f"{named}.yaml"
    elif not path.exists():
        hint = nearest(str(named), READY)
        fix = f"name a YAML file, or one of the ready policies: {', '.join(READY)}"
        raise BadInput(f"there is no policy {str(named)!r}{hint}", place=str(named), fix=fix)
    document = read_mapping(path, "policy")
    try:
        policy = Policy.model_validate(document)
    except ValidationError as error:
        raise as_bad_input(error, str(path), "policy") from error
    return NamedPolicy(name=path.stem, place=str(path), policy=policy)
