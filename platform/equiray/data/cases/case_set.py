"""`CaseSet`: the cases of one data set with what a reader must know; splits by family and stratified samples."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from equiray.data.cases.record import Case
from equiray.data.schema import SPLITS
from equiray.data.splits import assign_splits, keyed_hash
from equiray.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class CaseSet:
    """Cases and where they came from.

    Attributes
    ----------
    name, title : str
        How the data set is called in a spec, and in a report.
    cases : tuple of Case
    synthetic : bool
        Whether cases were made rather than collected. Every report of a result says so.
    source_sha256 : str
        Of the files that were read.
    warnings : tuple of str
        What a reader of any result must know; cases that were left out are counted here.
    licence : str

    Raises
    ------
    BadInput
        A case_id stands twice, or there is no case.
    """

    name: str
    title: str
    cases: tuple[Case, ...]
    synthetic: bool
    source_sha256: str
    warnings: tuple[str, ...] = ()
    licence: str = ""

    def __post_init__(self) -> None:
        if not self.cases:
            raise self._wrong("there is no case", "choose fewer restrictions")
        twice = [name for name, n in Counter(case.case_id for case in self.cases).items() if n > 1]
        if twice:
            raise self._wrong(f"case_id {twice[0]!r} stands twice", "number the cases once")

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def categories(self) -> tuple[str, ...]:
        """Each once, in the order of the cases."""
        return tuple(dict.fromkeys(case.category for case in self.cases))

    def of_categories(self, names: Collection[str]) -> "CaseSet":
        """The cases of some categories.

        Raises
        ------
        BadInput
            There is no such category.
        """
        unknown = sorted(set(names) - set(self.categories))
        if unknown:
            raise self._wrong(f"no category {unknown[0]!r}", f"one of: {', '.join(self.categories)}")
        return replace(self, cases=tuple(case for case in self.cases if case.category in names))

    def of_groups(self, groups: Mapping[str, Collection[str]]) -> "CaseSet":
        """The cases of some groups: ``{"race": {"African-American", "Caucasian"}, "sex": {"Male"}}``.

        A twin goes where its own groups are, and never without its original.

        Raises
        ------
        BadInput
            No case has an attribute, or a group, of that name.
        """
        for name, wanted in groups.items():
            there = {case.groups[name] for case in self.cases if name in case.groups}
            unknown = sorted(set(wanted) - there)
            if unknown or not there:
                raise self._wrong(f"no group {unknown} of {name!r}", f"one of: {', '.join(sorted(there)) or 'none'}")
        inside = [c for c in self.cases if all(c.groups.get(name) in wanted for name, wanted in groups.items())]
        ids = {case.case_id for case in inside}
        return replace(self, cases=tuple(case for case in inside if case.twin_of is None or case.twin_of in ids))

    def sample(self, count: int, seed: int, *, by: Sequence[str] = ()) -> "CaseSet":
        """`count` cases with all their twins, as many of each category and context as of any other.

        Each category's score is a figure of its own, so strata share alike and not in proportion; one with too few
        cases gives all it has. A case's turn is a keyed hash of its id, so a larger sample holds a smaller one.

        Parameters
        ----------
        count : int
            Cases without their twins.
        seed : int
        by : sequence of str
            Attributes whose groups share alike, too.

        Raises
        ------
        BadInput
            There are fewer cases without their twins, none is asked for, or a case lacks an attribute.
        """
        for name in by:
            if any(name not in case.groups for case in self.cases):
                raise self._wrong(f"not every case has the attribute {name!r}", "name attributes of all cases")
        originals = [place for place, case in enumerate(self.cases) if case.twin_of is None]
        if not 0 < count <= len(originals):
            raise self._wrong(f"cannot sample {count} of {len(originals)} cases", f"ask for 1 to {len(originals)}")
        turn = keyed_hash(numbered([self.cases[place].case_id for place in originals]), seed, "case sample")
        strata: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for rank in np.argsort(turn, kind="stable").tolist():
            strata[_stratum(self.cases[originals[rank]], by)].append(originals[rank])
        quota = _equal_shares({key: len(places) for key, places in strata.items()}, count, seed)
        chosen = {self.cases[place].case_id for key, places in strata.items() for place in places[: quota[key]]}
        return replace(self, cases=tuple(case for case in self.cases if (case.twin_of or case.case_id) in chosen))

    def split_by_family(self, seed: int) -> dict[str, tuple[Case, ...]]:
        """Deal whole families 60 / 20 / 20 into train, validation and test, category by category (of its first case).

        A category of fewer than three families may lack a split.
        """
        first: dict[str, str] = {}
        for case in self.cases:
            first.setdefault(family_of(case), case.category)
        names = list(first)
        parts = assign_splits(numbered(names), np.array([first[name] for name in names]), seed)
        place = dict(zip(names, parts.tolist(), strict=True))
        return self._parted(lambda case: place[family_of(case)])

    def hold_out(self, test: Collection[str], seed: int) -> dict[str, tuple[Case, ...]]:
        """Test on categories of which nothing was seen before.

        The rest is dealt 3 to 1 into train and validation, family by family. A family that also stands in a held-out
        category is left out of both: its cases ask the same question.

        Raises
        ------
        BadInput
            There is no such category, or none is left to train on.
        """
        held = self.of_categories(test)
        seen = {family_of(case) for case in held.cases}
        rest = [case for case in self.cases if case.category not in test and family_of(case) not in seen]
        if not rest:
            raise self._wrong("every category is held out", "leave some to train on")
        parts = replace(self, cases=tuple(rest)).split_by_family(seed)
        # The third part goes to training: its families are as unseen as any.
        train = {case.case_id for name in ("train", "test") for case in parts[name]}
        return {
            "train": tuple(case for case in rest if case.case_id in train),
            "validation": parts["validation"],
            "test": held.cases,
        }

    def _parted(self, split_of: Callable[[Case], str]) -> dict[str, tuple[Case, ...]]:
        parts: dict[str, list[Case]] = {name: [] for name in SPLITS}
        for case in self.cases:
            parts[split_of(case)].append(case)
        return {name: tuple(cases) for name, cases in parts.items()}

    def _wrong(self, problem: str, fix: str) -> BadInput:
        return BadInput(problem, place=f"cases {self.name!r}", fix=fix)


def family_of(case: Case) -> str:
    """The case's family, which is the case itself where it has no other."""
    return case.case_id if case.family is None else case.family


def _stratum(case: Case, by: Sequence[str]) -> tuple[str, ...]:
    context = "" if case.stereotype is None else case.stereotype.context
    return (case.category, context, *(case.groups[name] for name in by))


def numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """A number per name, the same in every process."""
    digests = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little", signed=True) for name in names]
    return np.array(digests, dtype=np.int64)


def _equal_shares(sizes: dict[tuple[str, ...], int], count: int, seed: int) -> dict[tuple[str, ...], int]:
    """How many each stratum gives: alike, but none more than it has; what is left over goes by a keyed order."""
    keys = list(sizes)
    turn = keyed_hash(numbered(["|".join(key) for key in keys]), seed, "case strata")
    order = [keys[place] for place in np.argsort(turn, kind="stable").tolist()]
    quota = dict.fromkeys(keys, 0)
    while (left := count - sum(quota.values())) > 0:
        open_ones = [key for key in order if quota[key] < sizes[key]]
        each, extra = divmod(left, len(open_ones))
        for place, key in enumerate(open_ones):
            quota[key] = min(sizes[key], quota[key] + each + (place < extra))
    return quota
