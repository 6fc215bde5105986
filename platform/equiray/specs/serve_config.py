"""serve/config.yaml: Ray Serve's own file format, and in it one application of ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equiray.errors import BadInput
from equiray.specs.documents import read_mapping
from equiray.specs.serving import ServeSpec, serve_spec

_PATHS = ("bundle", "shadow", "fallback")
_PATHS_OR_NAMES = ("base", "policy")
_AUDIT_PATHS = ("secrets", "checkpoints")
_SQLITE = "sqlite:///"


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """A config file whose paths have been made absolute: replicas run in folders of their own.

    Attributes
    ----------
    path : Path
    document : mapping
        As Ray Serve reads it.
    args : mapping
        Arguments of our application.
    spec : ServeSpec
        The same, read.
    host, port
        Where HTTP is bound.
    """

    path: Path
    document: Mapping[str, Any]
    args: Mapping[str, Any]
    spec: ServeSpec
    host: str
    port: int


def load_serve_config(path: Path, import_path: str) -> ServeConfig:
    """Read a config file.

    Raises
    ------
    BadInput
        It is none, or has not exactly one application of this import path, or that one's arguments are wrong.
    """
    document = read_mapping(path, "serve config")
    applications = document.get("applications")
    ours = [
        each
        for each in (applications if isinstance(applications, list) else ())
        if isinstance(each, dict) and each.get("import_path") == import_path
    ]
    if len(ours) != 1:
        problem = f"{len(ours)} applications with `import_path: {import_path}`"
        raise BadInput(problem, place=f"{path}, applications", fix="serve/config.yaml shows one")
    place = f"{path}, applications.args"
    args = ours[0].get("args")
    if not isinstance(args, dict):
        raise BadInput("no arguments", place=place, fix="docs/contracts/serve.yaml lists them")
    ours[0]["args"] = args = _absolute(args, Path.cwd())
    http = document.setdefault("http_options", {})
    if not isinstance(http, dict):
        raise BadInput(f"not a mapping: {http!r}", place=f"{path}, http_options", fix="give host and port")
    host, port = http.setdefault("host", "127.0.0.1"), http.setdefault("port", 8000)
    if not isinstance(host, str) or type(port) is not int or not 0 <= port < 2**16:
        raise BadInput(f"host {host!r}, port {port!r}", place=f"{path}, http_options", fix="port: 8000")
    return ServeConfig(
        path=path, document=document, args=args, spec=serve_spec(args, place=place), host=host, port=port
    )


def _absolute(args: Mapping[str, Any], here: Path) -> dict[str, Any]:
    found = dict(args)
    for name in _PATHS:
        if isinstance(found.get(name), str):
            found[name] = str(here / Path(found[name]).expanduser())
    for name in _PATHS_OR_NAMES:
        if isinstance(found.get(name), str) and (here / found[name]).exists():
            found[name] = str(here / found[name])
    if isinstance(found.get("chat"), dict):
        found["chat"] = _absolute(found["chat"], here)
    if isinstance(found.get("audit"), dict):
        audit = dict(found["audit"])
        for name in _AUDIT_PATHS:
            if isinstance(audit.get(name), str):
                audit[name] = str(here / Path(audit[name]).expanduser())
        store = audit.get("store")
        if isinstance(store, str) and store.startswith(_SQLITE) and not store.startswith(f"{_SQLITE}/"):
            audit["store"] = f"{_SQLITE}{here / store.removeprefix(_SQLITE)}"
        found["audit"] = audit
    return found
