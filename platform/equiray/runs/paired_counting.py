"""Counting two sets of predictions pair by pair of rows; what was counted is kept, and the same command takes it up."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from equiray.data.pairing import Matched, Pair, Source, in_order, match
from equiray.data.prediction_files import open_files
from equiray.data.row_blocks import BlockId
from equiray.data.stores import find_files
from equiray.errors import BadInput
from equiray.metrics.counting import Block, Counts, Layout
from equiray.metrics.counting.encoding import Place
from equiray.metrics.counting.joint import PairTally, joint_layout, joint_table, shift_layout, tally_pair
from equiray.metrics.counting.kernel import read_rows
from equiray.metrics.counting.margins import classes_of
from equiray.metrics.estimation import with_positive
from equiray.metrics.estimation.comparison import PairedTables, one_against_rest
from equiray.runs.classes import check_classes, check_common, check_positive
from equiray.runs.compare_spec import CompareSpec, SideSpec
from equiray.runs.directory import RunDirectory

_SAVE_EVERY_S = 30.0
_LINE_EVERY_S = 15.0
_JOINT = "joint"


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The rows of both sides, found to be the same as far as can be said before all are read."""

    spec: CompareSpec
    first: Source
    second: Source
    matched: Matched | None

    @classmethod
    def open(cls, spec: CompareSpec) -> "Pairs":
        """Open the files, match rows where they have ids, and count the first of them for nothing but their errors.

        Raises
        ------
        BadInput
            A file, a column or a value cannot be used, or the sides do not hold the same rows.
        """
        first, second = (_opened(side, spec.layout) for side in (spec.a, spec.b))
        matched = None
        if spec.a.id is not None and spec.b.id is not None:
            for source, side in ((first, spec.a), (second, spec.b)):  # in their own order, so that errors name rows
                for block in source.blocks():
                    read_rows(block.rows, spec.layout, side.columns, Place(block.origin, block.id.start))
            matched = match(first, second, (spec.a.id, spec.b.id))
            if not spec.common:
                matched.check_complete()
        pairs = cls(spec=spec, first=first, second=second, matched=matched)
        some = list(islice(pairs, 2))  # the second shows whether the first is all that there is on one side
        if not some:
            raise BadInput("there are no rows to compare", place=first.name, fix="give at least one row")
        pairs.tally(some[0])
        return pairs

    @property
    def left_out(self) -> tuple[int, int]:
        """Rows that only A has, and that only B has."""
        return (0, 0) if self.matched is None else self.matched.left_out

    def __iter__(self) -> Iterator[Pair]:
        return in_order(self.first, self.second) if self.matched is None else self.matched.pairs()

    def tally(self, pair: Pair) -> PairTally:
        """Count the rows of one pair of blocks; raises BadInput as `tally_pair`."""
        layout = self.spec.layout
        sides = ((pair.first, self.spec.a), (pair.second, self.spec.b))
        first, second = (
            read_rows(block.rows, layout, side.columns, Place(block.origin, block.id.start)) for block, side in sides
        )
        return tally_pair(pair, first, second, layout, self.spec.positive)


@dataclass(frozen=True, kw_only=True)
class PairedCounts:
    """Counts of both sides (`A`, `B`), of both together (`joint`), and of what rows change in means of scores."""

    spec: CompareSpec
    counts: Mapping[str, Counts]

    @property
    def rows(self) -> int:
        return self.counts["A"].rows

    @cached_property
    def tables(self) -> PairedTables:
        """Tables of all attributes and intersections, with the positive class last.

        Raises
        ------
        BadInput
            Which class is the positive one is not said, or the counts make no table (`Counts.table`).
        """
        spec, joint = self.spec, self.counts.get(_JOINT)
        layout = spec.layout
        if joint is not None:  # one side may never name a class
            classes = classes_of(list(joint.blocks.values()), joint.layout)
            check_positive(classes, spec.positive, f"columns {spec.a.label!r} and {spec.a.prediction!r}")
            layout = replace(layout, classes=classes)
        sides = {}
        for name in ("A", "B"):
            held = self.counts[name]
            counts = Counts.of(layout, held.model, held.blocks.values(), held.origins)
            tables = list(counts.tables(spec.intersections))
            place = f"the label and the prediction of {name}"
            check_classes(tables[0], place)
            check_common(tables[0], place)
            binary = spec.positive is not None and len(tables[0].classes) == 2
            sides[name] = [with_positive(table, spec.positive or "") for table in tables] if binary else tables
        together = [] if joint is None else [joint_table(joint, table.attribute) for table in sides["A"]]
        if spec.positive is not None and together and len(together[0].classes) == 2:
            together = [one_against_rest(table, spec.positive) for table in together]
        shifts = {
            name.removeprefix("shift."): [counts.table(table.attribute) for table in sides["A"]]
            for name, counts in self.counts.items()
            if name.startswith("shift.")
        }
        return PairedTables(first=sides["A"], second=sides["B"], joint=together, shifts=shifts)


def count_pairs(pairs: Pairs, directory: RunDirectory) -> PairedCounts:
    """Count all pairs of rows, but those that an earlier attempt in the directory counted, and leave the counts there.

    Raises
    ------
    BadInput
        A value cannot be counted, or the sides do not hold the same rows.
    Incomplete
        The counts cannot be written.
    """
    keeper = _Keeper(pairs, directory)
    blocks = keeper.kept()
    saved = said = time.monotonic()
    for pair in pairs:
        if pair.id in blocks:
            continue
        blocks[pair.id] = _named(pairs.tally(pair))
        if time.monotonic() - said > _LINE_EVERY_S:
            said = time.monotonic()
            directory.say(f"{pair.id.stop:,} rows compared")
        if time.monotonic() - saved > _SAVE_EVERY_S:
            keeper.save(blocks, "partial.")
            saved = time.monotonic()
    counts = keeper.save(blocks, "")
    for name in counts:
        keeper.path(name, "partial.").unlink(missing_ok=True)
    return PairedCounts(spec=pairs.spec, counts=counts)


_Blocks = dict[BlockId, dict[str, Block]]


@dataclass(frozen=True)
class _Keeper:
    """Where counts of pairs are kept: one file a kind."""

    pairs: Pairs
    directory: RunDirectory

    def path(self, name: str, part: str):
        return self.directory.path / f"counts.{name}.{part}parquet"

    def kept(self) -> _Blocks:
        """Blocks of which everything was counted of the very files that are compared."""
        source = next(iter(self.pairs)).id.source
        for part in ("", "partial."):
            try:
                found = {name: Counts.load(self.path(name, part)) for name in self._names()}
            except BadInput:  # absent, or another attempt's
                continue
            shared = set.intersection(*(set(counts.blocks) for counts in found.values()))
            blocks = {
                id_: {name: counts.blocks[id_] for name, counts in found.items()}
                for id_ in sorted(shared)
                if id_.source == source
            }
            if blocks:
                self.directory.say(f"{sum(id_.stop - id_.start for id_ in blocks):,} rows were compared before")
                return blocks
        return {}

    def save(self, blocks: _Blocks, part: str) -> dict[str, Counts]:
        spec = self.pairs.spec
        sides: Mapping[str, tuple[Source, SideSpec]] = {
            "A": (self.pairs.first, spec.a),
            "B": (self.pairs.second, spec.b),
        }
        found = {}
        for name in self._names():
            source, side = sides.get(name, sides["A"])
            origins = {id_.source: [file.path for file in source.files] for id_ in blocks}
            model = side.name if name in sides else f"{spec.b.name} against {spec.a.name}"
            held = [each[name] for each in blocks.values()]
            found[name] = Counts.of(self._layout(name), model, held, origins)
            found[name].save(self.path(name, part))
        return found

    def _names(self) -> list[str]:
        spec = self.pairs.spec
        if spec.real_valued:
            return ["A", "B", "shift.mae", "shift.mean_prediction"]
        return ["A", "B", _JOINT, *(["shift.brier", "shift.mean_score"] if spec.a.score is not None else [])]

    def _layout(self, name: str) -> Layout:
        layout = self.pairs.spec.layout
        makers: Mapping[str, Callable[[Layout], Layout]] = {_JOINT: joint_layout, "A": _same, "B": _same}
        return makers.get(name, shift_layout)(layout)


def _same(layout: Layout) -> Layout:
    return layout


def _named(tally: PairTally) -> dict[str, Block]:
    joint = {} if tally.joint is None else {_JOINT: tally.joint}
    return {"A": tally.first, "B": tally.second, **joint, **{f"shift.{k}": v for k, v in tally.shifts.items()}}


def _opened(side: SideSpec, layout: Layout) -> Source:
    more = [] if side.id is None else [side.id]
    columns = list(dict.fromkeys([*side.columns.wanted(layout), *more, *side.only]))
    return Source(files=open_files(find_files(side.files), columns), only=side.only)
