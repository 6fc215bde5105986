"""What a monitor is told: which attributes and bounds it watches, what outcomes are seen, how much it remembers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from equiray.errors import BadInput
from equiray.metrics.tables import MISSING
from equiray.serving.monitor.kinds import WATCHED

OTHER = "(other)"
"""The group of rows whose group came after as many as are counted apart: shown, and compared with none."""

EVERYBODY = "(all)"
"""The one group of what is watched over all rows."""

SEPARATOR = "*"
"""Between the attributes of an intersection, and between the names of its groups."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One thing that is to hold: a metric at most (`max`) or at least (`min`) a value.

    Attributes
    ----------
    attribute : str, optional
        None: over all rows.
    group : str, optional
        None: of every group, or over groups, as the metric is.
    min_n, min_share
        Rows of a group's denominator, and its share of the rows, below which it is not judged.
    source : "policy", "validation"
    error : float
        Probability that the bound itself is wrong, where it is a limit of an estimate.
    spends : bool
        Whether that error has been taken out of this bound's share of alpha.
    """

    metric: str
    attribute: str | None
    side: Literal["max", "min"]
    value: float
    group: str | None = None
    min_n: int = 30
    min_share: float = 0.0
    source: Literal["policy", "validation"] = "policy"
    error: float = 0.0
    spends: bool = False

    def __post_init__(self) -> None:
        if self.metric not in WATCHED:
            fix = f"watch one of: {', '.join(WATCHED)}"
            raise BadInput(f"{self.metric!r} cannot be watched live", place="bounds of the live monitor", fix=fix)
        if self.attribute is None and WATCHED[self.metric].form != "rate":
            fix = "name its attribute"
            raise BadInput(f"{self.metric} compares groups", place="bounds of the live monitor", fix=fix)

    @property
    def rule(self) -> str:
        """``tpr of female (sex) at least 0.8``."""
        who = f"{self.group} ({self.attribute})" if self.group is not None else self.attribute
        of = f" of {who}" if who is not None else ""
        return f"{self.metric}{of} at {'most' if self.side == 'max' else 'least'} {self.value:.4g}"


class Harm(NamedTuple):
    """What an adapter that is always on changes on validation.

    `d_min` is the vulnerable group's accuracy with it less that without, `d_maj` the others' without it less with it.
    """

    d_min: float
    d_maj: float


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A FairNet gate: the group it is to open for, and what its adapter does, where that was measured."""

    vulnerable: str
    harm: Harm | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a monitor.

    Attributes
    ----------
    attributes : tuple of str
        Counted by group; ``a*b`` is an intersection. Others are not looked at.
    bounds : tuple of Bound
        The family that shares `alpha`, for each model version anew: version number v, in the order of their first
        records, gets alpha / (v (v + 1)), which adds up to alpha over any number of versions.
    outcomes_for : "accepted", "every"
        Whose outcomes are seen: only those of selected rows, or those of any row, whatever was decided.
    groups_at_most : int
        Groups of an attribute that are counted apart, per version; the others are `OTHER`.
    groups : mapping
        By attribute: those that are counted apart however many have been seen before.
    versions_at_most : int
        Model versions that are watched; records of later ones are only counted.
    remembered : int
        Decisions whose outcome can still be taken in; that of an older one is late.
    gates : mapping
        By the gate's attribute.
    name, about : str
        Of the policy, as shown.
    """

    attributes: tuple[str, ...]
    bounds: tuple[Bound, ...] = ()
    alpha: float = 0.05
    outcomes_for: Literal["accepted", "every"] = "accepted"
    groups_at_most: int = 12
    versions_at_most: int = 16
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    remembered: int = 200_000
    gates: Mapping[str, Gate] = field(default_factory=dict)
    not_watched: tuple[str, ...] = ()
    name: str = ""
    about: str = ""

    def __post_init__(self) -> None:
        place = "settings of the live monitor"
        if not 0 < self.alpha < 0.5:
            raise BadInput(f"alpha {self.alpha:g} is no small probability", place=place, fix="choose one such as 0.05")
        for name, value in (("groups_at_most", self.groups_at_most), ("remembered", self.remembered)):
            if value < 1:
                raise BadInput(f"{name} is {value}", place=place, fix="choose at least 1")
        for bound in self.bounds:
            if bound.attribute is not None and bound.attribute not in self.attributes:
                fix = f"add it to the attributes ({', '.join(self.attributes) or 'none'}), or drop the bound"
                raise BadInput(f"a bound on {bound.attribute!r}, which is not counted", place=place, fix=fix)
            if bound.group in (MISSING, OTHER):
                raise BadInput(f"a bound on {bound.group}", place=place, fix="it is no group of people: name another")

    def share(self, version: int) -> float:
        """Alpha of each bound, for the model version of this number, counted from 1."""
        return self.alpha / (version * (version + 1)) / max(len(self.bounds), 1)
