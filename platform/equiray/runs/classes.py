"""Which values of labels and predictions cannot be classes, and which of them is the positive one."""

from equiray.errors import BadInput
from equiray.metrics.counting.encoding import looks_numeric
from equiray.metrics.tables import GroupTable
from equiray.policies.document import nearest

_MOST_FRACTIONS = 20


def check_positive(classes: tuple[str, ...], positive: str | None, place: str) -> None:
    """Of two classes other than 0 and 1 the one that matters must be named; the order of words says nothing.

    Parameters
    ----------
    classes : those that occur
    positive : the one that was named
    place : the columns they stand in

    Raises
    ------
    BadInput
        It is not named, or is not among the classes.
    """
    named = ", ".join(classes[:12])
    if positive is None and len(classes) == 2 and classes != ("0", "1"):
        fix = f"say it with --positive {classes[-1]}, or with the other one"
        raise BadInput(f"which class is the positive one, {' or '.join(classes)}?", place=place, fix=fix)
    if positive is not None and positive not in classes:
        problem = f"there is no class {positive!r}{nearest(positive, classes)}"
        raise BadInput(problem, place=f"--positive, {place}", fix=f"the classes are: {named}")


def check_classes(table: GroupTable, place: str) -> None:
    """Refuse numbers with fractions that are taken for classes: measurements, of which a few happen to be right.

    A few such classes can be meant, like marks of 0.5, 1 and 1.5, if labels have them too. Declared classes are meant.
    """
    if table.mass is None:
        return
    labels, predictions = _occurring(table)
    strange = [name for name in predictions if looks_numeric(name) and not float(name).is_integer()]
    if len(strange) > _MOST_FRACTIONS or (len(strange) > 2 and not set(strange) & set(labels)):
        raise BadInput(
            f"predictions have {len(predictions):,} different values, {', '.join(strange[:5])} among them: "
            "numbers, and not classes",
            place=place,
            fix="say --real-valued if label and prediction are numbers; scores belong under --score, and decisions "
            "under --prediction; if each is a class, write classes as words, or declare them (audit --classes)",
        )


def _occurring(table: GroupTable) -> tuple[list[str], list[str]]:
    """Classes of labels, and those of predictions."""
    assert table.mass is not None
    rows = table.mass.count.sum(axis=0)[:, : len(table.classes)]  # [K, K], the unanswered left out
    labels, predictions = ([table.classes[index] for index in rows.any(axis).nonzero()[0]] for axis in (1, 0))
    return labels, predictions


def check_common(table: GroupTable, place: str) -> None:
    """Refuse labels and predictions of which no class is the other's: every rate would be 0, and all groups alike.

    Two classes in all may be a label that is always the one and a prediction that is always the other.
    """
    if table.mass is None or len(table.classes) < 3:
        return
    labels, predictions = _occurring(table)
    if predictions and not set(labels) & set(predictions):
        raise BadInput(
            f"no class is both a label and a prediction: labels are {', '.join(labels[:5])}, predictions are "
            f"{', '.join(predictions[:5])}",
            place=place,
            fix="write labels and predictions alike, or name another column (numbers: --real-valued)",
        )
