"""Label skew: the hard case, where a group's positives are almost absent from training."""

from dataclasses import replace

import numpy as np

from equiray.data.examples.record import Examples
from equiray.data.splits import keyed_hash
from equiray.errors import BadInput


def skewed(examples: Examples, *, attribute: str, group: str, keep: float, seed: int) -> Examples:
    """Keep only a share of a group's positives in training; validation and test stay as they are.

    A row's place in the order of removal is a keyed hash of its id, so a smaller share keeps a subset of what a larger
    one keeps.

    Parameters
    ----------
    examples : Examples
        With two classes.
    attribute, group : str
        Whose positives become rare.
    keep : float
        Share in (0, 1), rounded to whole rows and never to none.
    seed : int

    Returns
    -------
    examples : Examples
        With a warning that says how many rows were left out.

    Raises
    ------
    BadInput
        The share is not in (0, 1), there are more than two classes, attribute or group do not exist, or the group has
        no positives in training.
    """
    place = f"skew of examples {examples.name!r}"
    if not 0 < keep < 1:
        raise BadInput(f"cannot keep a share of {keep}", place=place, fix="name a share above 0 and below 1")
    if len(examples.classes) != 2:
        raise BadInput(f"{len(examples.classes)} classes have no positive one", place=place, fix="use a task with two")
    if attribute not in examples.attributes:
        fix = f"one of: {', '.join(examples.attributes)}"
        raise BadInput(f"no attribute {attribute!r}", place=place, fix=fix)
    groups = examples.attributes[attribute]
    rare = np.flatnonzero((examples.split == "train") & (groups == group) & (examples.label == 1))
    if not len(rare):
        fix = f"groups of {attribute!r}: {', '.join(np.unique(groups))}"
        raise BadInput(f"group {group!r} has no positives in training", place=place, fix=fix)
    order = np.argsort(keyed_hash(examples.row_id[rare], seed, "skew"))
    stays = np.ones(len(examples), dtype=np.bool_)
    stays[rare[order[max(1, round(keep * len(rare))) :]]] = False
    left_out = len(examples) - int(stays.sum())
    said = (
        f"skewed on purpose: {left_out:,} of {len(rare):,} positives of group {group!r} ({attribute}) were left out of"
        " training; validation and test are whole"
    )
    return replace(examples.take(stays), warnings=(*examples.warnings, said))
