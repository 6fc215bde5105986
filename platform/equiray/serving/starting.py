"""The application on Ray, started and stopped by one process; its config file is watched for live settings."""

import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve._private.api import serve_start
from ray.serve._private.common import DeploymentStatus
from ray.serve.schema import ApplicationStatus, ServeDeploySchema

from equiray.errors import BadInput, Incomplete
from equiray.serving.application import application
from equiray.serving.audit.keys import ensure_key
from equiray.serving.guard.keys import KeyStore
from equiray.serving.guard.limiter import stop_limiter
from equiray.serving.guard.start_modes import check_start_modes
from equiray.serving.live import check_live
from equiray.specs.serve_config import ServeConfig, load_serve_config

_START_S, _POLL_S = 600.0, 0.5
_FAILED = (DeploymentStatus.DEPLOY_FAILED, DeploymentStatus.UNHEALTHY)
_IMPORT_PATH = "equiray.serving:build"
_RAISED = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|BadInput|Incomplete)\b")


@dataclass(frozen=True, kw_only=True)
class Started:
    """An application that answers."""

    config: ServeConfig
    url: str
    models: str
    keys: int
    client: Any
    changes: Mapping[str, Any]

    def wait(self) -> None:
        """Stay until interrupted; settings that change in the config file are taken over."""
        seen = _stamp(self.config.path)
        while True:
            time.sleep(_POLL_S)
            now = _stamp(self.config.path)
            if now == seen:
                continue
            seen = now
            try:
                config = load_serve_config(self.config.path, _IMPORT_PATH)
                application(config.args)
                check_live(config, _IMPORT_PATH)
                self.client.deploy_apps(_schema(config, self.changes))
                print("settings taken from the config file", flush=True)
            except (BadInput, ValueError) as error:
                print(f"the config file is not taken: {error}", flush=True)


@contextmanager
def serving(config: ServeConfig, *, host: str, port: int) -> Iterator[Started]:
    """Serve on the Ray cluster that this process is in, for as long as the context lasts.

    Raises
    ------
    Incomplete
        The application did not come up.
    """
    port = port or _free_port(host)
    changes = {"host": host, "port": port}
    client = serve_start(http_options=changes, proxy_location="HeadOnly")
    try:
        client.deploy_apps(_schema(config, changes))
        _wait_until_running(client)
        yield Started(
            config=config,
            url=f"http://{host}:{port}",
            models=" and ".join(
                each for each in (config.spec.bundle, config.spec.chat and config.spec.chat.bundle) if each
            ),
            keys=_count_keys(config.spec.audit.store),
            client=client,
            changes=changes,
        )
    finally:
        serve.shutdown()
        stop_limiter(config.spec.audit.store)  # last: a request before it would start another


def check_start(config: ServeConfig, *, host: str, port: int, remote: bool, environ: Mapping[str, str]) -> None:
    """What is wrong is said before anything starts, and not in a worker's log.

    Raises
    ------
    BadInput
        A mode that bypasses the guard, a bundle, a database or a key that cannot be used, a port that is taken.
    """
    check_start_modes(environ, host, remote=remote)
    application(config.args)
    check_live(config, _IMPORT_PATH)
    for name in ("audit", "checkpoint"):
        ensure_key(name, Path(config.spec.audit.secrets))
    _make_folder_of(config.spec.audit.store)
    _count_keys(config.spec.audit.store)
    if port:
        _check_free(host, port)


def _count_keys(store: str) -> int:
    keys = KeyStore.open(store)
    try:
        return len(keys.list())
    finally:
        keys.close()


def _schema(config: ServeConfig, changes: Mapping[str, Any]) -> ServeDeploySchema:
    document = dict(config.document)
    document["http_options"] = {**document.get("http_options", {}), **changes}
    return ServeDeploySchema.model_validate(document)


def _wait_until_running(client: Any) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        states = client.list_serve_statuses()
        if states and all(state.app_status.status == ApplicationStatus.RUNNING for state in states):
            return
        for state in states:
            if state.app_status.status in (ApplicationStatus.DEPLOY_FAILED, ApplicationStatus.UNHEALTHY):
                raise Incomplete(f"the application did not start: {_reason(state)}")
        time.sleep(_POLL_S)
    raise Incomplete(f"the application did not start within {_START_S:g} s")


def _reason(state: Any) -> str:
    """What the deployments that failed raised, else what Ray Serve says of the whole."""
    failed = [each for each in state.deployment_statuses if each.status in _FAILED]
    said = [f"{each.name}: {_exception_in(each.message)}" for each in failed]
    return "; ".join(said) or _exception_in(state.app_status.message) or str(state.app_status.status)


def _exception_in(message: str) -> str:
    """Of a traceback, the exception, with all that it says."""
    lines = [line for line in message.splitlines() if line.strip()]
    raised = [place for place, line in enumerate(lines) if _RAISED.match(line)]
    return "; ".join(" ".join(line.split()) for line in lines[raised[-1] :]) if raised else (lines or [""])[-1].strip()


def _make_folder_of(store: str) -> None:
    """SQLite makes a file, and no folder."""
    if store.startswith("sqlite:////"):
        folder = Path(store.removeprefix("sqlite:///")).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fix = "name a folder that can be made and written"
            raise BadInput(f"{folder}: {error.strerror}", place="audit.store", fix=fix) from error


def _check_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((host, port))
        except OSError as error:
            place = f"host {host}, port {port}"
            raise BadInput(f"cannot bind: {os.strerror(error.errno or 0)}", place=place, fix="--port 0") from error


def _free_port(host: str) -> int:
    with socket.socket() as asked:
        asked.bind((host, 0))
        return asked.getsockname()[1]


def _stamp(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
