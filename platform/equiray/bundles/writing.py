"""`write_bundle`: a directory that appears whole or not at all."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equiray import __version__
from equiray.bundles.files import listed, may_enter, record_of
from equiray.bundles.manifest import MANIFEST, SUFFIXES, Manifest, Parts, Provenance
from equiray.errors import BadInput, writing


@dataclass(frozen=True, kw_only=True)
class Content:
    """What goes into a bundle.

    Attributes
    ----------
    parts : Parts
        Names the folders and documents below.
    folders : mapping from name to Path
        Copied, under that name.
    documents : mapping from name to JSON document
        Written beside them.
    """

    parts: Parts
    folders: Mapping[str, Path] = field(default_factory=dict)
    documents: Mapping[str, Any] = field(default_factory=dict)


def write_bundle(out: Path, name: str, content: Content, provenance: Provenance) -> Manifest:
    """Write a bundle to a directory that is not there yet, or is empty.

    Parameters
    ----------
    out : Path
    name : str
        What the bundle is called.
    content : Content
    provenance : Provenance

    Raises
    ------
    BadInput
        `out` has something in it, or a file is of another format than those of `SUFFIXES`, is a link, or is absent.
    Incomplete
        The disk is full or not writable; nothing is left behind.
    """
    check_new(out)
    sources = {f"{folder}/{file}": path for folder, of in content.folders.items() for file, path in _files(of).items()}
    scratch = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with writing(out):
            for file, path in sources.items():
                (scratch / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, scratch / file)
            for file, document in content.documents.items():
                _write_json(scratch / file, document)
            manifest = Manifest(
                schema="equiray.bundle/1",
                name=name,
                created_by=f"equiray {__version__}",
                parts=content.parts,
                files={file: record_of(path) for file, path in listed(scratch).items()},
                provenance=provenance,
            )
            _write_json(scratch / MANIFEST, manifest.model_dump(mode="json", by_alias=True))
            scratch.replace(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return manifest


def check_new(out: Path) -> None:
    """Raise BadInput where a bundle cannot be written to `out`, for something is there."""
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise BadInput("it is there already, and not empty", place=str(out), fix="name a new directory with --out")


def _files(folder: Path) -> dict[str, Path]:
    found = listed(folder)
    if not found:
        raise BadInput("no files there", place=str(folder), fix="name the folder that the training wrote")
    for name, path in found.items():
        if path.is_symlink() or not path.is_file():
            raise BadInput("no plain file: a bundle holds no links", place=str(path), fix="put the file itself there")
        if not may_enter(name):
            raise BadInput(
                f"{path.suffix or path.name!r} may not enter a bundle, which holds {', '.join(SUFFIXES)} alone",
                place=str(path),
                fix="save weights as safetensors, and remove what is no part of the model",
            )
    return found


def _write_json(file: Path, document: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
