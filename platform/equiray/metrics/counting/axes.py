"""What the codes of a block's cells mean: groups of attributes, classes of labels and predictions.

Works on cells, of which there are few, so every rule about values is checked here at no cost per row.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.metrics.counting.cells import Cells
from equiray.metrics.counting.encoding import Coded, Place, looks_numeric, ordered, too_many_groups
from equiray.metrics.counting.layout import MAX_CLASSES, MAX_GROUPS, Attribute, Layout
from equiray.metrics.tables import MISSING, UNANSWERED

_OUTCOMES = {"answered": 0, "refused": 1, "unparsed": 2}


class Axis(NamedTuple):
    """Names that occur, in their order, and each cell's place among them."""

    names: tuple[str, ...]
    place: NDArray[np.int64]


class Decided(NamedTuple):
    """Labels and predictions of cells: `key` = (stratum K + label) (K + 2) + prediction, K classes that occur."""

    classes: tuple[str, ...]
    numeric: bool | None
    key: NDArray[np.int64]
    unanswered: NDArray[np.bool_]


def levels_of(column: Coded, codes: NDArray[np.int64], attribute: Attribute, place: Place) -> Axis:
    """The groups of an attribute that occur in the cells, missing values as `MISSING`.

    Raises
    ------
    BadInput
        A value is none of the declared groups, or there are more than `MAX_GROUPS`.
    """
    used = {code: column.names[code] or MISSING for code in np.unique(codes).tolist()}
    if attribute.groups is not None:
        _check_declared(column, used, (*attribute.groups, MISSING), f"group of {attribute.name!r}", place)
    names = ordered(used.values())
    if len(names) > MAX_GROUPS:
        raise too_many_groups(column.column, len(names), place.name)
    return Axis(tuple(names), _lookup(used, names, len(column.names)).take(codes))


def decide(columns: Sequence[Coded], found: Cells, stratum: NDArray[np.int64], layout: Layout, place: Place) -> Decided:
    """Labels and predictions of the cells; `columns` are those of label, prediction and perhaps the outcome.

    Raises
    ------
    BadInput
        A label is missing or none of the classes, a prediction is none of them, or the outcome contradicts it.
    """
    codes = found.codes[:, -len(columns) :]
    label, prediction = columns[:2]
    labels = {code: label.names[code] for code in np.unique(codes[:, 0]).tolist()}
    predictions = {code: prediction.names[code] for code in np.unique(codes[:, 1]).tolist()}
    _check_label(label, labels, place)
    answers = {code: name for code, name in predictions.items() if name is not None and name not in UNANSWERED}
    classes = ordered([name for name in labels.values() if name is not None] + list(answers.values()))
    if layout.classes is not None:
        for column, used in ((label, labels), (prediction, answers)):
            _check_declared(column, used, layout.classes, "declared class", place)
    _check_classes(classes, layout, label, place)
    numeric = _same_kind(label, labels, prediction, answers, place, declared=layout.classes is not None)
    count = len(classes)
    names = [*classes, *UNANSWERED]
    shown = {code: name or UNANSWERED[1] for code, name in predictions.items()}
    decision = _lookup(shown, names, len(prediction.names)).take(codes[:, 1])
    if len(columns) == 3:
        decision = _with_outcome(decision, columns[2], found, count, prediction.column, place)
    place_of_label = _lookup({c: n or "" for c, n in labels.items()}, classes, len(label.names)).take(codes[:, 0])
    key = (stratum * count + place_of_label) * len(names) + decision
    return Decided(tuple(classes), numeric, key, decision >= count)


def _with_outcome(
    decision: NDArray[np.int64], outcome: Coded, found: Cells, classes: int, prediction: str, place: Place
) -> NDArray[np.int64]:
    """Refused or unparsed where the outcome says so; it must not contradict the prediction."""
    codes = found.codes[:, -1]
    used = {code: outcome.names[code] for code in np.unique(codes).tolist()}
    _check_declared(outcome, used, (*_OUTCOMES, None), "outcome", place)
    said = np.array([-1 if name is None else _OUTCOMES.get(name, -1) for name in outcome.names])[codes]
    unanswered = decision >= classes
    wrong = (unanswered & (said == 0)) | (~unanswered & (said > 0))
    if wrong.any():
        shown = outcome.names[int(codes[wrong][0])]
        raise BadInput(
            f"outcome {shown!r} beside {'no prediction' if shown == 'answered' else 'a prediction'}",
            place=place.rows(found.to_rows(wrong), outcome.column),
            fix=f"leave {prediction!r} empty exactly where the outcome is refused or unparsed",
        )
    return np.where(said > 0, classes + said - 1, decision)


def _lookup(used: dict[int, str], names: Sequence[str], codes: int) -> NDArray[np.int64]:
    """From codes to places among the names; codes that do not occur go nowhere."""
    place = {name: index for index, name in enumerate(names)}
    lookup = np.zeros(codes, np.int64)
    for code, name in used.items():
        lookup[code] = place[name]
    return lookup


def _check_label(label: Coded, used: dict[int, str | None], place: Place) -> None:
    missing = [code for code, name in used.items() if name is None or name in UNANSWERED]
    if missing:
        name = label.names[missing[0]]
        raise BadInput(
            "the label is missing (null or NaN)" if name is None else f"label {name!r}: the name is reserved",
            place=place.rows(label.where(missing), label.column),
            fix="fill the label in or leave these rows out: without it no decision can be right or wrong",
        )


def _check_declared(
    column: Coded,
    used: "dict[int, str] | dict[int, str | None]",
    declared: Sequence[str | None],
    what: str,
    place: Place,
) -> None:
    strange = [code for code, name in used.items() if name not in declared]
    if strange:
        shown = ", ".join(str(name) for name in list(declared)[:12] if name is not None)
        empty = "" if what == "outcome" else "; leave the cell empty where there is none"
        raise BadInput(
            f"{used[strange[0]]!r:.60} is no {what}",
            place=place.rows(column.where(strange), column.column),
            fix=f"declared are: {shown}{empty}",
        )


def _check_classes(classes: Sequence[str], layout: Layout, label: Coded, place: Place) -> None:
    most = 2 if layout.scores else MAX_CLASSES
    if len(classes) > most:
        shown = ", ".join(classes[:5])
        raise BadInput(
            f"labels and predictions have {len(classes)} classes ({shown}, ...), at most {most:,} are taken"
            + (" where there are scores" if layout.scores else ""),
            place=f"{place.name}, column {label.column!r}",
            fix="declare the classes, or declare the target real-valued, or name another column",
        )


def _same_kind(
    label: Coded,
    labels: dict[int, str | None],
    prediction: Coded,
    answers: dict[int, str],
    place: Place,
    *,
    declared: bool,
) -> bool | None:
    """Whether classes stand as numbers; numbers in one column and words in the other cannot mean the same.

    Where both are texts, as in CSV, they differ in kind if all of one read as numbers and none of the other: the class
    ``4+`` beside 1, 2 and 3 is no such case. Declared classes are what they are declared to be.
    """
    sides = ((label, labels), (prediction, answers))
    for (one, known), (other, words) in (sides, sides[::-1]):
        strange = [code for code, name in words.items() if name is not None and not looks_numeric(name)]
        texts = other.numeric is False and not declared and len(strange) == len(words)
        reads = bool(known) and all(name is not None and looks_numeric(name) for name in known.values())
        if strange and other.numeric is False and (one.numeric or (texts and reads)):
            raise BadInput(
                f"{words[strange[0]]!r:.60} is text, while column {one.column!r} holds numbers",
                place=place.rows(other.where(strange), other.column),
                fix="write labels and predictions alike",
            )
    kinds = [column.numeric for column, _ in sides if column.numeric is not None]
    return any(kinds) if kinds else None
