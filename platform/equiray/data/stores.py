"""Where files are: paths, folders and patterns on this machine, or URLs of an object store."""

from collections.abc import Sequence
from glob import glob
from pathlib import Path, PurePosixPath
from typing import Literal

import pyarrow as pa
import pyarrow.fs as pafs

from equiray.errors import BadInput

Format = Literal["parquet", "csv", "jsonl"]
_ENDINGS: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".ndjson": "jsonl",
    ".ndjson.gz": "jsonl",
}


def find_files(patterns: Sequence[str]) -> list[str]:
    """Files, folders, patterns and URLs (``s3://bucket/run/*.parquet``) as paths of files, each once, in order.

    Of a folder those files are taken whose ending says that they can be read, at any depth. Stores are those of
    `pyarrow.fs`, their credentials taken from the environment; in a URL only ``*`` is a wildcard.

    Raises
    ------
    BadInput
        Nothing is there, a store cannot be reached, or a file's ending is unknown.
    """
    found: list[str] = []
    for pattern in patterns:
        try:
            matching = _in_store(pattern) if "://" in pattern else _here(pattern)
        except (OSError, pa.ArrowException) as error:
            fix = "check the address, and that this machine may read it"
            raise BadInput(f"cannot look for files: {error!s:.200}", place=pattern, fix=fix) from error
        if not matching:
            raise BadInput("no such file", place=pattern, fix="name a file, a folder, a pattern or a store's URL")
        for path in matching:
            format_of(path)
        found += [path for path in matching if path not in found]
    return found


def format_of(path: str) -> Format:
    """The format that a file's ending names.

    Raises
    ------
    BadInput
        It names none that can be read.
    """
    for ending, kind in _ENDINGS.items():
        if path.partition("?")[0].lower().endswith(ending):
            return kind
    raise BadInput(
        f"cannot tell the format of {PurePosixPath(path).name}", place=path, fix=f"use one of {', '.join(_ENDINGS)}"
    )


def open_file(path: str) -> pa.NativeFile:
    """A file's bytes as they are stored, at any position; raises OSError or ArrowException."""
    store, inside = _located(path)
    return store.open_input_file(inside)


def open_stream(path: str) -> pa.NativeFile:
    """A file's bytes from its beginning, decompressed where its ending says so; raises OSError or ArrowException."""
    store, inside = _located(path)
    return store.open_input_stream(inside, compression="detect")


def is_compressed(path: str) -> bool:
    """Whether a stream of the file is not the bytes that are stored."""
    return path.partition("?")[0].lower().endswith(".gz")


class FilePart:
    """Ranges of a file's bytes, one behind the other, read like a stream.

    Parameters
    ----------
    file : pyarrow.NativeFile
        At any position.
    ranges : sequence of (start, stop)
    """

    def __init__(self, file: pa.NativeFile, ranges: Sequence[tuple[int, int]]) -> None:
        self._file, self._left = file, [pair for pair in ranges if pair[0] < pair[1]]

    def read(self, size: int | None = None) -> bytes:
        """The next bytes, at most `size`; fewer where a range ends, none behind the last."""
        if not self._left:
            return b""
        start, stop = self._left[0]
        found = self._file.read_at(stop - start if size is None else min(size, stop - start), start)
        self._left[0] = (start + len(found), stop)
        if start + len(found) == stop or not found:
            del self._left[0]
        return found


def _located(path: str) -> tuple[pafs.FileSystem, str]:
    return pafs.FileSystem.from_uri(path) if "://" in path else (pafs.LocalFileSystem(), path)


def _here(pattern: str) -> list[str]:
    path = Path(pattern)
    if path.is_dir():
        return sorted(str(each) for each in path.rglob("*") if each.is_file() and _readable_ending(each.name))
    if path.exists():
        return [pattern]
    return sorted(each for each in glob(pattern, recursive=True) if Path(each).is_file())  # noqa: PTH207, absolute too


def _in_store(url: str) -> list[str]:
    store, path = _located(url)
    scheme, _, rest = url.partition("://")
    host = rest[: rest.index(path)] if path in rest else ""  # what a store's own paths leave out
    query = "?" + url.partition("?")[2] if "?" in url else ""
    if "*" in path:
        base = path.partition("*")[0].rpartition("/")[0]
        inside = store.get_file_info(pafs.FileSelector(base, recursive=True))
        files = [each.path for each in inside if each.type == pafs.FileType.File and _matches(each.path, path)]
    else:
        there = store.get_file_info(path)
        if there.type == pafs.FileType.Directory:
            inside = store.get_file_info(pafs.FileSelector(path, recursive=True))
            files = [each.path for each in inside if each.type == pafs.FileType.File and _readable_ending(each.path)]
        else:
            files = [path] if there.type == pafs.FileType.File else []
    return [f"{scheme}://{host}{each}{query}" for each in sorted(files)]


def _matches(path: str, pattern: str) -> bool:
    """``*`` stays within one folder."""
    return path.count("/") == pattern.count("/") and PurePosixPath(path).match(pattern)


def _readable_ending(name: str) -> bool:
    return name.lower().endswith(tuple(_ENDINGS)) and not PurePosixPath(name).name.startswith((".", "_"))
