"""Errors a user can act on, each with the exit code that the command line returns for it.

Exit codes (docs/contracts): 0 done or PASS, 1 FAIL, 2 INCONCLUSIVE, 3 bad input, 4 incomplete (can be
resumed), 70 internal error, 130 interrupted.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# safetensors writes in Rust, whose errors are no OSError and carry the system's number only in their text
_RUST_OS_ERROR = re.compile(r"\(os error (\d+)\)")


class EquirayError(Exception):
    """Base of every error raised on purpose; anything else that escapes is an internal error (70)."""

    exit_code = 70


class BadInput(EquirayError):
    """The user's input cannot be used: says which value, where it stands, and how to mend it.

    Parameters
    ----------
    problem : str
        What is wrong, naming the offending value.
    place : str
        Where it stands: a file, a key path in a YAML document, a column, a row.
    fix : str
        What to change so that the next attempt works.
    """

    exit_code = 3

    def __init__(self, problem: str, *, place: str, fix: str) -> None:
        super().__init__(f"{problem}\n  where: {place}\n  fix:   {fix}")
        self.problem, self.place, self.fix = problem, place, fix

    def __reduce__(self):  # the keyword-only arguments must survive the way back from a Ray worker
        return _rebuild_bad_input, (self.problem, self.place, self.fix)


def _rebuild_bad_input(problem: str, place: str, fix: str) -> BadInput:
    return BadInput(problem, place=place, fix=fix)


class Incomplete(EquirayError):
    """Work stopped before its end and what was finished is on disk: the same command resumes it."""

    exit_code = 4


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Around what writes a file or a folder of a run that can be resumed.

    Raises
    ------
    Incomplete
        The system refuses to write: the disk is full, or the place is not writable.
    """
    try:
        yield
    except Exception as error:
        number = _system_error(error)
        if number is None:
            raise
        fix = "free some space" if number in _FULL else "make the folder writable"
        raise Incomplete(
            f"cannot write: {error}\n  where: {file}\n  fix:   {fix}, then repeat the command: finished parts are kept"
        ) from error


@contextmanager
def reading_back(file: Path, *, fix: str) -> Iterator[None]:
    """Around what reads a file that an earlier part of a run has left.

    Raises
    ------
    BadInput
        It is cut short or altered; what the reader raised, which may be of any type, is named.
    """
    try:
        yield
    except EquirayError:
        raise
    except Exception as error:  # JSON's ValueError, safetensors' own type, KeyError, ...
        said = next(iter(str(error).splitlines()), "")
        raise BadInput(f"cut short or altered: {type(error).__name__}: {said}", place=str(file), fix=fix) from error


def _system_error(error: Exception) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = _RUST_OS_ERROR.search(str(error))
    return int(found[1]) if found else None
