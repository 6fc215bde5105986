"""The files of a bundle: which there are, and their hashes."""

import hashlib
import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from equiray.bundles.manifest import MANIFEST, SUFFIXES, FileRecord


def record_of(file: Path) -> FileRecord:
    """Sha256 and size of a file."""
    with file.open("rb") as stream:
        return FileRecord(sha256=hashlib.file_digest(stream, "sha256").hexdigest(), bytes=file.stat().st_size)


def listed(folder: Path) -> dict[str, Path]:
    """Everything below a folder that is no folder itself, by its path from there; links are not followed."""
    found = {}
    for root, folders, files in os.walk(folder):
        links = [name for name in folders if Path(root, name).is_symlink()]
        for path in (Path(root, name) for name in (*links, *files)):
            found[path.relative_to(folder).as_posix()] = path
    return dict(sorted(found.items()))


def leaves(name: str) -> bool:
    """Whether a path could lead out of the bundle, on any system, or is not written plainly."""
    path, windows = PurePosixPath(name), PureWindowsPath(name)
    plain = name == path.as_posix() and "\\" not in name and name not in ("", ".")
    return not plain or ".." in path.parts or path.is_absolute() or bool(windows.drive or windows.root)


def may_enter(name: str) -> bool:
    """Whether a file is of a format that cannot run code when it is read, and is not the manifest's namesake."""
    return PurePosixPath(name).suffix in SUFFIXES and name != MANIFEST
