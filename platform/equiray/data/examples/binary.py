"""Two classes of many: one against the rest, said aloud."""

from dataclasses import replace

import numpy as np

from equiray.data.examples.record import Examples
from equiray.errors import BadInput


def one_against_rest(examples: Examples, positive: str | None) -> Examples:
    """The same rows with two classes: the positive one, and all others together.

    Parameters
    ----------
    examples : Examples
    positive : str, optional
        One of `examples.classes`. Without it two classes stay as they are.

    Returns
    -------
    examples : Examples
        Where there were more than two classes, a warning says what was joined: such figures are not those of the
        literature, which tells all classes apart.

    Raises
    ------
    BadInput
        No such class, or more than two classes and none named.
    """
    place, known = f"task {examples.name}, positive", ", ".join(examples.classes)
    if positive is None:
        if len(examples.classes) == 2:
            return examples
        raise BadInput(
            f"{examples.name} has {len(examples.classes)} classes ({known}), and rates need a positive one",
            place=place,
            fix=f"name the class to be told from the others: positive: {examples.classes[0]}",
        )
    if positive not in examples.classes:
        raise BadInput(f"{examples.name} has no class {positive!r}", place=place, fix=f"it has: {known}")
    rest = [name for name in examples.classes if name != positive]
    said = f"two classes of {len(examples.classes)}: {positive} against {' and '.join(rest)}"
    return replace(
        examples,
        label=(examples.label == examples.classes.index(positive)).astype(np.int8),
        classes=(rest[0] if len(rest) == 1 else f"not {positive}", positive),
        warnings=(*examples.warnings, said) if len(rest) > 1 else examples.warnings,
    )
