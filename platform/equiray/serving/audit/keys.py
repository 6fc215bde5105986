"""The two keys, which the database never holds: one macs the chain, the other signs the checkpoints.

Notable: a key is 32 random bytes, written as 64 hexadecimal digits, in an environment variable or in a file that only
its owner can read. A service makes a missing file at its first start; whoever verifies never makes one.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Literal

from equiray.errors import BadInput

Name = Literal["audit", "checkpoint"]
VARIABLES: dict[Name, str] = {"audit": "EQUIRAY_AUDIT_KEY", "checkpoint": "EQUIRAY_CHECKPOINT_KEY"}
DEFAULT_FOLDER = Path("~/.config/equiray")
KEY_BYTES = 32


def load_key(name: Name, folder: Path = DEFAULT_FOLDER) -> bytes:
    """A key, from its environment variable, or else from its file `NAME.key`.

    Raises
    ------
    BadInput
        There is none, it is no key, or its file can be read by others.
    """
    variable = VARIABLES[name]
    if variable in os.environ:
        return _key_of(os.environ[variable], place=f"environment variable {variable}")
    file = _file(name, folder)
    try:
        mode, text = stat.S_IMODE(file.stat().st_mode), file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"no {name} key: {error}", place=str(file), fix=f"set {variable}, or name the folder that has {file.name}"
        ) from error
    if mode & 0o077:
        raise BadInput(f"others may read the key (mode {mode:o})", place=str(file), fix=f"chmod 600 {file}")
    return _key_of(text, place=str(file))


def ensure_key(name: Name, folder: Path = DEFAULT_FOLDER) -> bytes:
    """A key as `load_key` finds it; where there is neither variable nor file, a new one in a file (mode 0600).

    Raises
    ------
    BadInput
        As `load_key`, or the folder cannot be written.
    """
    file = _file(name, folder)
    if VARIABLES[name] not in os.environ and not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make(file)
        except OSError as error:
            raise BadInput(
                f"the {name} key cannot be written: {error}",
                place=str(file),
                fix=f"set {VARIABLES[name]}, or name a folder that can be written",
            ) from error
    return load_key(name, folder)


def _file(name: Name, folder: Path) -> Path:
    return folder.expanduser() / f"{name}.key"


def _make(file: Path) -> None:
    """Write the file whole before it has its name: another process may be starting, too, and one of them wins."""
    made = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as new:
            new.write(secrets.token_hex(KEY_BYTES) + "\n")
            new.flush()
            os.fsync(new.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(made, file)
    finally:
        made.unlink()


def _key_of(text: str, *, place: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise BadInput("no key", place=place, fix=f"write {2 * KEY_BYTES} hexadecimal digits: openssl rand -hex 32")
    return key
