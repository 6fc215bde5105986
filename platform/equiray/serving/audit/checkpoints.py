"""Signed heads in a second place: what tells a log that was cut, restored or written anew from the one that was.

Notable: a place is only ever added to, and never moves backwards, whichever process of however many adds. Every
checkpoint carries the signature of the one before, so that none can be taken out of the middle unseen.
"""

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from time import monotonic, sleep
from typing import Protocol

from equiray.errors import BadInput
from equiray.serving.audit.chain import canonical, mac_of

SCHEMA = "equiray.checkpoint/1"
FILE = "checkpoints.jsonl"
_LOCK_WAIT_S, _ASK_AGAIN_S = 5.0, 0.01
_TAIL_BYTES = 16_384  # a line has fewer than 500


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where a log ended at a time.

    Parameters
    ----------
    log_id, length, mac : str, int, str
        The log, its records, and the mac of the last one.
    at : str
        UTC, ISO 8601, by the clock of the process that signed.
    previous : str
        The signature of the checkpoint before; empty for the first one.
    signature : str
        HMAC-SHA256 under the checkpoints' key over the canonical JSON of the rest.
    """

    log_id: str
    length: int
    mac: str
    at: str
    previous: str
    signature: str

    def is_signed(self, key: bytes) -> bool:
        """Whether the holder of the key wrote just this."""
        return _signature(key, self) == self.signature


def signed(key: bytes, *, log_id: str, length: int, mac: str, at: str, previous: Checkpoint | None) -> Checkpoint:
    """A checkpoint that follows another one."""
    before = "" if previous is None else previous.signature
    unsigned = Checkpoint(log_id=log_id, length=length, mac=mac, at=at, previous=before, signature="")
    return Checkpoint(**{**asdict(unsigned), "signature": _signature(key, unsigned)})


def _signature(key: bytes, checkpoint: Checkpoint) -> str:
    content = {name: value for name, value in asdict(checkpoint).items() if name != "signature"}
    return mac_of(key, canonical({"schema": SCHEMA, **content}))


class Place(Protocol):
    """Where checkpoints are kept; `Folder` is one, an object store or a transparency log would be another."""

    def advance(self, following: Callable[[Checkpoint | None], Checkpoint | None]) -> Checkpoint | None:
        """Add what `following` makes of the last checkpoint, and return it; nobody else adds meanwhile."""
        ...

    def lines(self) -> Iterator[Checkpoint | None]:
        """Every checkpoint, the oldest first; None for what cannot be read as one."""
        ...


class Folder:
    """A folder with one file of JSON lines, of one log.

    Parameters
    ----------
    folder : Path
        Best on another disk or machine, where who can write the database cannot write.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE

    def advance(self, following: Callable[[Checkpoint | None], Checkpoint | None]) -> Checkpoint | None:
        """See `Place.advance`.

        Raises
        ------
        OSError
            The folder cannot be written, or another process has held its lock for 5 seconds.
        """
        with _locked(self.file) as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - _TAIL_BYTES))
            tail = file.read()
            readable = [each for each in map(_parsed, tail.splitlines()) if each is not None]
            made = following(readable[-1] if readable else None)
            if made is None:
                return None
            line = json.dumps({"schema": SCHEMA, **asdict(made)}).encode() + b"\n"
            # A crash may have left half a line; it is left as it is, and on a line of its own.
            line = line if tail.endswith(b"\n") or not tail else b"\n" + line
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.file))
            os.fsync(file.fileno())
            return made

    def lines(self) -> Iterator[Checkpoint | None]:
        """See `Place.lines`.

        Raises
        ------
        OSError
            There is no file, or it cannot be read.
        """
        with self.file.open("rb") as file:
            yield from map(_parsed, file)


@contextmanager
def _locked(path: Path) -> Iterator[FileIO]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with FileIO(descriptor, "r+") as file:  # the lock goes with the file, however the process ends
        _lock(file)
        yield file


def _lock(file: FileIO) -> None:
    end = monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() > end:
                raise
            sleep(_ASK_AGAIN_S)
        else:
            return


def _parsed(line: bytes) -> Checkpoint | None:
    try:
        content = json.loads(line)
        if content.pop("schema") != SCHEMA:
            return None
        return Checkpoint(**content)
    except (ValueError, TypeError, AttributeError, KeyError):
        return None


def folder_at(path: Path) -> Folder:
    """The place in a folder, which is created where it is absent.

    Raises
    ------
    BadInput
        The folder cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"checkpoints cannot be kept here: {error.strerror}",
            place=str(path),
            fix="name a folder that can be written",
        ) from error
    return Folder(path)
