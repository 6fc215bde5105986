"""Replies of an endpoint on disk, each under the sha256 of what was asked."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equiray.errors import writing


@dataclass(frozen=True)
class ReplyCache:
    """A directory of JSON files; safe to share between threads and processes."""

    directory: Path

    @staticmethod
    def key(base_url: str, body: Mapping[str, Any]) -> str:
        """Content address of a request: its URL and body, headers (the key) left out."""
        canonical = json.dumps([base_url.rstrip("/"), body], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def get(self, key: str) -> dict[str, Any] | None:
        """The reply kept under a key; None if there is none, or only a torn one."""
        try:
            return json.loads(self._path(key).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def put(self, key: str, reply: Mapping[str, Any]) -> None:
        """Keep a reply; it appears whole or not at all.

        Raises
        ------
        Incomplete
            The disk is full or not writable; replies kept before stay.
        """
        path = self._path(key)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, scratch = tempfile.mkstemp(dir=path.parent, suffix=".part")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(reply, file, ensure_ascii=False)
                Path(scratch).replace(path)
            finally:
                Path(scratch).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.directory / key[:2] / f"{key}.json"
