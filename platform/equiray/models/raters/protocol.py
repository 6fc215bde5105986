"""What every rater can do, and how the package that it comes from is found."""

import hashlib
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput

EXTRA = "pip install 'equiray[raters]'"


class Rater(Protocol):
    """Reads English texts, one by one; a text's rating depends on nothing else."""

    @property
    def name(self) -> str:
        """What a spec calls it."""
        ...

    @property
    def about(self) -> str:
        """What it is and what it cannot do, for whoever reads its ratings."""
        ...

    @property
    def identity(self) -> str:
        """Package, version, and what decides its ratings by content."""
        ...

    def rate(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Ratings [texts]: toxicity within 0 and 1, or sentiment within -1 and 1."""
        ...


def package_folder(module: str, package: str) -> Path:
    """Where a rater's package is installed; nothing of it is run.

    Raises
    ------
    BadInput
        It is not installed.
    """
    found = find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise BadInput(f"{package} is not installed", place="the spec's scorers", fix=EXTRA)
    return Path(found.submodule_search_locations[0])


def identity_of(package: str, files: Iterable[Path]) -> str:
    """``alt-profanity-check 1.9.1, sha256 of its files``."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    try:
        number = version(package)
    except PackageNotFoundError:
        number = "unknown"
    return f"{package} {number}, {digest.hexdigest()[:16]}"
