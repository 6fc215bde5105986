"""What one vote changes against another on the same cases: joint counts for the engine of paired estimates."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.schema import ATTRIBUTE_PREFIX
from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation import GroupedScores, Setting, changes_of, estimates_of
from equiray.metrics.tables import UNANSWERED, GroupTable, JointTable, Mass
from equiray.mitigation.voting.cases import CLASSES, JudgedCases, View
from equiray.mitigation.voting.chains import NO_ANSWER, OUTCOMES
from equiray.mitigation.voting.deciding import Decisions

_PLACES = len(CLASSES) + len(UNANSWERED)


class Ballot(NamedTuple):
    """Answers [C] and the number of chains that gave them; `NO_ANSWER` where there is none."""

    answer: NDArray[np.int64]
    chains: int


def vote_changes(cases: JudgedCases, first: Ballot, second: Ballot, setting: Setting) -> list[Estimate]:
    """The change, second minus first, of every metric made of rates, with paired limits (`estimation.changes_of`).

    First over all cases, then of each attribute; all at `setting.confidence` each.
    """
    found: list[Estimate] = []
    for view in cases.views:
        tables = [joint_table(cases, view, first, second, each) for each in _groups(cases)]
        found += [change for change in changes_of(tables, setting) if _asked(cases, view, change)]
    return found


def vote_estimates(cases: JudgedCases, ballot: Ballot, setting: Setting) -> list[Estimate]:
    """Estimates of one vote, of every metric made of rates."""
    found: list[Estimate] = []
    for view in cases.views:
        tables = [_group_table(cases, view, ballot, each) for each in _groups(cases)]
        found += [estimate for estimate in estimates_of(tables, setting) if _asked(cases, view, estimate)]
    return found


def joint_table(cases: JudgedCases, view: View, first: Ballot, second: Ballot, grouped: GroupedScores) -> JointTable:
    """Counts of the cases by group, label, and what either vote says."""
    said = [cases.predictions(view, *ballot) for ballot in (first, second)]
    shape = (len(grouped.groups), len(CLASSES), _PLACES, _PLACES)
    cell = np.ravel_multi_index((grouped.code, view.label, *said), shape)
    count = np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape)
    return JointTable(attribute=grouped.attribute, groups=grouped.groups, classes=CLASSES, mass=Mass(count))


def predictions_table(cases: JudgedCases, decisions: Decisions, chains: int) -> pa.Table:
    """Decisions of two classes as a table of predictions that `metrics.counting` counts.

    Columns ``row_id``, ``split``, ``label``, ``prediction`` (null without an answer), ``score``, the positive option's
    share of the weight (null likewise), ``outcome``, and each attribute's groups.

    Raises
    ------
    ValueError
        The cases are no decisions between two options.
    """
    if not cases.two_classes or cases.positive is None:
        raise ValueError("predictions with a positive class need decisions between two options")
    (view,) = cases.views
    none = decisions.answer == NO_ANSWER
    share = np.take_along_axis(decisions.share, cases.positive[:, None], axis=1)[:, 0]
    columns = {
        "row_id": pa.array(cases.votes.case_ids, pa.string()),
        "split": pa.array([cases.split] * len(none)),
        "label": pa.array(view.label),
        "prediction": pa.array((decisions.answer == view.one).astype(np.int64), mask=none),
        "score": pa.array(share, mask=none),
        "outcome": pa.array([OUTCOMES[code] for code in cases.votes.unanswered(chains)]),
    }
    for attribute, names, code in cases.groups:
        if "*" not in attribute:
            columns[ATTRIBUTE_PREFIX + attribute] = pa.array(np.array(names, object)[code], pa.string())
    return pa.table(columns)


def _group_table(cases: JudgedCases, view: View, ballot: Ballot, grouped: GroupedScores) -> GroupTable:
    shape = (len(grouped.groups), len(CLASSES), _PLACES)
    cell = np.ravel_multi_index((grouped.code, view.label, cases.predictions(view, *ballot)), shape)
    count = np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape)
    return GroupTable(attribute=grouped.attribute, groups=grouped.groups, classes=CLASSES, mass=Mass(count))


def _groups(cases: JudgedCases) -> Sequence[GroupedScores]:
    """Of cases without groups one of all, so that there is something to count."""
    return cases.groups or (GroupedScores("", ("",), np.zeros(len(cases.right), np.int64)),)


def _asked(cases: JudgedCases, view: View, estimate: Estimate) -> bool:
    return estimate.metric in view.metrics and (estimate.attribute is None or bool(cases.groups))
