"""`equiray serve` as a process of its own: Ray, its proxy, its replicas, a store, a port."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from bundles_made import equiray, fairnet_run
from equiray.serving.audit import Verification, verify_log
from equiray.serving.audit.keys import ensure_key
from equiray.serving.guard.keys import REFRESH_S, KeyStore

BIN = Path(sys.executable).parent
START_S = 300
ROLES = {  # a process is named after its class, and while it works after its actor
    "gateway": r"ray::(ServeReplica:equiray:Gateway|SERVE_REPLICA::equiray#Gateway#)",
    "decider": r"ray::(ServeReplica:equiray:Decider|SERVE_REPLICA::equiray#Decider#)",
    "watch": r"ray::(ServeReplica:equiray:Watch|SERVE_REPLICA::equiray#Watch#)",
    "proxy": r"ray::(ProxyActor|SERVE_PROXY_ACTOR)",
}


def small_bundle(folder: Path) -> Path:
    """A FairNet's bundle, and beside it its run: `folder / "run"`."""
    run = fairnet_run(folder)
    assert equiray("bundle", run, "--pick", "seed0", "--out", folder / "bundle") == 0
    return folder / "bundle"


def config_of(bundle: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    """A config file's document; `changes` are of the application's arguments."""
    args = {
        "schema": "equiray.serve/1",
        "bundle": str(bundle),
        "audit": {
            "store": f"sqlite:///{folder}/store/equiray.db",
            "secrets": str(folder / "secrets"),
            "checkpoints": str(folder / "checkpoints"),
        },
    }
    application = {
        "name": "equiray",
        "route_prefix": "/",
        "import_path": "equiray.serving:build",
        "args": args | changes,
        "deployments": [{"name": "Decider", "user_config": {"threshold": None, "gates": {}}}],
    }
    return {
        "proxy_location": "HeadOnly",
        "http_options": {"host": "127.0.0.1", "port": 8000},
        "applications": [application],
    }


class Server:
    """A running `equiray serve`."""

    def __init__(self, process: subprocess.Popen[bytes], config: Path, log: Path, url: str) -> None:
        self.process, self.config, self.log, self.url = process, config, log, url
        self.audit: dict[str, str] = yaml.safe_load(config.read_text())["applications"][0]["args"]["audit"]
        self._keys = KeyStore.open(self.audit["store"])

    def secret(self, *scopes: str) -> str:
        """A fresh key, once every replica knows it."""
        _, made = self._keys.create(name="test", scopes=scopes)
        time.sleep(1.5 * REFRESH_S)
        return made

    def client(self, *scopes: str) -> httpx.Client:
        """With a fresh key."""
        headers = {"Authorization": f"Bearer {self.secret(*scopes)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=120)

    def configure(self, **live: Any) -> None:
        """Write other live settings into the config file."""
        document = yaml.safe_load(self.config.read_text())
        document["applications"][0]["deployments"][0]["user_config"] = live
        made = self.config.with_suffix(".new")
        made.write_text(yaml.safe_dump(document))
        made.replace(self.config)

    def pids(self, role: str) -> list[int]:
        """Processes of a role that live."""
        found = []
        for each in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if re.match(ROLES[role], " ".join(each.cmdline())) and each.status() != psutil.STATUS_ZOMBIE:
                    found.append(each.pid)
        return found

    def kill_9(self, role: str) -> None:
        """End every process of a role, without a word."""
        pids = self.pids(role)
        assert pids, f"no {role} runs"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def wait_until_ready(self, seconds: float = 120) -> None:
        """Return as soon as /readyz says so."""
        until(lambda: httpx.get(f"{self.url}/readyz", timeout=10).status_code == 200, "the service is back", seconds)

    def verify(self) -> Verification:
        """What the log looks like now, checkpoints included."""
        secrets = Path(self.audit["secrets"])
        return verify_log(
            self.audit["store"],
            key=ensure_key("audit", secrets),
            checkpoints=Path(self.audit["checkpoints"]),
            checkpoint_key=ensure_key("checkpoint", secrets),
        )


def until(done: Any, what: str, seconds: float = 60) -> None:
    """Wait for something; errors of the way to the server count as not yet."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(httpx.HTTPError):
            if done():
                return
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds:g} s: {what}")


@contextmanager
def running(bundle: Path, folder: Path, **changes: Any) -> Iterator[Server]:
    """Start a server on a free port; everything that it started ends with it."""
    config, log = folder / "serve.yaml", folder / "serve.log"
    config.write_text(yaml.safe_dump(config_of(bundle, folder, **changes)))
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as scratch, log.open("wb") as output:  # short: sockets
        process = subprocess.Popen(
            [str(BIN / "equiray"), "serve", str(config), "--port", "0"],
            env=os.environ | {"RAY_TMPDIR": scratch, "PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            server = Server(process, config, log, _url_said(process, log))
            server.wait_until_ready()
            yield server
        finally:
            _stop(process)


def _url_said(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"serving .* at (http://\S+);", log.read_text()):
            return found[1]
        time.sleep(0.3)
    raise AssertionError(f"`equiray serve` did not come up:\n{log.read_text()[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does; whatever is left after that is killed."""
    if process.poll() is not None:
        return
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=60)
    left = [each for each in started if each.is_running()]
    if process.poll() is None:
        left.append(psutil.Process(process.pid))
    for each in left:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(left, timeout=20)
    process.wait(timeout=20)
