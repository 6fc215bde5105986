"""A real Ray head with dashboard, in its own session and folder, for tests of what talks to clusters."""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

BIN = Path(sys.executable).parent


@dataclass(frozen=True, kw_only=True)
class Head:
    """Where a running head is reached, and the variables a client needs to be let in."""

    address: str
    environment: dict[str, str]

    @property
    def token(self) -> str:
        return self.environment["RAY_AUTH_TOKEN"]


@contextmanager
def ray_head(num_cpus: int = 1) -> Iterator[Head]:
    """Start a head that wants a token; stop its processes alone at the end: others may run Ray on this machine."""
    auth = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | auth
    environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"  # a job's `python` is found on the head's PATH
    names = ("port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port", "metrics-export-port")
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    address = f"http://127.0.0.1:{ports['dashboard-port']}"
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:  # short: it names Unix sockets
        command = [str(BIN / "ray"), "start", "--head", "--block", f"--num-cpus={num_cpus}", f"--temp-dir={folder}"]
        command += ["--node-ip-address=127.0.0.1", "--object-store-memory=100000000"]
        command += [f"--{name}={port}" for name, port in ports.items()]
        with (Path(folder) / "start.log").open("w+") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            try:
                _wait_until_up(address, auth["RAY_AUTH_TOKEN"], process, Path(log.name))
                yield Head(address=address, environment=environment)
            finally:
                _stop(process)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _wait_until_up(address: str, token: str, process: subprocess.Popen, log: Path) -> None:
    request = urllib.request.Request(f"{address}/api/jobs/", headers={"Authorization": f"Bearer {token}"})
    for _ in range(240):
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(request, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise RuntimeError(f"the head did not come up:\n{log.read_text()}")


def _stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        head = psutil.Process(process.pid)
        left = [head, *head.children(recursive=True)]
        for end in (psutil.Process.terminate, psutil.Process.kill):
            for each in left:
                with suppress(psutil.NoSuchProcess):
                    end(each)
            _, left = psutil.wait_procs(left, timeout=3)
    process.wait(timeout=10)
