"""Part of the rows that were counted: those with one value of an attribute, such as one split."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.counting.blocks import BinSums, Block, Decisions, Scores, Targets
from equiray.metrics.counting.counts import Counts
from equiray.metrics.counting.encoding import smallest
from equiray.metrics.tables import CALIBRATION_BINS, UNANSWERED


def rows_where(counts: Counts, attribute: str, level: str) -> Counts:
    """Counts of the rows whose `attribute` is `level`, which then is no attribute of theirs any more.

    Blocks keep their ids, so that the parts of one table are never added up as if they were different rows, and their
    groups, so that one without a row here is still listed. `Counts.rows` tells how many rows the blocks were cut from.

    Raises
    ------
    BadInput
        The attribute is not counted, or is the only one.
    """
    place = counts.layout.attribute(attribute)
    left = tuple(each for at, each in enumerate(counts.layout.attributes) if at != place)
    blocks = [_block(block, place, level) for block in counts.blocks.values() if level in block.levels[place]]
    return Counts.of(replace(counts.layout, attributes=left), counts.model, blocks, counts.origins)


def _block(block: Block, place: int, level: str) -> Block:
    kept = block.strata[:, place] == block.levels[place].index(level)
    number = np.cumsum(kept) - 1  # of those that stay
    classes = len(block.classes)

    def cells(cell: NDArray, per_stratum: int) -> tuple[NDArray[np.bool_], NDArray]:
        stratum, rest = np.divmod(cell.astype(np.int64), per_stratum)
        here = kept[stratum]
        return here, smallest(number[stratum[here]] * per_stratum + rest[here])

    decisions, scores, sums, targets = block.decisions, block.scores, block.bin_sums, block.targets
    if decisions is not None:
        here, cell = cells(decisions.cell, classes * (classes + len(UNANSWERED)))
        decisions = Decisions(cell, *_those(decisions[1:], here))
    if scores is not None:
        here, cell = cells(scores.cell, classes)
        value, rows, *weights = _those(scores[2:], here)
        used, value = np.unique(value, return_inverse=True) if scores.values is not None else (None, value)
        values = None if scores.values is None else scores.values[used]
        scores = Scores(values, cell, smallest(value), rows, *weights)
    if sums is not None:
        here, cell = cells(sums.cell, classes * CALIBRATION_BINS)
        sums = BinSums(cell, *_those(sums[1:], here))
    return replace(
        block,
        levels=(*block.levels[:place], *block.levels[place + 1 :]),
        numeric=(*block.numeric[:place], *block.numeric[place + 1 :]),
        strata=np.delete(block.strata[kept], place, axis=1),
        decisions=decisions,
        scores=scores,
        bin_sums=sums,
        targets=targets if targets is None else Targets(*_those(targets, kept)),
    )


def _those(arrays: tuple, here: NDArray[np.bool_]) -> list:
    return [None if each is None else each[here] for each in arrays]
