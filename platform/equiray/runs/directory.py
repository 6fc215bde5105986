"""`RunDirectory`: where a run leaves what it made, and how a later run of the same spec finds it again."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pydantic import ValidationError
from rich.console import Console

from equiray.errors import BadInput, Incomplete, reading_back, writing
from equiray.runs.lock import LOCK_NAME, sole_writer
from equiray.runs.stored_spec import Spec
from equiray.specs.documents import read_mapping


@dataclass(frozen=True, kw_only=True)
class RunDirectory:
    """A directory that belongs to one spec.

    Files appear whole or not at all (written beside, then renamed), so that whatever a killed run left can be read
    and need not be made again.
    """

    path: Path
    console: Console

    @classmethod
    @contextmanager
    def open(cls, path: Path, spec: Spec) -> Iterator["RunDirectory"]:
        """Make the directory, or reopen the one that an unfinished run of the same spec left; no other process may
        write there until the block ends.

        Raises
        ------
        BadInput
            It holds another spec's run, or something else, or cannot be written, or another process is writing there.
        """
        _check_ours(path, spec)  # a folder of something else gets no file of ours, no lock either
        directory = cls(path=path, console=Console(stderr=True))
        document = yaml.safe_dump(spec.model_dump(mode="json", by_alias=True), sort_keys=False)
        with ExitStack() as held:
            try:
                path.mkdir(parents=True, exist_ok=True)
                held.enter_context(sole_writer(path))
                _check_ours(path, spec)  # who had the lock a moment ago may have left a run
                directory.write_text("spec.yaml", document)
            except (OSError, Incomplete) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]
                raise BadInput(
                    f"cannot write there: {reason}", place=str(path), fix="name a writable directory with --out"
                ) from error
            yield directory

    def hold_inputs(self, inputs: Mapping[str, str]) -> None:
        """Note what the run reads (name -> digest), or refuse to go on with something else.

        Raises
        ------
        BadInput
            An earlier part of the run read another table, model or template set under that name.
        """
        path = self.path / "inputs.json"
        with reading_back(path, fix="name a new directory with --out, or put the file back as it was"):
            before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        for name, digest in inputs.items():
            if before.get(name, digest) != digest:
                raise BadInput(
                    f"{name} has changed since this run began: it was {before[name][:16]}, it is {digest[:16]}",
                    place=str(path),
                    fix="name a new directory with --out, or put the former input back",
                )
        self.write_json("inputs.json", {**before, **inputs})

    def write_text(self, name: str, text: str) -> Path:
        """Write a file atomically."""
        with self.atomic(name) as scratch:
            scratch.write_text(text, encoding="utf-8")
        return self.path / name

    def write_json(self, name: str, document: Mapping[str, Any]) -> Path:
        """Write a JSON document atomically; NaN is refused, for no reader of JSON agrees on it."""
        return self.write_text(name, json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n")

    def write_table(self, name: str, table: pa.Table) -> Path:
        """Write a Parquet file atomically, with a checksum of every page."""
        with self.atomic(name) as scratch:
            pq.write_table(table, scratch, write_page_checksum=True)
        return self.path / name

    def read_table(self, name: str) -> pa.Table | None:
        """A Parquet file that an earlier run finished, None where there is none.

        One that is cut short or altered counts as none: it is renamed to ``*.corrupt``, which is said on the terminal,
        and the caller makes it again.

        Raises
        ------
        BadInput
            The system does not let us read it.
        Incomplete
            A broken file cannot be renamed.
        """
        path = self.path / name
        if not path.is_file():
            return None
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                return file.read()
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno:  # Arrow's own complaints about content carry no number
                raise BadInput(f"cannot read it: {error}", place=str(path), fix="make the file readable") from error
            with writing(path):
                path.replace(path.with_name(path.name + ".corrupt"))
            problem = str(error).splitlines()[0]
            self.say(f"{name} is corrupted ({problem}): kept as {path.name}.corrupt and made again")
            return None

    @contextmanager
    def atomic(self, name: str) -> Iterator[Path]:
        """A scratch path that becomes `name` when the block ends well.

        Raises
        ------
        Incomplete
            The disk is full or not writable; what was there before stays.
        """
        path = self.path / name
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                yield scratch
                scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step, and add its seconds to ``durations.json`` (a resumed step adds up)."""
        self.say(name)
        start = time.monotonic()
        try:
            yield
        finally:
            durations = self.durations()
            durations[name] = round(durations.get(name, 0.0) + time.monotonic() - start, 1)
            self.write_json("durations.json", durations)

    def durations(self) -> dict[str, float]:
        """Seconds spent in each step so far."""
        path = self.path / "durations.json"
        with reading_back(path, fix="remove it: seconds are counted anew"):
            return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def say(self, message: str) -> None:
        """One line of progress, with the time."""
        self.console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {message}", highlight=False)


def _check_ours(path: Path, spec: Spec) -> None:
    kept = path / "spec.yaml"
    if kept.is_file():
        try:
            same = type(spec).model_validate(read_mapping(kept, "spec")).sha256() == spec.sha256()
        except ValidationError:  # of an audit, say, where this is a run
            same = False
        if not same:
            raise BadInput(
                "the directory holds the run of another spec", place=str(kept), fix="name a new directory with --out"
            )
    elif path.exists() and (not path.is_dir() or any(map(_is_foreign, path.iterdir()))):
        raise BadInput("it exists and is no run directory", place=str(path), fix="name a new directory with --out")


def _is_foreign(entry: Path) -> bool:
    """Whether a file is none that a run leaves when it is killed before its spec is written."""
    return entry.name != LOCK_NAME and not entry.name.startswith(".spec.yaml.")
