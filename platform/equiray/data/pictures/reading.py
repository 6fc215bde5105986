"""Picture files as pixels: the largest square in the middle, resized."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from equiray.data.examples.record import Pixels
from equiray.errors import BadInput


def read_pictures(paths: Sequence[Path], *, side: int) -> Pixels:
    """Read picture files; needs Pillow (the extra `pictures`).

    Parameters
    ----------
    paths : sequence of Path
        In any format that Pillow reads.
    side : int
        Pixels of a side of what is returned.

    Returns
    -------
    uint8 array, shape (pictures, side, side, 3)
        RGB, resized by averaging (Pillow's box filter).

    Raises
    ------
    BadInput
        Pillow is not installed, or a file is absent or no picture.
    """
    try:
        from PIL import Image, ImageOps  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        fix = "pip install 'equiray[pictures]'"
        raise BadInput("Pillow cannot be imported", place="reading pictures", fix=fix) from error
    pixels = np.empty((len(paths), side, side, 3), dtype=np.uint8)
    for row, path in enumerate(paths):
        try:
            with Image.open(path) as picture:
                square = ImageOps.fit(picture.convert("RGB"), (side, side), method=Image.Resampling.BOX)
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # SyntaxError: a broken PNG
            raise BadInput(
                f"cannot be read: {error}", place=str(path), fix="replace it by the authors' file"
            ) from error
        pixels[row] = np.asarray(square)
    return pixels
