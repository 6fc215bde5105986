"""The nouns of template bias tests: `Template`, `TargetPairs`, `Fillers`, `Exclusion` and `TemplateSet`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from equiray.errors import BadInput

TARGET, MASK = "[TARGET]", "[MASK]"


@dataclass(frozen=True, kw_only=True)
class Template:
    """One sentence with a place for a group ([TARGET]) and, after it, one for a filler ([MASK]).

    `family` names the base sentence that this one is a wording of. `reversed` marks sentences that deny what they
    say ("never", "rarely"): a poor filler there speaks of riches. `change` is what was done to the base sentence.
    """

    id: str
    family: str
    text: str
    change: str = ""
    reversed: bool = False

    @property
    def before_mask(self) -> str:
        """All that a left-to-right model reads before the filler, [TARGET] still in place."""
        return self.text.partition(MASK)[0].rstrip()


class TargetPair(NamedTuple):
    """Twins: two words that differ in the sensitive attribute alone."""

    disadvantaged: str
    advantaged: str


@dataclass(frozen=True, kw_only=True)
class TargetPairs:
    """The groups of one attribute, as twins.

    `disadvantaged_group` is the side whose stereotype is "poor": a convention that fixes signs, explained in `why`,
    and no claim about people.
    """

    attribute: str
    disadvantaged_group: str
    advantaged_group: str
    pairs: tuple[TargetPair, ...]
    why: str


@dataclass(frozen=True, kw_only=True)
class Fillers:
    """What may be said at [MASK]: 9 words for poor, 9 for rich, 18 that are irrelevant to either."""

    poor: tuple[str, ...]
    rich: tuple[str, ...]
    irrelevant: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """Every filler, in the column order of score arrays: poor, rich, irrelevant."""
        return self.poor + self.rich + self.irrelevant

    @property
    def relevant(self) -> tuple[str, ...]:
        """Poor, then rich: the fillers that probabilities are normalised over."""
        return self.poor + self.rich


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """Source rows left out for one reason; `rows` are their ids in the source file."""

    reason: str
    rows: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True)
class TemplateSet:
    """Templates of one origin, the targets and fillers that go into them, and what was left out of the source.

    Attributes
    ----------
    name : str
        ``poor_or_rich`` or ``equiray``; the task name of every estimate made from it.
    templates : tuple of Template
    targets : mapping from attribute to TargetPairs
        Intersections join their attributes with ``*``.
    neutral : tuple of str
        Targets without any sensitive attribute.
    fillers : Fillers
    excluded : tuple of Exclusion
        Every source row that is not among `templates`, by reason.
    source : str
        Where the sentences came from, for reports.
    sha256 : str
        Digest of the source file's bytes.
    """

    name: str
    templates: tuple[Template, ...]
    targets: Mapping[str, TargetPairs]
    neutral: tuple[str, ...]
    fillers: Fillers
    excluded: tuple[Exclusion, ...]
    source: str
    sha256: str

    @property
    def families(self) -> tuple[str, ...]:
        """Family names in source order, each once."""
        return tuple(dict.fromkeys(template.family for template in self.templates))

    def pairs_of(self, attribute: str) -> TargetPairs:
        """The twins of one attribute.

        Raises
        ------
        BadInput
            The set has no targets for it; names those it has.
        """
        if attribute not in self.targets:
            raise BadInput(
                f"no targets for attribute {attribute!r}",
                place=f"template set {self.name}",
                fix=f"name one of {', '.join(self.targets)}",
            )
        return self.targets[attribute]

    def select(self, families: Iterable[str] | None = None, *, variants_per_family: int | None = None) -> "TemplateSet":
        """The same set with fewer templates.

        Parameters
        ----------
        families : iterable of str, optional
            Families to keep; None keeps all.
        variants_per_family : int, optional
            Keep at most that many templates of each family, the first in source order (the base sentence first).

        Raises
        ------
        BadInput
            A family is not in the set.
        """
        wanted = self.families if families is None else tuple(families)
        if unknown := sorted(set(wanted) - set(self.families)):
            raise BadInput(
                f"unknown template families {', '.join(unknown)}",
                place=f"template set {self.name}",
                fix="use the names of its `families`",
            )
        taken = dict.fromkeys(wanted, 0)
        kept = []
        for template in self.templates:
            if template.family in taken and taken[template.family] != variants_per_family:
                taken[template.family] += 1
                kept.append(template)
        return replace(self, templates=tuple(kept))
