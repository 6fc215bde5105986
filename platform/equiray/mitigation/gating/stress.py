"""Rows and labels for stress tests of a gate: a population that shifts, time that passes, labels that are wrong.

Notable: each is a function from columns of a task's rows to the places of the rows that stay, or to labels. What is
trained and what is read under stress is the caller's.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.data.splits import keyed_hash
from equiray.data.tasks import compas
from equiray.errors import BadInput


class Shift(NamedTuple):
    """Places of the rows before a shift and after it."""

    before: NDArray[np.int64]
    after: NDArray[np.int64]


def only(values: NDArray[np.str_], names: Collection[str]) -> NDArray[np.int64]:
    """Places of the rows [N] whose value (a group, a state, an age band) is among some.

    Raises
    ------
    BadInput
        One of them has no rows.
    """
    _check_names(values, names)
    return np.flatnonzero(np.isin(values, list(names)))


def without(values: NDArray[np.str_], names: Collection[str]) -> NDArray[np.int64]:
    """Places of all other rows; raises BadInput where one of the names has no rows, or no row is left."""
    _check_names(values, names)
    kept = np.flatnonzero(~np.isin(values, list(names)))
    if not len(kept):
        raise BadInput(f"no row is left without {', '.join(names)}", place="a shift of the population", fix="keep some")
    return kept


def bands(values: NDArray[np.number], edges: Sequence[float]) -> NDArray[np.str_]:
    """Names of bands, ``under 25``, ``25 to under 45``, ``45 and over`` for the edges 25 and 45, [N].

    Raises
    ------
    BadInput
        Edges do not ascend, or a value is not known.
    """
    place = "bands of a column"
    if not len(edges) or (np.diff(edges) <= 0).any():
        raise BadInput(f"edges {list(edges)}", place=place, fix="give numbers that ascend")
    if (unknown := np.isnan(values)).any():
        raise BadInput(f"no number in row {int(np.argmax(unknown))}", place=place, fix="leave such rows out")
    within = [f"{low:g} to under {high:g}" for low, high in pairwise(edges)]
    names = np.array([f"under {edges[0]:g}", *within, f"{edges[-1]:g} and over"])
    return names[np.searchsorted(edges, values, side="right")]


def over_time(dates: NDArray[np.datetime64], boundary: np.datetime64) -> Shift:
    """Rows [N] dated before a day, and those of that day or later.

    Raises
    ------
    BadInput
        A row has no date, or one side has no rows.
    """
    if (unknown := np.isnat(dates)).any():
        raise BadInput(f"no date in row {int(np.argmax(unknown))}", place="a shift in time", fix="leave such rows out")
    later = dates >= boundary
    if not len(dates) or later.all() or not later.any():
        known = f"dates run from {dates.min()} to {dates.max()}" if len(dates) else "there are no rows"
        raise BadInput(
            f"no rows on one side of {boundary}", place="a shift in time", fix=f"choose another day: {known}"
        )
    return Shift(np.flatnonzero(~later), np.flatnonzero(later))


def screening_dates(row_ids: NDArray[np.int64], folder: Path | None = None) -> NDArray[np.datetime64]:
    """The day on which each of some COMPAS rows [N] was screened, by row id.

    People without a new charge are in the file only if two years of follow-up were possible, those with one are in any
    case, so nearly all who were screened after 1 April 2014 have one (Barenstein 2019, arXiv 1906.04711). A boundary
    about there shows this defect and not time.

    Raises
    ------
    BadInput
        The file cannot be found or read, or has no such row.
    """
    raw = compas.read(folder, True)
    assert raw is not None, "a reader that may download finds its rows or raises"
    places = np.searchsorted(raw.row_ids, row_ids)
    found = np.minimum(places, len(raw.row_ids) - 1)
    strange = raw.row_ids[found] != row_ids
    if strange.any():
        fix = "name rows of the built-in task `compas`, by their row ids"
        raise BadInput(f"no row {int(row_ids[strange][0])} after ProPublica's filter", place=raw.place, fix=fix)
    return np.array(raw.table["compas_screening_date"].to_pylist(), dtype="datetime64[D]")[found]


def noisy_labels(
    label: NDArray[np.integer], row_ids: NDArray[np.int64], share: float, seed: int
) -> NDArray[np.integer]:
    """Labels 0 and 1 [N] of which each is turned with probability `share`; for training rows alone.

    Which ones follows from the row's id and the seed, whatever other rows there are.

    Raises
    ------
    BadInput
        The share is not within 0 and 1, or labels are others than 0 and 1.
    """
    if not 0 <= share <= 1:
        raise BadInput(f"share {share}", place="noise of labels", fix="give a share from 0 to 1")
    if not np.isin(label, (0, 1)).all():
        raise BadInput(f"label {label[~np.isin(label, (0, 1))][0]}", place="noise of labels", fix="labels are 0 or 1")
    turned = (keyed_hash(row_ids, seed, "label noise") >> np.uint64(11)) < share * 2.0**53
    return np.where(turned, 1 - label, label).astype(label.dtype)


def _check_names(values: NDArray[np.str_], names: Collection[str]) -> None:
    known = set(values.tolist())
    for name in names:
        if name not in known:
            fix = f"name some of: {', '.join(sorted(str(each) for each in known))}"
            raise BadInput(f"no row of {name!r}", place="a shift of the population", fix=fix)
