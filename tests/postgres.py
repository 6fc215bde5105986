"""A PostgreSQL server of this test session alone, on a free port, in a folder that goes with it."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

USER = "equiray"
KILL_ALL = (
    b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
)
"""Ends every connection but that which says it."""


class NoPostgres(Exception):
    """Why there can be no server here."""


class Postgres:
    """A server that can be stopped as a power cut would, and started again."""

    def __init__(self, binaries: Path, folder: Path, account: str | None, *, fsync: bool) -> None:
        self._binaries, self._folder, self._account, self._fsync = binaries, folder, account, fsync
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._databases = 0

    def run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / program, "-D", self._folder / "data", *arguments],
            user=self._account,
            group=None if self._account is None else _group(self._account),
            extra_groups=None if self._account is None else [],
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(self._folder)},
            stdin=subprocess.DEVNULL,
            stdout=(output := (self._folder / "programs.log").open("ab")),  # pg_ctl leaves the server its own
            stderr=output,
            check=False,
        )
        if done.returncode != 0:
            said = (self._folder / "programs.log").read_text()[-2000:]
            raise NoPostgres(f"{program} {' '.join(arguments)} exits with {done.returncode}:\n{said}")

    def start(self) -> None:
        settings = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        settings += f" -c fsync={'on' if self._fsync else 'off'}"
        self.run("pg_ctl", "start", "-w", "-t", "60", "-l", str(self._folder / "server.log"), "-o", settings)

    def stop(self, mode: str = "immediate") -> None:
        self.run("pg_ctl", "stop", "-w", "-t", "60", "-m", mode)

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def new_schema(self) -> str:
        """The URL of an empty schema: as good as a database for most, and made at once."""
        self._databases += 1
        name = f"test{self._databases}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"{self.url('postgres')}?options=-csearch_path%3D{name}"

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        self._databases += 1
        name = f"test{self._databases}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)


@contextmanager
def running_postgres(*, fsync: bool = False) -> Iterator[Postgres]:
    """A running server.

    Parameters
    ----------
    fsync : bool
        Wait for the disk at every commit: for what is timed. No test cuts the power, and a server that waits takes
        much longer to start again.

    Raises
    ------
    NoPostgres
        Its programs are nowhere, or it does not start.
    """
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="equiray-postgres-", dir="/tmp"))
    account = _account() if os.geteuid() == 0 else None  # it refuses to run as root
    if account is not None:
        shutil.chown(folder, account)
    server = Postgres(binaries, folder, account, fsync=fsync)
    try:
        server.run("initdb", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _binaries() -> Path:
    on_path = shutil.which("initdb")
    named = [Path(on_path).resolve().parent] if on_path else []
    of_debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    for folder in [*named, *of_debian]:
        if all((folder / program).is_file() for program in ("initdb", "pg_ctl", "postgres")):
            return folder
    raise NoPostgres("no initdb on PATH or in /usr/lib/postgresql/*/bin: apt-get install postgresql")


def _account() -> str:
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return name
    raise NoPostgres("PostgreSQL refuses to run as root, and there is no user postgres or nobody")


def _group(account: str) -> int:
    import pwd

    return pwd.getpwnam(account).pw_gid
