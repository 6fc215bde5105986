"""`Counts`: a set of counted blocks, and the tables that metrics read."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from pathlib import Path

from equiray.data.row_blocks import BlockId
from equiray.errors import BadInput
from equiray.metrics.counting.blocks import Block
from equiray.metrics.counting.encoding import looks_numeric
from equiray.metrics.counting.layout import Layout
from equiray.metrics.counting.margins import group_table
from equiray.metrics.counting.store import Stored, read_stored, write_stored
from equiray.metrics.tables import MISSING, GroupTable

_FIX_MERGE = "add up only what was counted alike: the same attributes, classes and columns, of one model"


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """Counts of any number of rows of one model's predictions.

    Attributes
    ----------
    layout : Layout
        What is counted.
    model : str
        Hash (or another name) of what made the predictions.
    blocks : mapping of BlockId to Block
        In the order of their ids.
    origins : mapping of str to tuple of str
        The names under which each source (a content hash) was read.
    """

    layout: Layout
    model: str
    blocks: Mapping[BlockId, Block]
    origins: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(
        cls, layout: Layout, model: str, blocks: Iterable[Block], origins: Mapping[str, Sequence[str]] | None = None
    ) -> "Counts":
        """Counts of some blocks; one that is there twice counts once.

        Raises
        ------
        BadInput
            Two blocks share rows without being the same, or hold numbers and words in one column.
        """
        found: dict[BlockId, Block] = {}
        for block in blocks:
            if block.digest != found.setdefault(block.id, block).digest:
                raise BadInput(
                    f"the same rows were counted twice with different results, {block.digest[:12]} and "
                    f"{found[block.id].digest[:12]}",
                    place=f"block of {block.id}",
                    fix="count the file again; were its columns named differently, they are other counts",
                )
        ordered = {block: found[block] for block in sorted(found)}
        _check_overlaps(list(ordered))
        _check_kinds(layout, list(ordered.values()), origins or {})
        named = {source: tuple(sorted(set(names))) for source, names in sorted((origins or {}).items())}
        return cls(layout=layout, model=model, blocks=ordered, origins=named)

    @property
    def rows(self) -> int:
        """All rows counted."""
        return sum(block.stop - block.start for block in self.blocks)

    @cached_property
    def sha256(self) -> str:
        """Hash of everything counted: equal for equal counts, whatever order they were merged in."""
        found = hashlib.sha256(f"{self.layout.sha256} {self.model!r}".encode())
        for block, held in self.blocks.items():
            found.update(f" {block.source} {block.start} {block.stop} {held.digest}".encode())
        return found.hexdigest()

    def merge(self, *others: "Counts") -> "Counts":
        """Counts of all blocks of these and the others: associative, commutative, idempotent.

        Raises
        ------
        BadInput
            Layouts or models differ, or as `of`.
        """
        origins = {source: list(names) for source, names in self.origins.items()}
        for other in others:
            for what, ours, theirs in (
                ("layout", self.layout.sha256, other.layout.sha256),
                ("model", self.model, other.model),
            ):
                if ours != theirs:
                    raise BadInput(
                        f"counts of another {what} do not add up: {ours[:40]} and {theirs[:40]}",
                        place=f"{self._shown()} and {other._shown()}",
                        fix=_FIX_MERGE,
                    )
            for source, names in other.origins.items():
                origins.setdefault(source, []).extend(names)
        blocks = [block for counts in (self, *others) for block in counts.blocks.values()]
        return Counts.of(self.layout, self.model, blocks, origins)

    def table(self, attribute: str) -> GroupTable:
        """The groups of an attribute (``"sex"``), or of an intersection (``"race*sex"``).

        A declared group is listed even without a row, a combination only where it has rows. Rows whose value of (any
        of) the attributes is missing are the group `MISSING`, the last.

        Raises
        ------
        BadInput
            There are no rows, an attribute is not counted or named twice, there are more than 10,000 groups, all
            weights are 0, or fewer than two classes occur where none are declared (or more than two with scores).
        """
        if not self.blocks:
            raise BadInput("no rows were counted", place=self._shown(), fix="count at least one row")
        return group_table(list(self.blocks.values()), self.layout, attribute.split("*"))

    def tables(self, order: int = 1) -> Iterator[GroupTable]:
        """The table of each attribute, then of each pair, up to `order` attributes together; raises as `table`."""
        names = [attribute.name for attribute in self.layout.attributes]
        for size in range(1, order + 1):
            for chosen in combinations(names, size):
                yield self.table("*".join(chosen))

    def save(self, path: Path) -> None:
        """Write a Parquet file, one row a block, whole or not at all.

        Raises
        ------
        Incomplete
            The file cannot be written.
        """
        write_stored(Stored(self.layout, self.model, list(self.blocks.values()), self.origins), self.sha256, path)

    @classmethod
    def load(cls, path: Path) -> "Counts":
        """Read what `save` wrote, and check its hash.

        Raises
        ------
        BadInput
            The file is absent, not one of counts, or was altered.
        """
        stored, sha256 = read_stored(path)
        counts = cls.of(stored.layout, stored.model, stored.blocks, stored.origins)
        if counts.sha256 != sha256:
            raise BadInput(
                f"the counts were altered: their hash is {counts.sha256[:12]}, the file says {sha256[:12]}",
                place=str(path),
                fix="copy the file again, or count again",
            )
        return counts

    def _shown(self) -> str:
        names = [name for each in self.origins.values() for name in each]
        return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") or "counts of a table"


def _check_overlaps(blocks: Sequence[BlockId]) -> None:
    for first, second in pairwise(blocks):
        if first.source == second.source and second.start < first.stop:
            raise BadInput(
                f"blocks share rows: {first} and {second}",
                place="the counts to be merged",
                fix="count with the same number of rows a block each time",
            )


def _check_kinds(layout: Layout, blocks: Sequence[Block], origins: Mapping[str, Sequence[str]]) -> None:
    """Words in one file and numbers in another cannot mean the same; texts that read as numbers can.

    Nor can classes of which none reads as a number mean those of another block, all of which do: in CSV everything is
    text. Declared classes are what they are declared to be.
    """
    axes = [f"attribute {attribute.name!r}" for attribute in layout.attributes] + ["label or prediction"]
    for place, what in enumerate(axes):
        numbers = next((block for block in blocks if block.numeric[place]), None)
        if numbers is None:
            continue
        for block in blocks:
            if block.numeric[place] is not False:
                continue
            names = block.levels[place] if place < len(block.levels) else block.classes
            word = next((name for name in names if not looks_numeric(name) and name != MISSING), None)
            if word is not None:
                raise _other_kind(what, word, numbers, block, origins)
    if layout.real_valued or layout.classes is not None:
        return
    reading = [(block, {looks_numeric(name) for name in block.classes}) for block in blocks]
    digits, words = (next((block for block, kinds in reading if kinds == {kind}), None) for kind in (True, False))
    if digits is not None and words is not None:
        raise _other_kind(axes[-1], words.classes[0], digits, words, origins)


def _other_kind(what: str, word: str, numbers: Block, words: Block, origins: Mapping[str, Sequence[str]]) -> BadInput:
    files = [", ".join(origins.get(each.id.source, ())) or str(each.id) for each in (numbers, words)]
    return BadInput(
        f"{what} is a number in one place and {word!r} in the other",
        place=f"{files[0]} and {files[1]}",
        fix="write its values alike in all files",
    )
