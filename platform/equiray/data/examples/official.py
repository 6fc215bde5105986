"""Files of benchmarks that may not be passed on: where they lie, and reading them.

Such a file comes from the caller's folder or from the mirror that EQUIRAY_DATA names, never from a download: its
licence is for each user to accept. Its format is checked; its bytes are not, for authors publish no digests. A number
of rows unlike the official one is a warning, so that a part of a file can be tried.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from equiray.data.sources import MIRROR_VARIABLE, mirror_root
from equiray.errors import BadInput


def find_official(
    benchmark: str, needed: Sequence[tuple[str, ...]], *, folder: Path | None, site: str
) -> tuple[Path, ...]:
    """Paths of a benchmark's files and folders, in the order of `needed`.

    Parameters
    ----------
    benchmark : str
        Its folder in the mirror.
    needed : sequence of tuples of str
        Each tuple names one file or folder in every form it is published in; the first that is there is taken.
    folder : Path or None
        The caller's own; then the mirror is not looked at.
    site : str
        Where the files are published.

    Raises
    ------
    BadInput
        No folder, or one that lacks a file; says what is missing and where it is published.
    """
    root = folder if folder is not None else _in_mirror(benchmark)
    names = ", ".join(" or ".join(forms) for forms in needed)
    if root is None or not root.is_dir():
        place = str(root) if root is not None else f"{MIRROR_VARIABLE} is not set"
        fix = f"get {names} from {site}, then name their folder, or put it into ${MIRROR_VARIABLE}/{benchmark}"
        raise BadInput(f"the files of {benchmark} are not on this machine", place=place, fix=fix)
    return tuple(_first_form(root, forms, site) for forms in needed)


def read_official(path: Path) -> str:
    """A file's text; a byte order mark is no part of it.

    Raises
    ------
    BadInput
        It cannot be opened, or is not UTF-8.
    """
    return "".join(line for _, line in official_lines(path))


def official_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a file, numbered from 1, each with its line feed: nothing else ends a line, for sentences hold the rest.

    Raises
    ------
    BadInput
        As `read_official`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as handle:
            yield from enumerate(handle, start=1)
    except UnicodeDecodeError as error:
        raise BadInput(f"not UTF-8: {error}", place=str(path), fix="use the authors' file as it is") from error
    except OSError as error:
        raise BadInput(f"cannot read it: {error}", place=str(path), fix="name a readable file") from error


def unlike_official(path: Path, found: int, official: int) -> tuple[str, ...]:
    """A warning where a file has another number of rows than its authors' one."""
    return () if found == official else (f"{path.name} has {found:,} rows, the official file {official:,}",)


def _in_mirror(benchmark: str) -> Path | None:
    root = mirror_root()
    return None if root is None else root / benchmark


def _first_form(root: Path, forms: tuple[str, ...], site: str) -> Path:
    for form in forms:
        if (root / form).exists():
            return root / form
    raise BadInput(f"there is no {' or '.join(forms)}", place=str(root), fix=f"put it there; it is published at {site}")
