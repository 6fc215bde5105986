"""`verify_bundle`: whether a bundle is what its manifest says, and its parts belong together; nothing is loaded."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from equiray.bundles.files import leaves, listed, may_enter, record_of
from equiray.bundles.manifest import MANIFEST, SCHEMA, SUFFIXES, FairNetPart, Manifest
from equiray.errors import BadInput
from equiray.specs.documents import as_bad_input


def read_manifest(bundle: Path) -> Manifest:
    """The manifest of a bundle; no other file is looked at.

    Raises
    ------
    BadInput
        There is no bundle, or its manifest is none, or of a schema that this version cannot read.
    """
    file = bundle / MANIFEST
    fix = "copy the bundle again, or make it again with `equiray bundle`"
    if file.is_symlink():
        raise BadInput("a link: a bundle holds plain files alone", place=str(file), fix=fix)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        said = f"no bundle there: {error.strerror}"
        raise BadInput(said, place=str(file), fix="name a directory that `equiray bundle` wrote") from error
    except ValueError as error:
        raise BadInput(f"no JSON: {error}", place=str(file), fix=fix) from error
    schema = document.get("schema") if isinstance(document, dict) else type(document).__name__
    if schema != SCHEMA:
        newer = f"this version of equiray reads {SCHEMA}: bundle again with it"
        raise BadInput(f"schema {schema!r} is not {SCHEMA}", place=str(file), fix=newer)
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        raise as_bad_input(error, str(file), "manifest", fix) from error


def version_of(bundle: Path) -> str:
    """The name of a bundle with the beginning of its manifest's sha256, which names all that it holds.

    Raises
    ------
    BadInput
        As `read_manifest`.
    """
    return f"{read_manifest(bundle).name}@{record_of(bundle / MANIFEST).sha256[:12]}"


def verify_bundle(bundle: Path) -> list[str]:
    """Compare a bundle with its manifest.

    Parameters
    ----------
    bundle : Path

    Returns
    -------
    list of str
        One line for each file that is missing, altered, added, a link, of a format that may not stand in a bundle, or
        whose path leaves it, and for each part that is not there or contradicts another; empty when all is well. A
        manifest that cannot be read is the one problem that there is.

    Raises
    ------
    BadInput
        There is no manifest.
    """
    if not (bundle / MANIFEST).exists() and not (bundle / MANIFEST).is_symlink():
        read_manifest(bundle)
    try:
        manifest = read_manifest(bundle)
    except BadInput as error:
        return [f"manifest: {MANIFEST}: {error.problem}"]
    problems = [*_files(bundle, manifest), *_named_parts(manifest)]
    return problems or list(_contradictions(bundle, manifest))


def _files(bundle: Path, manifest: Manifest) -> Iterator[str]:
    found = {name: path for name, path in listed(bundle).items() if name != MANIFEST}
    for name in sorted(manifest.files.keys() | found.keys()):
        recorded, path = manifest.files.get(name), found.get(name)
        if recorded is not None and leaves(name):
            yield f"leaves the bundle: {name}"
        elif path is not None and (path.is_symlink() or not path.is_file()):
            yield f"no plain file: {name}"
        elif not may_enter(name):
            yield f"format: {name} (a bundle holds {', '.join(SUFFIXES)} alone)"
        elif recorded is None:
            yield f"added: {name} (not in the manifest)"
        elif path is None:
            yield f"missing: {name} (recorded with {recorded.bytes:,} bytes)"
        elif (now := record_of(path)) != recorded:
            yield f"altered: {name} (sha256 {now.sha256}, recorded {recorded.sha256})"


def _named_parts(manifest: Manifest) -> Iterator[str]:
    for part, name in manifest.parts.named.items():
        if leaves(name):
            yield f"leaves the bundle: part {part} names {name}"
        elif not any(file == name or file.startswith(f"{name}/") for file in manifest.files):
            yield f"missing: part {part} names {name}, which is no file of the manifest"


def _contradictions(bundle: Path, manifest: Manifest) -> Iterator[str]:
    """What parts say of each other; files are what the manifest says by now."""
    parts = manifest.parts
    base, fairnet, unlearning, reward = parts.base, parts.fairnet, parts.unlearning, parts.reward
    if base is not None and fairnet is not None:
        yield from _told(
            bundle, f"{fairnet.folder}/fairnet.json", lambda about: _of_fairnet(fairnet, about, base.identity)
        )
    if base is not None and unlearning is not None:
        file = f"{unlearning.folder}/unlearning.json"
        yield from _told(bundle, file, lambda about: _of_base("unlearning", about["base_identity"], base.identity))
    if reward is not None:
        file = f"{reward.folder}/reward.json"
        yield from _told(bundle, file, lambda about: _of_base("reward", about["base_identity"], reward.base.identity))


def _told(bundle: Path, file: str, compare: Callable[[Any], Iterable[str]]) -> list[str]:
    """What comparing a part's own document with the manifest shows."""
    try:
        return list(compare(json.loads((bundle / file).read_text(encoding="utf-8"))))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"contradiction: {file} is no document of such a part ({type(error).__name__})"]


def _of_fairnet(part: FairNetPart, about: Any, base: str) -> Iterator[str]:
    yield from _of_base("fairnet", about["backbone"]["identity"], base)
    kept = {name: float(gate["threshold"]) for name, gate in about["attributes"].items()}
    if kept != part.thresholds:
        yield f"contradiction: thresholds are {part.thresholds} in the manifest, {kept} in {part.folder}/fairnet.json"


def _of_base(part: str, trained_on: object, base: str) -> Iterator[str]:
    if trained_on != base:
        yield f"contradiction: part {part} was trained on {trained_on!s:.16}, the base is {base:.16}"


def no_reward(bundle: Path) -> BadInput:
    """What is said of a bundle that is asked to chat and has no reward model."""
    fix = "bundle a finished run of chains: equiray bundle runs/chains --pick bbq --out DIR"
    return BadInput("the bundle answers no chats: it has no reward model", place=str(bundle), fix=fix)
