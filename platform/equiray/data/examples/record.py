"""`Examples`: inputs of a classifier with their labels, groups and splits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from equiray.data.schema import SPLITS
from equiray.errors import BadInput

Pixels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Rows that a classifier reads, whatever it reads.

    Attributes
    ----------
    name, title : str
        How the data set is called in a spec, and in a report.
    row_id : int64 array, shape (rows,)
        Stable: keyed draws and predictions hang on it.
    inputs : list of str, list of Path, or uint8 array of shape (rows, height, width, 3)
        Texts, picture files, or pictures.
    label : int8 array, shape (rows,)
        Place in `classes`; with two classes 1 is the positive one.
    classes : tuple of str
    attributes : mapping of str to str array, shape (rows,)
        Group of each row, ``(missing)`` where the source does not say; ``a*b`` is an intersection.
    split : str array, shape (rows,)
        ``train``, ``validation`` or ``test``.
    synthetic : bool
        Whether the rows were made rather than collected. Every report of a result says so.
    source_sha256 : str
        Of the files that labels and groups were read from; of drawn pictures, of their recipe.
    warnings : tuple of str
        What a reader of any result must know; rows that were left out are counted here.

    Raises
    ------
    BadInput
        Lengths differ, a row id repeats, a label is no place in `classes`, or a split has another name.
    """

    name: str
    title: str
    row_id: NDArray[np.int64]
    inputs: list[str] | list[Path] | Pixels
    label: NDArray[np.int8]
    classes: tuple[str, ...]
    attributes: Mapping[str, NDArray[np.str_]]
    split: NDArray[np.str_]
    synthetic: bool
    source_sha256: str
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lengths = {"inputs": len(self.inputs), "label": len(self.label), "split": len(self.split)}
        lengths |= {f"attributes[{name!r}]": len(groups) for name, groups in self.attributes.items()}
        for field, length in lengths.items():
            if length != len(self.row_id):
                raise self._wrong(f"{field} has {length} rows, row_id {len(self.row_id)}", "pass one value per row")
        if len(np.unique(self.row_id)) != len(self.row_id):
            raise self._wrong("a row_id stands twice", "number the rows once")
        outside = sorted(set(self.label.tolist()) - set(range(len(self.classes))))
        if outside:
            raise self._wrong(f"label {outside[0]} is no place in {len(self.classes)} classes", "number them from 0")
        unknown = sorted(set(self.split.tolist()) - set(SPLITS))
        if unknown:
            raise self._wrong(f"unknown split {unknown[0]!r}", f"use {', '.join(SPLITS)}")

    def __len__(self) -> int:
        return len(self.row_id)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Examples":
        """The rows at these places, or where a mask is true, in that order."""
        places = np.arange(len(self))[rows]
        if isinstance(self.inputs, np.ndarray):
            inputs = self.inputs[places]
        else:
            inputs = [self.inputs[place] for place in places]
        return replace(
            self,
            row_id=self.row_id[places],
            inputs=inputs,
            label=self.label[places],
            attributes={name: groups[places] for name, groups in self.attributes.items()},
            split=self.split[places],
        )

    def described(self, place: int) -> str:
        """A row in words: its text, its picture file's name, or what is known of a drawn picture."""
        if isinstance(self.inputs, np.ndarray):
            known = (f"{name}: {groups[place]}" for name, groups in self.attributes.items() if "*" not in name)
            return f"picture {self.row_id[place]} ({', '.join(known)})"
        found = self.inputs[place]
        return found.name if isinstance(found, Path) else found

    def of_split(self, name: str) -> "Examples":
        """The rows of one split."""
        return self.take(self.split == name)

    def _wrong(self, problem: str, fix: str) -> BadInput:
        return BadInput(problem, place=f"examples {self.name!r}", fix=fix)
