"""From a style's options to pixels: DiceBear composes an SVG, resvg rasterises it, Pillow decodes it.

All four packages come as wheels alone (the extra `pictures`), no system library is needed. Licences: dicebear-core,
dicebear-schema, resvg-py MIT; Pillow MIT-CMU; the style Avataaars by Pablo Stanley is free for personal and commercial
use (avataaars.com), here as remixed by DiceBear.
"""

import importlib.util
import io
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np

from equiray.data.examples.record import Pixels
from equiray.errors import BadInput

SIDE = 64
STYLE = "avataaars"
_PACKAGES = {"dicebear-core": "dicebear", "dicebear-styles": "dicebear_styles", "resvg-py": "resvg_py", "pillow": "PIL"}


def drawn_with() -> str:
    """The drawing packages with their versions, as ``name==version`` joined by spaces.

    Raises
    ------
    BadInput
        One of them is not installed.
    """
    absent = [name for name, module in _PACKAGES.items() if importlib.util.find_spec(module) is None]
    if absent:
        fix = "pip install 'equiray[pictures]'"
        raise BadInput(f"{', '.join(absent)} cannot be imported", place="drawing avatars", fix=fix)
    return " ".join(f"{name}=={version(name)}" for name in _PACKAGES)


def draw(options: Sequence[Mapping[str, Any]]) -> Pixels:
    """Draw one avatar per mapping of options.

    Parameters
    ----------
    options : sequence of mappings
        Options of the style `STYLE`. One that is left out is chosen by the style.

    Returns
    -------
    uint8 array, shape (pictures, SIDE, SIDE, 3)
    """
    drawn_with()
    from dicebear import Avatar, Style  # pyright: ignore[reportMissingImports]
    from PIL import Image  # pyright: ignore[reportMissingImports]
    from resvg_py import svg_to_bytes  # pyright: ignore[reportMissingImports]

    style = Style(json.loads(files("dicebear_styles").joinpath(f"{STYLE}.json").read_text("utf-8")))  # costs .1 s
    pixels = np.empty((len(options), SIDE, SIDE, 3), dtype=np.uint8)
    for picture, chosen in enumerate(options):
        svg = Avatar(style, {"size": SIDE, **chosen}).to_string()
        png = svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE, skip_system_fonts=True)
        pixels[picture] = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    return pixels
