"""What is counted (`Layout`) and in which columns of a file it stands (`Columns`)."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from equiray.errors import BadInput
from equiray.metrics.tables import MISSING, UNANSWERED

SCHEMA = "equiray.counts/1"
MAX_GROUPS = 10_000
MAX_CLASSES = 1_000
_RESERVED = (MISSING, *UNANSWERED)


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """A sensitive attribute; without `groups`, each value that occurs is a group.

    Declared groups keep their order, are listed even where no row is in them, and admit no other value.
    """

    name: str
    groups: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What is counted. Counts of unlike layouts do not merge.

    Parameters
    ----------
    attributes : tuple of Attribute
        At least one. Intersections are sums over one table of all of them, so they need no declaration.
    classes : tuple of str, optional
        Values of label and prediction, of a binary decision the positive one last. None takes those that occur,
        numbers in their order and then texts in theirs; 0 and 1 where no other occurs.
    real_valued : bool
        Label and prediction are numbers to be compared, not classes.
    scores : bool
        Rows have the positive class's score in [0, 1].
    weights : bool
        Rows have weights (survey or importance weights).

    Raises
    ------
    BadInput
        Names that are empty, taken twice or reserved, or parts that contradict each other.

    Notes
    -----
    Values are compared as text, in every file alike: 1, 1.0 and the text "1" are one class or group, and of a label or
    prediction so are true and 1, false and 0.
    """

    attributes: tuple[Attribute, ...]
    classes: tuple[str, ...] | None = None
    real_valued: bool = False
    scores: bool = False
    weights: bool = False

    def __post_init__(self) -> None:
        if not self.attributes:
            raise _wrong("no attribute is named", "name at least one sensitive attribute")
        names = [attribute.name for attribute in self.attributes]
        _check_values("attribute", names)
        for name in names:
            if "*" in name:
                raise _wrong(f"attribute {name!r} contains '*', which joins attributes", "give it another name")
        for attribute in self.attributes:
            if attribute.groups is not None:
                _check_values(f"group of {attribute.name!r}", attribute.groups)
        if self.classes is not None:
            _check_values("class", self.classes, MAX_CLASSES)
            if len(self.classes) < 2:
                raise _wrong(f"only one class is declared: {self.classes}", "declare two or more")
            if self.scores and len(self.classes) > 2:
                raise _wrong(
                    f"scores are those of a binary decision; {len(self.classes)} classes are declared",
                    "leave the scores out, or count one class against the others",
                )
        if self.real_valued and (self.scores or self.classes is not None):
            raise _wrong("a real-valued target has neither classes nor scores", "drop them, or drop real_valued")

    @property
    def sha256(self) -> str:
        """Hash of everything above."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def attribute(self, name: str) -> int:
        """The place of an attribute.

        Raises
        ------
        BadInput
            It is not counted.
        """
        names = [attribute.name for attribute in self.attributes]
        if name not in names:
            raise BadInput(
                f"attribute {name!r} is not counted", place="the layout of the counts", fix=f"one of: {names}"
            )
        return names.index(name)

    def to_json(self) -> dict[str, Any]:
        """The document kept with counts on disk."""
        return {"schema": SCHEMA} | asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Layout":
        """The layout that `to_json` wrote; raises KeyError, TypeError or BadInput on anything else."""
        parts = {key: value for key, value in document.items() if key != "schema"}
        attributes = tuple(
            Attribute(name=a["name"], groups=None if a["groups"] is None else tuple(a["groups"]))
            for a in parts.pop("attributes")
        )
        classes = parts.pop("classes")
        return cls(attributes=attributes, classes=None if classes is None else tuple(classes), **parts)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Where the rows' values stand: no part of the layout, so files that name their columns differently still add up.

    Parameters
    ----------
    label, prediction : str
    score, weight : str, optional
        Needed where the layout has scores or weights.
    outcome : str, optional
        Why a prediction is empty: ``refused`` or ``unparsed``; empty or ``answered`` where there is one.
    attributes : mapping of str to str
        Columns of those attributes that have another name than their column.
    """

    label: str
    prediction: str
    score: str | None = None
    weight: str | None = None
    outcome: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    def wanted(self, layout: Layout) -> list[str]:
        """All columns that the layout needs, each once.

        Raises
        ------
        BadInput
            Scores or weights are counted and their column is not named, or a column is named for what is not counted.
        """
        for part, column, counted in (("score", self.score, layout.scores), ("weight", self.weight, layout.weights)):
            if counted != (column is not None):
                problem = (
                    "counted, but no column is named" if counted else f"not counted, but column {column!r} is named"
                )
                raise BadInput(
                    f"{part}s are {problem}", place="columns", fix=f"name a {part} column exactly if they are"
                )
        if layout.real_valued and self.outcome is not None:
            problem = f"outcome column {self.outcome!r} is named, but a real-valued prediction is always there"
            raise BadInput(problem, place="columns", fix="leave the rows without a prediction out, and the column too")
        for name in self.attributes:
            layout.attribute(name)
        named = [self.of(attribute.name) for attribute in layout.attributes]
        named += [self.label, self.prediction, *(c for c in (self.score, self.weight, self.outcome) if c is not None)]
        return list(dict.fromkeys(named))

    def of(self, attribute: str) -> str:
        """The column of an attribute."""
        return self.attributes.get(attribute, attribute)


def _check_values(what: str, values: Sequence[str], most: int = MAX_GROUPS) -> None:
    bad = next((value for value in values if not value or value in _RESERVED), None)
    if bad is not None:
        raise _wrong(f"{what} {bad!r}: the name is empty or reserved", "give it another name")
    twice = next((value for value, times in Counter(values).items() if times > 1), None)
    if twice is not None:
        raise _wrong(f"{what} {twice!r} is declared twice", "declare it once")
    if len(values) > most:
        raise _wrong(f"{len(values):,} values are declared for {what}, at most {most:,} are taken", "declare fewer")


def _wrong(problem: str, fix: str) -> BadInput:
    return BadInput(problem, place="what is to be counted (layout)", fix=fix)
