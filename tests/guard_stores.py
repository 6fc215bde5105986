"""Databases that the guard's tests use: a SQLite file, and a PostgreSQL server of the tests' own."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgres() -> Iterator[str]:
    """A fresh server on loopback; yields its URL. It refuses to run as root: then as `nobody`."""
    found = shutil.which("initdb")
    if found is None:
        pytest.skip("no PostgreSQL on this machine")
    binaries = Path(found).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="equiray-pg-"))
    shutil.chown(folder, "nobody") if os.geteuid() == 0 else None
    run_as = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    init = [binaries / "initdb", "-D", data, "-U", "equiray", "-A", "trust", "--no-sync", "-E", "UTF8"]
    subprocess.run([*run_as, *map(str, init)], check=True, capture_output=True, cwd="/")
    control = [*run_as, str(binaries / "pg_ctl"), "-D", str(data), "-w"]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    log = folder / "log"
    subprocess.run([*control, "-o", options, "-l", str(log), "start"], check=True, capture_output=True, cwd="/")
    try:
        yield f"postgresql://equiray@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd="/")
        shutil.rmtree(folder)
