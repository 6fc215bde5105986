"""What avatars are drawn from: a label, a group that is correlated with it on purpose, and everything else at random.

The label is whether the avatar wears glasses, the group its skin colour. Their four cells have the proportions of
blond x male in CelebA's training pictures, so that glasses on dark skin are as rare (.85 %) as blond men there.
Hair, clothes, face, background and pose are independent of both; hair length is an attribute, too, as a control.

Every draw is a keyed hash of the row id, no generator's state: but for its cell, a picture depends on the seed and its
row id alone.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiray.data.schema import SPLITS
from equiray.data.splits import keyed_hash
from equiray.errors import BadInput

CLASSES = ("no glasses", "glasses")
SKIN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"light": ("#ffdbb4", "#edb98a"), "dark": ("#ae5d29", "#614335")}
)
HAIR: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "long": ("bob", "curvy", "longButNotTooLong", "miaWallace", "straight01", "straight02", "straightAndStrand"),
        "short": ("shortCurly", "shortFlat", "shortRound", "shortWaved", "sides", "theCaesar", "theCaesarAndSidePart"),
    }
)
GLASSES = ("kurt", "prescription01", "prescription02", "round", "sunglasses", "wayfarers")
# (no glasses, light), (no glasses, dark), (glasses, light), (glasses, dark): dark women, dark men, blond women, blond
# men of CelebA's training pictures
CELEBA_CELLS = (71_629, 66_874, 22_880, 1_387)

_HAIR_COLORS = ("#a55728", "#2c1b18", "#b58143", "#d6b370", "#724133", "#4a312c", "#c93305", "#e8e1e1")
_FRAMES = ("#262e33", "#25557c", "#929598", "#3c4f5c", "#5199e4", "#ff5c5c")
_CLOTHES_COLORS = ("#262e33", "#65c9ff", "#5199e4", "#25557c", "#929598", "#a7ffc4", "#ffafb9", "#ff488e", "#ffffff")
_BACKGROUNDS = ("#b6e3f4", "#c0aede", "#d1d4f9", "#e8f0d8", "#f4f4f4", "#8fa3ad", "#56707a", "#f2c9d4")
_AT_RANDOM: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "hairColor": _HAIR_COLORS,
        "accessoriesColor": _FRAMES,
        "clothesVariant": ("blazerAndShirt", "collarAndSweater", "hoodie", "overall", "shirtCrewNeck", "shirtVNeck"),
        "clothesColor": _CLOTHES_COLORS,
        "eyesVariant": ("closed", "default", "eyeRoll", "happy", "side", "squint", "surprised", "wink"),
        "eyebrowsVariant": ("angry", "default", "flatNatural", "raisedExcited", "sadConcerned", "unibrowNatural"),
        "mouthVariant": ("concerned", "default", "disbelief", "grimace", "sad", "serious", "smile", "twinkle"),
        "facialHairVariant": ("beardLight", "beardMedium", "moustacheFancy", "moustacheMagnum"),
        "facialHairColor": _HAIR_COLORS,
        "backgroundColor": _BACKGROUNDS,
    }
)
_POSES: Mapping[str, tuple[float, float]] = MappingProxyType(  # degrees; shares of the picture's side; factor
    {"rotate": (-6.0, 6.0), "translateX": (-3.0, 3.0), "translateY": (-3.0, 3.0), "scale": (0.925, 1.075)}
)
_FACIAL_HAIR_SHARE = 0.25


@dataclass(frozen=True, kw_only=True)
class AvatarRecipe:
    """How many avatars, in which proportions.

    Attributes
    ----------
    train, validation, test : int
        Pictures of each split; every split has the same proportions.
    cells : tuple of int
        Proportions of (no glasses, light), (no glasses, dark), (glasses, light), (glasses, dark); CelebA's by default.
    seed : int

    Raises
    ------
    BadInput
        A negative number, four proportions that are not, or a split that would lack a cell that has a proportion.
    """

    train: int = 10_000
    validation: int = 4_000
    test: int = 20_000
    cells: tuple[int, int, int, int] = CELEBA_CELLS
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.cells) != 4 or min(self.cells) < 0 or sum(self.cells) == 0:
            fix = "give four counts or shares, none negative: " + ", ".join(map(str, CELEBA_CELLS))
            raise BadInput(f"cells are {self.cells}", place="avatar recipe", fix=fix)
        for split in SPLITS:
            rows = getattr(self, split)
            if rows < 0 or (rows and 0 in self._quota(rows)[np.array(self.cells) > 0]):
                needed = int(np.ceil(sum(self.cells) / min(cell for cell in self.cells if cell)))
                fix = f"{needed:,} are enough, or none"
                raise BadInput(f"{rows} pictures of {split} lack a cell", place="avatar recipe", fix=fix)

    def sha256(self, drawn_with: str) -> str:
        """Digest of everything that a picture depends on; `drawn_with` names packages with versions, style and size.

        Two recipes have the same digest exactly if they draw the same pictures.
        """
        palette = {"skin": dict(SKIN), "hair": dict(HAIR), "glasses": GLASSES, "random": dict(_AT_RANDOM)}
        choices = {**palette, "poses": dict(_POSES), "facial hair": _FACIAL_HAIR_SHARE}
        document = {"recipe": asdict(self), "choices": choices, "drawn with": drawn_with}
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()

    def _quota(self, rows: int) -> NDArray[np.int64]:
        """Pictures of each cell, largest remainders."""
        exact = rows * np.array(self.cells) / sum(self.cells)
        quota = np.floor(exact).astype(np.int64)
        quota[np.argsort(quota - exact, kind="stable")[: rows - quota.sum()]] += 1
        return quota


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """What every picture shows, arrays of shape (pictures,); `options` are the style's, one mapping a picture."""

    row_id: NDArray[np.int64]
    split: NDArray[np.str_]
    label: NDArray[np.int8]
    skin: NDArray[np.str_]
    hair: NDArray[np.str_]
    options: list[dict[str, Any]]


def draw_attributes(recipe: AvatarRecipe) -> Drawn:
    """Choose what every picture shows, exactly in the recipe's proportions; row ids count through the splits."""
    sizes = [getattr(recipe, split) for split in SPLITS]
    row_id = np.arange(sum(sizes))
    cell = np.concatenate([np.repeat(np.arange(4), recipe._quota(size)) for size in sizes])
    split = np.repeat(np.array(SPLITS), sizes)
    order = np.lexsort((keyed_hash(row_id, recipe.seed, "avatar cell"), np.repeat(np.arange(3), sizes)))
    cell = cell[np.argsort(order)]
    label, dark = cell // 2, cell % 2
    skin = np.array(tuple(SKIN))[dark]
    hair = np.array(tuple(HAIR))[_pick(row_id, recipe.seed, "hair", 2)]
    return Drawn(
        row_id=row_id,
        split=split,
        label=label.astype(np.int8),
        skin=skin,
        hair=hair,
        options=_options(recipe.seed, row_id, label.astype(np.bool_), skin, hair),
    )


def _options(
    seed: int, row_id: NDArray[np.int64], glasses: NDArray[np.bool_], skin: NDArray[np.str_], hair: NDArray[np.str_]
) -> list[dict[str, Any]]:
    """One value for every option of the style, so that the style itself has nothing left to choose."""

    def of_group(groups: NDArray[np.str_], values: Mapping[str, tuple[str, ...]], what: str) -> list[str]:
        place = _pick(row_id, seed, what, len(next(iter(values.values()))))
        return [values[group][p] for group, p in zip(groups.tolist(), place, strict=True)]

    columns: dict[str, Sequence[Any]] = {
        "skinColor": of_group(skin, SKIN, "skin tone"),
        "topVariant": of_group(hair, HAIR, "haircut"),
        "accessoriesVariant": np.array(GLASSES)[_pick(row_id, seed, "glasses", len(GLASSES))].tolist(),
        "accessoriesProbability": np.where(glasses, 100, 0).tolist(),
        "facialHairProbability": np.where(_unit(row_id, seed, "bearded") < _FACIAL_HAIR_SHARE, 100, 0).tolist(),
    }
    for option, values in _AT_RANDOM.items():
        columns[option] = np.array(values)[_pick(row_id, seed, option, len(values))].tolist()
    for option, (low, high) in _POSES.items():
        columns[option] = np.round(low + (high - low) * _unit(row_id, seed, option), 3).tolist()
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _pick(row_id: NDArray[np.int64], seed: int, what: str, values: int) -> NDArray[np.int64]:
    return (keyed_hash(row_id, seed, f"avatar {what}") % np.uint64(values)).astype(np.int64)


def _unit(row_id: NDArray[np.int64], seed: int, what: str) -> NDArray[np.float64]:
    """A number in [0, 1) per row."""
    return (keyed_hash(row_id, seed, f"avatar {what}") >> np.uint64(11)).astype(np.float64) * 2.0**-53
