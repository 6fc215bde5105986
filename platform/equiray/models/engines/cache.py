"""Completions on disk, each under what it depends on: engine, messages, sampling, seed, index. None is sampled twice.

    <directory>/<engine>/identity.json     which engine wrote what lies there
    <directory>/<engine>/<shard>.jsonl     one completion a line, appended as it is finished

Every writer has a shard of its own, so processes and nodes need no lock between them, and what a killed process tore
is at its shard's end: a line without its newline is not read, and nothing is ever written behind it.
"""

import errno
import hashlib
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from equiray.errors import BadInput, Incomplete, writing
from equiray.models.engines.protocol import Generator, Identity
from equiray.models.engines.records import Completion, Request, Sampling

_log = logging.getLogger(__name__)


class Kept(NamedTuple):
    """How many of the completions that are asked for are there, and their tokens."""

    completions: int
    tokens: int


def request_key(request: Request, sampling: Sampling) -> str:
    """Content address of what is asked: messages and sampling; not the request's name, nor how many are wanted."""
    asked = {"messages": [[m.role, m.content] for m in request.messages], "sampling": asdict(sampling)}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


class CompletionCache:
    """One engine's completions; safe to share between threads, processes and nodes that see the directory.

    Parameters
    ----------
    directory : Path
        Of all engines.
    identity : Identity
        Of this one.

    Raises
    ------
    Incomplete
        The directory cannot be written to.
    """

    def __init__(self, directory: Path, identity: Identity) -> None:
        self.folder = directory / identity.sha256[:24]
        named = self.folder / "identity.json"
        with writing(named):
            self.folder.mkdir(parents=True, exist_ok=True)
            if not named.exists():
                scratch = named.with_name(f".{uuid.uuid4().hex}.tmp")
                scratch.write_text(json.dumps(asdict(identity), indent=1) + "\n", encoding="utf-8")
                scratch.replace(named)
        self._kept: dict[str, dict[int, Completion]] = {}
        self._read: dict[str, int] = {}
        self._shard: int | None = None
        self._lock = threading.Lock()

    def missing(self, requests: Sequence[Request], sampling: Sampling) -> list[Request]:
        """What an engine has still to write: each content once, without what is there.

        Raises
        ------
        BadInput
            Two requests have one name.
        """
        self._refresh()
        _check_names(requests)
        distinct: dict[str, Request] = {}
        for request in requests:
            key = request_key(request, sampling)
            before = distinct.get(key)
            if before is None or before.n < request.n:
                skip = frozenset(self._kept.get(key, ()))
                distinct[key] = replace(before or request, n=request.n, skip=skip)
        return [request for request in distinct.values() if request.wanted]

    def add(self, request: Request, sampling: Sampling, completion: Completion) -> None:
        """Keep a completion; when this returns, it outlives this process.

        Raises
        ------
        Incomplete
            The disk is full or not writable; what was kept before stays.
        """
        key = request_key(request, sampling)
        record = asdict(completion) | {"request_id": key}
        with self._lock, writing(self.folder):
            try:
                self._append(json.dumps(record).encode() + b"\n")
            except OSError:
                self._shard = None  # its end may be torn: the next line begins a shard of its own
                raise
            self._kept.setdefault(key, {}).setdefault(completion.index, completion)

    def completions(self, requests: Sequence[Request], sampling: Sampling) -> list[tuple[Completion, ...]]:
        """Each request's completions 0 to n - 1.

        Raises
        ------
        Incomplete
            Some are missing.
        """
        self._refresh()
        found = []
        for request in requests:
            kept = self._kept.get(request_key(request, sampling), {})
            lacking = [index for index in range(request.n) if index not in kept]
            if lacking:
                raise Incomplete(
                    f"{len(lacking)} of {request.n} completions of request {request.request_id!r} are missing\n"
                    f"  where: {self.folder}\n  fix:   run the command that samples again: what is there is kept"
                )
            named = (replace(kept[index], request_id=request.request_id) for index in range(request.n))
            found.append(tuple(named))
        return found

    def kept(self, requests: Sequence[Request], sampling: Sampling) -> Kept:
        """How far it is."""
        self._refresh()
        counted = [
            completion.tokens
            for request in requests
            for index, completion in self._kept.get(request_key(request, sampling), {}).items()
            if index < request.n
        ]
        return Kept(len(counted), sum(counted))

    def _append(self, line: bytes) -> None:
        if self._shard is None:
            # names in the order of time: of two completions that two runs wrote at once, all readers take the same
            name = self.folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}.jsonl"
            self._shard = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        if os.write(self._shard, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _refresh(self) -> None:
        """Read what this and other processes have added."""
        with self._lock:
            for shard in sorted(self.folder.glob("*.jsonl")):
                for record in self._new_records(shard):
                    key = record["request_id"]
                    self._kept.setdefault(key, {}).setdefault(record["index"], Completion(**record))

    def _new_records(self, shard: Path) -> Iterator[dict[str, Any]]:
        with shard.open("rb") as file:
            file.seek(self._read.get(shard.name, 0))
            for line in file:
                if not line.endswith(b"\n"):
                    return  # torn, or being written
                self._read[shard.name] = self._read.get(shard.name, 0) + len(line)
                try:
                    record = json.loads(line)
                    if set(record) != _FIELDS:
                        raise ValueError(f"fields {sorted(record)}")
                    yield record
                except (ValueError, TypeError) as error:
                    _log.warning("%s holds a broken line (%s): that completion is sampled again", shard, error)


_FIELDS = set(Completion.__dataclass_fields__)


def write_missing(
    engine: Generator, cache: CompletionCache, requests: Sequence[Request], sampling: Sampling
) -> Iterator[Completion]:
    """Let an engine write what is not there yet; each completion is kept before it is handed on."""
    asked = {request.request_id: request for request in cache.missing(requests, sampling)}
    for completion in engine.generate(list(asked.values()), sampling):
        cache.add(asked[completion.request_id], sampling, completion)
        yield completion


def _check_names(requests: Sequence[Request]) -> None:
    names = [request.request_id for request in requests]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInput(
            f"request id {twice!r} is there twice",
            place="the requests to be completed",
            fix="give each request a name of its own; equal contents are sampled once all the same",
        )
