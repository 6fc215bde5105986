"""Live settings of a config file, checked before Ray Serve sees them.

A replica that cannot take its `user_config` is ended by Ray Serve, and so is every one that it starts instead: a
mistyped name would stop the service.
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from equiray.bundles.checking import read_manifest
from equiray.errors import BadInput
from equiray.specs.documents import Document, as_bad_input
from equiray.specs.serve_config import ServeConfig
from equiray.specs.serving import LiveChatSpec, LiveSpec

_KINDS: dict[str, type[Document]] = {
    "Decider": LiveSpec,
    "Shadow": LiveSpec,
    "Fallback": LiveSpec,
    "Chat": LiveChatSpec,
}


def check_live(config: ServeConfig, import_path: str) -> None:
    """Refuse a `user_config` that a replica would refuse.

    Raises
    ------
    BadInput
        A key or a value that cannot be, a gate that the bundle does not have, or a deployment that there is not.
    """
    spec = config.spec
    bundles = {"Decider": spec.bundle, "Shadow": spec.shadow, "Fallback": spec.fallback}
    (ours,) = [each for each in config.document["applications"] if each.get("import_path") == import_path]
    there = ["Gateway", "Watch", *(name for name, path in bundles.items() if path), *(["Chat"] if spec.chat else [])]
    for deployment in ours.get("deployments", ()):
        name, given = deployment.get("name"), deployment.get("user_config")
        if name not in there:
            fix = f"there are {', '.join(there)}"
            raise BadInput(f"no deployment is called {name!r}", place=f"{config.path}, deployments", fix=fix)
        if name in _KINDS and given is not None:
            place = f"{config.path}, user_config of {name}"
            live = _read(_KINDS[name], given, place)
            bundle = bundles.get(name)
            if isinstance(live, LiveSpec) and live.gates and bundle is not None:
                _check_gates(live, Path(bundle), place)


def _read(kind: type[Document], given: Any, place: str) -> Document:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise as_bad_input(error, place, "user_config") from error


def _check_gates(live: LiveSpec, bundle: Path, place: str) -> None:
    part = read_manifest(bundle).parts.fairnet
    known = () if part is None else tuple(part.thresholds)
    if unknown := [name for name in live.gates if name not in known]:
        fix = f"the bundle has {', '.join(known)}" if known else "the bundle has no gates"
        raise BadInput(f"no gate is called {unknown[0]!r}", place=f"{place}, gates", fix=fix)
