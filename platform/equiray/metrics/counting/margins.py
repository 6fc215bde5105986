"""From blocks to the `GroupTable` of one attribute or intersection: names of all blocks united, sums over the rest."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.metrics.counting.blocks import Block, Mapped
from equiray.metrics.counting.encoding import ordered, too_many_groups
from equiray.metrics.counting.layout import MAX_CLASSES, MAX_GROUPS, Layout
from equiray.metrics.counting.score_margins import total_scores
from equiray.metrics.counting.summing import exact_sums
from equiray.metrics.tables import CALIBRATION_BINS, MISSING, UNANSWERED, GroupTable, Mass, ScoreSums, TargetSums

_MOST_CELLS = 1 << 26  # 512 MB of int64


def group_table(blocks: Sequence[Block], layout: Layout, attributes: Sequence[str]) -> GroupTable:
    """Counts of the groups of one attribute, or of the combinations of several.

    A declared group is listed even without a row, a combination where it has rows; rows that miss any of the
    attributes are one group, `MISSING`, the last.

    Raises
    ------
    BadInput
        An attribute is not counted or named twice, there are too many groups, two combinations are named alike, all
        weights are 0, or fewer than two classes occur where none are declared.
    """
    if not attributes or len(set(attributes)) < len(attributes):
        named = "*".join(attributes)
        raise BadInput(f"{named!r} names no attribute, or one twice", place="attributes", fix="name each once")
    places = [layout.attribute(name) for name in attributes]
    groups, group = groups_of(blocks, layout, places)
    classes = () if layout.real_valued else classes_of(blocks, layout)
    if len(groups) * len(classes) * (len(classes) + 2) > _MOST_CELLS:
        raise BadInput(
            f"{len(groups):,} groups with {len(classes):,} classes make too large a table",
            place="*".join(attributes),
            fix="declare coarser groups or fewer classes",
        )
    places_of = [mapped(block, each, classes) for block, each in zip(blocks, group, strict=True)]
    size = (len(groups), len(classes))
    return GroupTable(
        attribute="*".join(attributes),
        groups=groups,
        classes=classes,
        mass=None if layout.real_valued else total_mass(places_of, size, weighted=layout.weights),
        scores=total_scores(places_of, size, weighted=layout.weights) if layout.scores else None,
        score_sums=_score_sums(places_of, size) if layout.scores else None,
        targets=_targets(places_of, len(groups), weighted=layout.weights) if layout.real_valued else None,
    )


def groups_of(
    blocks: Sequence[Block], layout: Layout, attributes: Sequence[int]
) -> tuple[tuple[str, ...], list[NDArray[np.int64]]]:
    """Names of the groups, and each block's strata's places among them; raises as `group_table`."""
    levels = []
    for attribute in attributes:
        declared = layout.attributes[attribute].groups
        found = ordered(name for block in blocks for name in block.levels[attribute] if name != MISSING)
        levels.append(list(declared or found))
    keys = [_level_keys(block, attributes, levels) for block in blocks]
    used = np.unique(np.concatenate(keys))
    present = np.arange(len(levels[0])) if len(attributes) == 1 else used[used >= 0]
    if len(present) > MAX_GROUPS:
        raise too_many_groups("*".join(layout.attributes[a].name for a in attributes), len(present), "all rows")
    codes = np.unravel_index(present, [max(len(names), 1) for names in levels])
    parts = [np.array(names, object)[code] for names, code in zip(levels, codes, strict=True)]
    names = ["*".join(each) for each in zip(*parts, strict=True)]
    if len(set(names)) < len(names):
        raise _read_two_ways(names, [layout.attributes[a].name for a in attributes])
    missing = bool((used < 0).any())
    places = [np.where(key < 0, len(present), np.searchsorted(present, key)) for key in keys]
    return (*names, *([MISSING] if missing else [])), places


def _read_two_ways(names: Sequence[str], attributes: Sequence[str]) -> BadInput:
    """An error about groups `a*b` and `c`, which together are named as `a` and `b*c` are."""
    name = next(name for name in names if names.count(name) > 1)
    return BadInput(
        f"{name!r:.60} names two combinations of groups, for some groups have '*' in their names",
        place=" and ".join(f"column {attribute!r}" for attribute in attributes),
        fix="write another sign than '*' in these columns: it joins the groups of several attributes",
    )


def _level_keys(block: Block, attributes: Sequence[int], levels: Sequence[list[str]]) -> NDArray[np.int64]:
    """One number for each stratum's levels of the attributes, -1 where one is missing."""
    key = np.zeros(len(block.strata), np.int64)
    missing = np.zeros(len(block.strata), bool)
    for attribute, names in zip(attributes, levels, strict=True):
        place = {name: index for index, name in enumerate(names)}
        lookup = np.array([place.get(name, -1) for name in block.levels[attribute]])
        level = lookup[block.strata[:, attribute]]
        missing |= level < 0
        key = key * len(names) + level
    return np.where(missing, -1, key)


def classes_of(blocks: Sequence[Block], layout: Layout) -> tuple[str, ...]:
    """The declared classes, or those that occur; raises as `group_table`."""
    if layout.classes is not None:
        return layout.classes
    found = ordered(name for block in blocks for name in block.classes)
    if set(found) <= {"0", "1"}:
        return ("0", "1")
    most = 2 if layout.scores else MAX_CLASSES
    if not 2 <= len(found) <= most:
        shown = ", ".join(found[:5])
        raise BadInput(
            f"labels and predictions have {len(found)} classes: {shown}{', ...' if len(found) > 5 else ''}",
            place="all rows",
            fix=f"declare the classes, 2 to {most:,} of them" + (" where there are scores" if layout.scores else ""),
        )
    return tuple(found)


def mapped(block: Block, group: NDArray[np.int64], classes: tuple[str, ...]) -> Mapped:
    """A block with the places of its strata among the groups, and of its classes among all."""
    label = np.array([classes.index(name) for name in block.classes], np.int64)
    unanswered = len(classes) + np.arange(len(UNANSWERED))
    return Mapped(block, group, label, np.concatenate([label, unanswered]))


def total_mass(blocks: Sequence[Mapped], size: tuple[int, int], *, weighted: bool) -> Mass:
    """Rows, and sums of weights, by group, label and prediction; raises BadInput where all weights are 0."""
    groups, classes = size
    shape = (groups, classes, classes + len(UNANSWERED))
    count = np.zeros(shape, np.int64)
    places, weights, squares = [], [], []
    for block, group, label, prediction in blocks:
        held = block.decisions
        assert held is not None
        rest, predicted = np.divmod(held.cell.astype(np.int64), len(prediction))
        stratum, labelled = np.divmod(rest, len(label))
        place = np.ravel_multi_index((group[stratum], label[labelled], prediction[predicted]), shape)
        np.add.at(count.reshape(-1), place, held.counts)
        if weighted:
            places.append(place)
            weights.append(held.weight)
            squares.append(held.weight_squared)
    if not weighted:
        return Mass(count)
    total, squared = (exact_sums(np.concatenate(places), np.concatenate(x), count.size) for x in (weights, squares))
    _check_weights(total)
    return Mass(count, total.reshape(shape), squared.reshape(shape))


def _score_sums(blocks: Sequence[Mapped], size: tuple[int, int]) -> ScoreSums:
    shape = (*size, CALIBRATION_BINS)
    places, sums = [], []
    for block, group, label, _ in blocks:
        held = block.bin_sums
        assert held is not None
        rest, bins = np.divmod(held.cell.astype(np.int64), CALIBRATION_BINS)
        stratum, labelled = np.divmod(rest, len(label))
        places.append(np.ravel_multi_index((group[stratum], label[labelled], bins), shape))
        sums.append(held[1:])
    place = np.concatenate(places)
    total = [exact_sums(place, np.concatenate(each), int(np.prod(shape))) for each in zip(*sums, strict=True)]
    return ScoreSums(*(each.reshape(shape) for each in total))


def _targets(blocks: Sequence[Mapped], groups: int, *, weighted: bool) -> TargetSums:
    place = np.concatenate([each.group for each in blocks])
    sums = [each.block.targets for each in blocks if each.block.targets is not None]
    *parts, counts = zip(*sums, strict=True)
    counted = np.zeros(groups, np.int64)
    np.add.at(counted, place, np.concatenate(counts))
    total = TargetSums(*(exact_sums(place, np.concatenate(each), groups) for each in parts), counted=counted)
    if weighted:
        _check_weights(total.rows)
    return total


def _check_weights(total: NDArray[np.float64]) -> None:
    if not total.any():
        raise BadInput("all weights are 0", place="the weight column", fix="give at least one row a weight above 0")
