"""Votes with what is needed to judge them: the right option, the positive one, and groups.

Notable: temperature and number of chains are chosen on `ValidationCases` and read on `HeldOutCases`. Either takes votes
of its own split only, and what chooses takes the first kind only, so test rows cannot choose.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.metrics.catalogue import METRICS
from equiray.metrics.estimation import GroupedScores
from equiray.metrics.tables import MISSING
from equiray.mitigation.voting.chains import NO_ANSWER, REFUSED
from equiray.mitigation.voting.votes import Votes

CLASSES = ("0", "1")

_NEEDS_BOTH_LABELS = "worst_group_accuracy_cells"


class View(NamedTuple):
    """Options as two classes: `label` int64 [C], `one` [C], the option that counts as class 1, and what is read of it.

    `metrics` are ids of the catalogue's metrics that are made of rates.
    """

    label: NDArray[np.int64]
    one: NDArray[np.int64]
    metrics: frozenset[str]


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedCases:
    """C cases that can be judged; use `ValidationCases` or `HeldOutCases`.

    Attributes
    ----------
    votes : Votes
    right : int64 [C]
        The right option.
    positive : int64 [C], optional
        Of decisions: the option that is the positive class. None where there is none, as in questions: then only
        accuracy is read.
    groups : tuple of GroupedScores
        Attributes and intersections: names of the groups, `MISSING` last, and each case's code [C].

    Raises
    ------
    BadInput
        Votes are of another split, or options, names or codes do not fit.
    """

    split: ClassVar[str] = ""

    votes: Votes
    right: NDArray[np.int64]
    positive: NDArray[np.int64] | None
    groups: tuple[GroupedScores, ...]

    def __post_init__(self) -> None:
        if self.votes.split != self.split:
            raise _refused(
                f"votes of the {self.votes.split!r} split",
                "votes",
                f"{type(self).__name__} are of the {self.split!r} split: choose on validation, read on test",
            )
        for name, options in (("right", self.right), ("positive", self.positive)):
            if options is not None:
                self._check_options(name, options)
        for attribute, names, code in self.groups:
            if len(set(names)) < len(names) or MISSING in names[:-1]:
                raise _refused(f"names {', '.join(names)}", attribute, f"name each group once, and {MISSING} last")
            if np.shape(code) != self.right.shape or ((code < 0) | (code >= len(names))).any():
                raise _refused("codes that do not fit", attribute, f"give each case a code, 0 to {len(names) - 1}")

    def _check_options(self, name: str, options: NDArray[np.int64]) -> None:
        cases = self.votes.shape[0]
        if np.shape(options) != (cases,):
            raise _refused(f"shape {np.shape(options)}", name, f"give one option for each of {cases} cases")
        unfit = (options < 0) | (options >= self.votes.options)
        if unfit.any():
            place = int(np.argmax(unfit))
            case = self.votes.case_ids[place]
            raise _refused(f"option {options[place]}", f"{name} of case {case!r}", "leave out cases without one")

    @property
    def two_classes(self) -> bool:
        """Whether each case is a decision between two options."""
        return self.positive is not None and bool((self.votes.options == len(CLASSES)).all())

    @property
    def views(self) -> tuple[View, ...]:
        """How the options are read as two classes, each metric in one of them.

        Decisions between two options are positive or not. Of more, being right, which class 1 then stands for, is
        another question than being positive.
        """
        made_of_rates = {name: metric for name, metric in METRICS.items() if metric.rates and metric.reads == "mass"}
        every = frozenset(made_of_rates)
        binary = frozenset(name for name, metric in made_of_rates.items() if metric.binary)
        ones = np.ones(len(self.right), np.int64)
        if self.positive is None:
            return (View(ones, self.right, every - binary - {_NEEDS_BOTH_LABELS}),)
        decided = View((self.right == self.positive).astype(np.int64), self.positive, every)
        if self.two_classes:
            return (decided,)
        return (
            View(ones, self.right, every - binary - {_NEEDS_BOTH_LABELS}),
            decided._replace(metrics=binary),
        )

    def grouped(self, attribute: str) -> GroupedScores:
        """The groups of an attribute; raises BadInput where there is none of that name."""
        for each in self.groups:
            if each.attribute == attribute:
                return each
        known = ", ".join(each.attribute for each in self.groups) or "none"
        raise _refused(f"no groups of {attribute!r}", "groups", f"name one of: {known}")

    def predictions(self, view: View, answer: NDArray[np.int64], chains: int) -> NDArray[np.int64]:
        """Places [C] of answers [C] on a table's axis of predictions: class 0, class 1, refused, unparsed."""
        without = np.where(self.votes.unanswered(chains) == REFUSED, 2, 3)
        return np.where(answer == NO_ANSWER, without, answer == view.one)


@dataclass(frozen=True, kw_only=True, eq=False)
class ValidationCases(JudgedCases):
    """Cases that may choose."""

    split: ClassVar[str] = "validation"


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOutCases(JudgedCases):
    """Cases of the test split: figures are read on them, and nothing is chosen."""

    split: ClassVar[str] = "test"


def _refused(problem: str, where: str, fix: str) -> BadInput:
    return BadInput(problem, place=f"judged cases, {where}", fix=fix)
