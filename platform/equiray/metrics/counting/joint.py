"""Counts of two models' predictions about the same rows, joint row by row.

Notable: the first model's answer is counted as one more attribute of the rows, so joint counts are `Counts` like any
others: they merge, and are kept on disk, in the same way. Whether both sides truly hold the same rows is decided on the
few pairs of cells that occur: they must agree on everything but the answer.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.data.pairing import Pair
from equiray.errors import BadInput
from equiray.metrics.counting.blocks import Block, Decisions
from equiray.metrics.counting.counts import Counts
from equiray.metrics.counting.encoding import ordered, smallest
from equiray.metrics.counting.kernel import Rows, tally, target_sums
from equiray.metrics.counting.layout import Attribute, Layout
from equiray.metrics.counting.margins import classes_of, groups_of, mapped, total_mass
from equiray.metrics.counting.summing import exact_sums
from equiray.metrics.tables import UNANSWERED, JointTable, Mass

FIRST = "(first answer)"
"""The attribute of joint counts that is the first model's prediction, or why there is none."""

_Real = NDArray[np.float64]
_Mask = NDArray[np.bool_]


class PairTally(NamedTuple):
    """What is counted of a pair of blocks: the predictions of either model, and both together.

    `joint` is None where the target is real-valued. `shifts` holds, by metric that is a mean over rows, sums of what
    each row adds to it under the second model less what it adds under the first.
    """

    first: Block
    second: Block
    joint: Block | None
    shifts: dict[str, Block]


def joint_layout(layout: Layout) -> Layout:
    """What joint counts count, of predictions that `layout` counts one by one."""
    return replace(layout, attributes=(*layout.attributes, Attribute(name=FIRST)), scores=False)


def shift_layout(layout: Layout) -> Layout:
    """What shifts count: one number of each row."""
    return replace(layout, classes=None, real_valued=True, scores=False)


def tally_pair(pair: Pair, first: Rows, second: Rows, layout: Layout, positive: str | None) -> PairTally:
    """Count rows that two models have predicted.

    Parameters
    ----------
    pair : Pair
    first, second : Rows
        Its two sides as `kernel.read_rows` has read them.
    layout : Layout
        Of either side.
    positive : str, optional
        The class that scores are about; default 1.

    Raises
    ------
    BadInput
        The sides differ in the label, a sensitive value or the weight of a row: they are not the same rows.
    """
    matched = _match(first, second)
    _check_same(pair, first, second, matched, layout)
    found = _shifts(first, second, positive or "1")
    shifts = {metric: _shift(pair, first, values) for metric, values in found.items()}
    joint = None if layout.real_valued else _joint(pair, first, second, matched)
    return PairTally(tally(pair.id, first), tally(pair.id, second), joint, shifts)


def joint_table(counts: Counts, attribute: str) -> JointTable:
    """The groups of an attribute or intersection, from joint counts; raises BadInput as `Counts.table`."""
    blocks, layout = list(counts.blocks.values()), counts.layout
    classes = classes_of(blocks, layout)
    answers = (*classes, *UNANSWERED)
    groups, places = groups_of(blocks, layout, [layout.attribute(name) for name in attribute.split("*")])
    by_answer = []
    for block, group in zip(blocks, places, strict=True):
        answer = np.array([answers.index(name) for name in block.levels[-1]])[block.strata[:, -1]]
        by_answer.append(mapped(block, group * len(answers) + answer, classes))
    total = total_mass(by_answer, (len(groups) * len(answers), len(classes)), weighted=layout.weights)

    def by_group(part: NDArray[Any]) -> NDArray[Any]:
        return np.moveaxis(part.reshape(len(groups), len(answers), *part.shape[1:]), 1, 2)

    mass = Mass(by_group(total.count), *(None if part is None else by_group(part) for part in total[1:]))
    return JointTable(attribute=attribute, groups=groups, classes=classes, mass=mass)


class _Cells(NamedTuple):
    """What cells [N] stand for: places of strata, names of labels and answers, of a real-valued target empty."""

    stratum: NDArray[np.int64]
    label: NDArray[np.object_]
    answer: NDArray[np.object_]

    @classmethod
    def of(cls, rows: Rows, used: NDArray[np.int64]) -> "_Cells":
        cells = rows.cells[used].astype(np.int64)
        if not rows.classes:
            nothing = np.full(len(cells), "", object)
            return cls(cells, nothing, nothing)
        answers = np.array([*rows.classes, *UNANSWERED], object)
        rest, answer = np.divmod(cells, len(answers))
        stratum, label = np.divmod(rest, len(rows.classes))
        return cls(stratum, np.array(rows.classes, object)[label], answers[answer])


class _Matched(NamedTuple):
    """Pairs of cells that occur, [N]: what each side's stands for, and each row's pair [n]."""

    first: _Cells
    second: _Cells
    place: NDArray[np.int64]
    rows: NDArray[np.int64]


def _match(first: Rows, second: Rows) -> _Matched:
    pair = first.cell().astype(np.int64) * len(second.cells) + second.cell()
    used, place, count = np.unique(pair, return_inverse=True, return_counts=True)
    mine, theirs = np.divmod(used, len(second.cells))
    return _Matched(_Cells.of(first, mine), _Cells.of(second, theirs), place, count)


def _check_same(pair: Pair, first: Rows, second: Rows, matched: _Matched, layout: Layout) -> None:
    """Refuse rows that cannot be the same, and show the first value that differs."""
    columns = {"the label": (matched.first.label, matched.second.label)}
    for place, attribute in enumerate(layout.attributes):
        sides = ((first, matched.first), (second, matched.second))
        one, other = (np.array(rows.levels[place], object)[rows.strata[at.stratum, place]] for rows, at in sides)
        columns[attribute.name] = (one, other)
    for what, (ours, theirs) in columns.items():
        differs = ours != theirs
        if differs.any():
            at = int(np.argmax(differs))
            raise _unlike(pair, what, f"{ours[at]!r}", f"{theirs[at]!r}", differs[matched.place])
    for what in ("weight", "target"):
        ours, theirs = getattr(first.measures, what), getattr(second.measures, what)
        if ours is None or theirs is None:
            continue
        differs = ours != theirs
        if differs.any():
            at = int(np.argmax(differs))
            raise _unlike(pair, f"the {what}", f"{ours[at]:g}", f"{theirs[at]:g}", differs)


def _unlike(pair: Pair, what: str, ours: str, theirs: str, differs: _Mask) -> BadInput:
    by_id = "one of the two files is wrong about them; compare files that agree"
    in_order = "name the column that says which row is which with --id, or give the same rows in the same order"
    return BadInput(
        f"{what} is {ours} in A and {theirs} in B: {int(differs.sum()):,} of {len(differs):,} rows differ in it",
        place=pair.name(differs),
        fix=in_order if pair.ids is None else by_id,
    )


def _joint(pair: Pair, first: Rows, second: Rows, matched: _Matched) -> Block:
    one, other = matched.first, matched.second
    classes = ordered([*first.classes, *second.classes])
    answers = [*classes, *UNANSWERED]
    said = ordered(one.answer.tolist())
    keys = np.column_stack([first.strata[one.stratum], [said.index(answer) for answer in one.answer]])
    strata, stratum = np.unique(keys.astype(np.int64), axis=0, return_inverse=True)
    label, answer = (
        [names.index(each) for each in of] for names, of in ((classes, one.label), (answers, other.answer))
    )
    cell = (stratum * len(classes) + np.array(label)) * len(answers) + np.array(answer)
    order = np.argsort(cell)
    weight, sums = first.measures.weight, (None, None)
    if weight is not None:
        sums = (exact_sums(matched.place, each, len(cell))[order] for each in (weight, weight * weight))
    return Block(
        id=pair.id,
        levels=(*first.levels, tuple(said)),
        classes=tuple(classes),
        numeric=(*first.numeric[:-1], None, first.numeric[-1]),
        strata=smallest(strata),
        decisions=Decisions(smallest(cell[order]), smallest(matched.rows[order]), *sums),
    )


def _shifts(first: Rows, second: Rows, positive: str) -> dict[str, _Real]:
    """By metric, what each row [n] changes in it; 0 where a row has no score."""
    one, other = first.measures, second.measures
    if one.target is not None and one.prediction is not None and other.prediction is not None:
        before, after = (np.abs(prediction - one.target) for prediction in (one.prediction, other.prediction))
        return {"mae": after - before, "mean_prediction": other.prediction - one.prediction}
    if one.score is None or other.score is None:
        return {}
    label = (_Cells.of(first, np.arange(len(first.cells))).label == positive)[first.cell()]
    brier = (other.score - label) ** 2 - (one.score - label) ** 2
    return {"brier": np.nan_to_num(brier), "mean_score": np.nan_to_num(other.score - one.score)}


def _shift(pair: Pair, rows: Rows, values: _Real) -> Block:
    cells = _Cells.of(rows, np.arange(len(rows.cells)))
    stratum = smallest(cells.stratum)[rows.cell()]
    sums = target_sums(stratum, len(rows.strata), np.zeros(len(values)), values, rows.measures.weight)
    return Block(
        id=pair.id, levels=rows.levels, classes=(), numeric=(*rows.numeric[:-1], None), strata=rows.strata, targets=sums
    )
