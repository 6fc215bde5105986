"""`load_examples`: the rows of a data set that a spec names, with the attributes it names."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from equiray.data.examples import celeba, hatexplain, multinli
from equiray.data.examples.binary import one_against_rest
from equiray.data.examples.record import Examples
from equiray.data.pictures.avatars import ATTRIBUTES as AVATARS
from equiray.data.pictures.avatars import load_avatars
from equiray.data.pictures.reading import read_pictures
from equiray.data.pictures.recipe import CELEBA_CELLS, AvatarRecipe
from equiray.errors import BadInput
from equiray.specs.examples import AvatarsSpec, CelebaSpec, ExamplesSpec, HatexplainSpec, MultinliSpec


class About(NamedTuple):
    """Where rows come from, and what may be done with them."""

    source: str
    licence: str


ABOUT = {
    "avatars": About("drawn by equiray.data.pictures", "the style Avataaars by Pablo Stanley: free for any use"),
    "celeba": About(celeba.SITE, "non-commercial research only"),
    "multinli": About(multinli.SITE, "by genre: OANC's, CC BY 3.0, CC BY-SA 3.0, or public domain"),
    "hatexplain": About(hatexplain.SITE, "MIT"),
}


class Sizes(NamedTuple):
    """Pictures of each split, where they are drawn."""

    train: int
    validation: int
    test: int


def load_examples(spec: ExamplesSpec, attributes: Sequence[str], *, sizes: Sizes, split_seed: int) -> Examples:
    """Read, or draw, a data set.

    Parameters
    ----------
    spec : ExamplesSpec
    attributes : sequence of str
        ``skin*hair`` is an intersection.
    sizes : Sizes
        Of avatars; files are read whole.
    split_seed : int
        Decides which of MultiNLI's premises are validation.

    Returns
    -------
    examples : Examples
        Named after the task, with two classes (`one_against_rest`), and besides `attributes` those that the data set
        always has.

    Raises
    ------
    BadInput
        Files that are not there or not in their authors' format, an attribute or a class that does not exist, an
        attribute that is the label, or no program to read pictures with; names the task.
    """
    names = tuple(dict.fromkeys(part for name in attributes for part in name.split("*")))
    if isinstance(spec, AvatarsSpec):  # known without drawing them
        _check_names(names, AVATARS, spec)
    try:
        loaded = _load(spec, names, sizes, split_seed)
        first = loaded.inputs[0] if len(loaded) else None
        if isinstance(first, Path):
            read_pictures([first], side=1)  # that there is a program to read them with
    except BadInput as error:
        raise BadInput(error.problem, place=f"task {spec.name}: {error.place}", fix=error.fix) from error
    loaded = one_against_rest(replace(loaded, name=spec.name), spec.positive)
    _check_names(names, tuple(loaded.attributes), spec)
    several = {name: _intersection(loaded, name) for name in attributes if "*" in name}
    return replace(loaded, attributes={**loaded.attributes, **several})


def _check_names(names: Sequence[str], known: Sequence[str], spec: ExamplesSpec) -> None:
    for name in names:
        if name not in known:
            raise BadInput(
                f"{spec.examples} has no attribute {name!r}",
                place=f"task {spec.name}, attributes",
                fix=f"it has: {', '.join(known)}",
            )


def _load(spec: ExamplesSpec, names: Sequence[str], sizes: Sizes, split_seed: int) -> Examples:
    if isinstance(spec, AvatarsSpec):
        return load_avatars(AvatarRecipe(**sizes._asdict(), cells=spec.cells or CELEBA_CELLS, seed=spec.seed))
    folder = None if spec.path is None else Path(spec.path)
    if isinstance(spec, CelebaSpec):
        if spec.label in names:
            fix = "name other attributes, or another `label`"
            raise BadInput(f"{spec.label!r} is the label", place="attributes", fix=fix)
        return celeba.load_celeba(folder=folder, label=spec.label, attributes=names)
    if isinstance(spec, MultinliSpec):
        return multinli.load_multinli(split_seed, folder=folder)
    assert isinstance(spec, HatexplainSpec)
    return hatexplain.load_hatexplain(folder=folder, groups=names)


def _intersection(examples: Examples, name: str) -> np.ndarray:
    first, *others = (examples.attributes[part] for part in name.split("*"))
    for groups in others:
        first = np.char.add(np.char.add(first, "*"), groups)
    return first
