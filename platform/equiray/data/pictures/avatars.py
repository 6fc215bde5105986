"""Avatars as `Examples`, drawn once: kept in one file that is named after the digest of their recipe."""

import hashlib
import os
from pathlib import Path

import numpy as np

from equiray.data.examples.record import Examples, Pixels
from equiray.data.pictures.drawing import SIDE, STYLE, draw, drawn_with
from equiray.data.pictures.recipe import CLASSES, AvatarRecipe, draw_attributes
from equiray.data.sources import cache_folder
from equiray.errors import reading_back, writing

ATTRIBUTES = ("skin", "hair")
WARNING = (
    "synthetic: avatars drawn for this test, their correlation of glasses and skin colour made on purpose; nothing here"
    " is a finding about people"
)


def load_avatars(recipe: AvatarRecipe, *, folder: Path | None = None) -> Examples:
    """Draw the recipe's avatars, or read them if they were drawn before.

    Parameters
    ----------
    recipe : AvatarRecipe
    folder : Path, optional
        Where pictures are kept; the user's cache by default.

    Returns
    -------
    examples : Examples
        Classes ``no glasses``, ``glasses``; attribute ``skin`` (light, dark) is correlated with them, ``hair`` (long,
        short) is not. `synthetic` is true and `source_sha256` that of the recipe.

    Raises
    ------
    BadInput
        The extra `pictures` is not installed, or the kept file is broken.
    Incomplete
        The folder is not writable.
    """
    digest = recipe.sha256(f"{drawn_with()} {STYLE} {SIDE}")
    drawn = draw_attributes(recipe)
    file = (folder or cache_folder() / "pictures") / f"avatars-{digest[:16]}.npz"
    if file.is_file():
        pixels = _read(file, digest)
    else:
        pixels = draw(drawn.options)
        _keep(file, pixels, digest)
    return Examples(
        name="avatars",
        title="Avatars with and without glasses (synthetic)",
        row_id=drawn.row_id,
        inputs=pixels,
        label=drawn.label,
        classes=CLASSES,
        attributes=dict(zip(ATTRIBUTES, (drawn.skin, drawn.hair), strict=True)),
        split=drawn.split,
        synthetic=True,
        source_sha256=digest,
        warnings=(WARNING,),
    )


def _keep(file: Path, pixels: Pixels, digest: str) -> None:
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            with scratch.open("wb") as handle:
                np.savez_compressed(handle, pixels=pixels, recipe=digest, content=_content(pixels))
            scratch.replace(file)
    finally:
        scratch.unlink(missing_ok=True)


def _read(file: Path, digest: str) -> Pixels:
    """The kept pictures, if they are this recipe's and unaltered."""
    with reading_back(file, fix="delete the file: its pictures are drawn anew"):
        with np.load(file, allow_pickle=False) as kept:
            pixels = kept["pixels"]
            if str(kept["recipe"]) != digest or str(kept["content"]) != _content(pixels):
                raise ValueError("its content has another digest")
        return pixels


def _content(pixels: Pixels) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()
