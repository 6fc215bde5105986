"""``evidence.json``: the sha256 of every file of a run, and what made it, so that a reader can tell if either changed.

The manifest guards against accident and quiet edits. It carries no signature: who can rewrite a file can rewrite
the manifest too, so keep a copy of its own sha256 where the run's author cannot reach it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from equiray.errors import BadInput
from equiray.reports.environment import describe_environment

EVIDENCE_NAME = "evidence.json"


class FileEvidence(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    bytes: int


class EvidenceFile(BaseModel):
    """``evidence.json`` (docs/contracts/evidence.json)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal["equiray.evidence/1"] = Field(alias="schema")
    spec_sha256: str
    seeds: dict[str, int]
    environment: dict[str, Any]
    files: dict[str, FileEvidence]


def write_evidence(run_dir: Path, *, seeds: Mapping[str, int], spec_sha256: str) -> Path:
    """Write the manifest of a run directory; replaces an earlier one in a single step.

    Parameters
    ----------
    run_dir : Path
        Every regular file below it is hashed, but for the manifest itself and hidden files: the lock of who is
        writing there, and what a killed run left half written.
    seeds : mapping of str to int
        What each seed was used for -> the seed.
    spec_sha256 : str
        Content hash of the run's spec (`RunSpec.sha256`).

    Returns
    -------
    Path
        ``run_dir / "evidence.json"``.

    Raises
    ------
    BadInput
        The directory is absent.
    """
    if not run_dir.is_dir():
        raise BadInput("no such run directory", place=str(run_dir), fix="name a directory that `equiray run` wrote")
    manifest = {
        "schema": "equiray.evidence/1",
        "spec_sha256": spec_sha256,
        "seeds": dict(seeds),
        "environment": run_environment(run_dir),
        "files": {name: file.model_dump() for name, file in _hash_files(run_dir).items()},
    }
    path = run_dir / EVIDENCE_NAME
    draft = path.with_suffix(".json.part")
    draft.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
    return path


def run_environment(run_dir: Path) -> dict[str, Any]:
    """The environment that made the run's results, which need not be the one that reports on them.

    An existing manifest is believed as long as it records the present ``results.json``; else this process is
    described.
    """
    results = run_dir / "results.json"
    try:
        known = read_evidence(run_dir)
        if results.is_file() and known.files["results.json"].sha256 == _sha256(results):
            return known.environment
    except (BadInput, KeyError):
        pass
    return describe_environment()


def read_evidence(run_dir: Path) -> EvidenceFile:
    """The manifest of a run.

    Raises
    ------
    BadInput
        It is absent or does not follow its contract.
    """
    path = run_dir / EVIDENCE_NAME
    try:
        return EvidenceFile.model_validate_json(path.read_bytes())
    except OSError as error:
        fix = "run `equiray report` on the directory, which writes the manifest"
        raise BadInput(f"no readable manifest: {error.strerror}", place=str(path), fix=fix) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "document"
        fix = "restore the manifest from a copy; a new one would vouch for the files as they are now"
        raise BadInput(f"not a manifest: {where}: {first['msg']}", place=str(path), fix=fix) from error


def verify_evidence(run_dir: Path) -> list[str]:
    """Compare a run directory with its manifest.

    Returns
    -------
    list of str
        One line per file that was altered, is missing, or was added since, sorted by path; empty when all agree.

    Raises
    ------
    BadInput
        There is no manifest, or it does not follow its contract.
    """
    recorded, found = read_evidence(run_dir).files, _hash_files(run_dir)
    problems = []
    for name in sorted(recorded.keys() | found.keys()):
        if name not in found:
            problems.append(f"missing: {name} (recorded with {recorded[name].bytes} bytes)")
        elif name not in recorded:
            problems.append(f"added: {name} ({found[name].bytes} bytes, not in the manifest)")
        elif found[name] != recorded[name]:
            problems.append(f"altered: {name} (sha256 {found[name].sha256}, recorded {recorded[name].sha256})")
    return problems


def _hash_files(run_dir: Path) -> dict[str, FileEvidence]:
    ours = {run_dir / EVIDENCE_NAME, run_dir / (EVIDENCE_NAME + ".part")}
    files = sorted(p for p in run_dir.rglob("*") if p.is_file() and p not in ours and not p.name.startswith("."))
    return {
        path.relative_to(run_dir).as_posix(): FileEvidence(sha256=_sha256(path), bytes=path.stat().st_size)
        for path in files
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
