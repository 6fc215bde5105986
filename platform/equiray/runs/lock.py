"""One process at a time in a run directory.

The kernel keeps the lock and drops it when the process ends, however it ends: after kill -9 nothing has to be cleared
away. The file that carries it stays where it is, for a lock on a removed file would keep nobody out.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from equiray.errors import BadInput

LOCK_NAME = ".lock"


@contextmanager
def sole_writer(directory: Path) -> Iterator[None]:
    """Keep other processes out of a directory until the block ends, or this process does.

    Raises
    ------
    BadInput
        Another process is writing there; names the directory and the process.
    OSError
        The directory is absent or not writable, or its file system knows no locks.
    """
    with (directory / LOCK_NAME).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise BadInput(
                f"{file.read() or 'another process'} is writing there",
                place=str(directory),
                fix="wait until it has ended, or name another directory",
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
