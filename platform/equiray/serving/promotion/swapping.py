"""The config file with `bundle` and `shadow` in each other's place; every other character stays."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from equiray.errors import BadInput, writing
from equiray.specs.serve_config import ServeConfig, load_serve_config
from equiray.specs.serving import ServeSpec

_FALLBACK = "bundle, shadow and fallback"
_BY_HAND = "change the two lines by hand"


@contextmanager
def swapped(config: ServeConfig, import_path: str, *, keep_fallback: bool) -> Iterator[None]:
    """Prepare the changed file, and put it in the former one's place when the context ends without an error.

    Parameters
    ----------
    config : ServeConfig
        As it was when the bundles were compared.
    import_path : str
        Of our application in it.
    keep_fallback : bool
        The former bundle becomes the `fallback`, too, in place of the one that the file names.

    Raises
    ------
    BadInput
        The file has changed meanwhile, or cannot be changed by these lines alone.
    Incomplete
        It cannot be written; then it is as it was.
    """
    file = config.path.resolve()  # a link stays a link
    text = file.read_text(encoding="utf-8")
    changed = _swapped_text(text, str(config.path), import_path, keep_fallback=keep_fallback)
    with writing(file):
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    new = Path(name)
    try:
        with writing(file), os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            os.fchmod(out.fileno(), file.stat().st_mode & 0o7777)
            out.write(changed)
            out.flush()
            os.fsync(out.fileno())
        _check(load_serve_config(new, import_path).spec, config, keep_fallback=keep_fallback)
        yield
        with writing(file):
            new.replace(file)
    finally:
        new.unlink(missing_ok=True)


def check_can_swap(config: ServeConfig, import_path: str, *, keep_fallback: bool) -> None:
    """Raise BadInput where `swapped` would, before a look is spent."""
    text = config.path.read_text(encoding="utf-8")
    _swapped_text(text, str(config.path), import_path, keep_fallback=keep_fallback)


def _swapped_text(text: str, place: str, import_path: str, *, keep_fallback: bool) -> str:
    args = _args_node(yaml.compose(text, Loader=yaml.SafeLoader), import_path)
    values = {key.value: value for key, value in args.value}
    bundle, shadow = (_scalar(values.get(name), name, place) for name in ("bundle", "shadow"))
    edits = [(bundle, _written(text, shadow)), (shadow, _written(text, bundle))]
    if keep_fallback:
        if "fallback" not in values:
            fix = "add `fallback: BUNDLE` and `on_fail: {do: fall_back}`, which need each other, or leave it out"
            raise BadInput("--keep-fallback, and the config names no `fallback`", place=place, fix=fix)
        edits.append((_scalar(values["fallback"], "fallback", place), _written(text, bundle)))
    for node, new in sorted(edits, key=lambda edit: -edit[0].start_mark.index):
        text = text[: node.start_mark.index] + new + text[node.end_mark.index :]
    return text


def _written(text: str, node: yaml.ScalarNode) -> str:
    return text[node.start_mark.index : node.end_mark.index]


def _scalar(node: Any, name: str, place: str) -> yaml.ScalarNode:
    if not isinstance(node, yaml.ScalarNode) or node.start_mark.line != node.end_mark.line:
        raise BadInput(f"`{name}` is no value on one line", place=place, fix=_BY_HAND)
    return node


def _args_node(document: Any, import_path: str) -> Any:
    """Where the arguments of our application stand; `load_serve_config` has found them there."""
    applications = _value(document, "applications")
    (ours,) = [each for each in applications.value if getattr(_value(each, "import_path"), "value", "") == import_path]
    return _value(ours, "args")


def _value(node: Any, name: str) -> Any:
    return next((value for key, value in node.value if key.value == name), None)


def _check(now: ServeSpec, before: ServeConfig, *, keep_fallback: bool) -> None:
    was = before.spec
    changes = {"bundle": was.shadow, "shadow": was.bundle} | ({"fallback": was.bundle} if keep_fallback else {})
    if now != was.model_copy(update=changes):
        problem = (
            f"it would not say what it says now with {_FALLBACK if keep_fallback else 'bundle and shadow'} swapped"
        )
        raise BadInput(problem, place=str(before.path), fix=f"it changed meanwhile, or uses anchors: {_BY_HAND}")
