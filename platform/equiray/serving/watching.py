"""The one live monitor: it reads the audit log behind the requests, which wait for nothing.

Notable: it is a fold over the log, so whatever it missed while it was away it reads when it is back. Snapshots only
save it the way from the first record.
"""

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from equiray.bundles.checking import read_manifest, version_of
from equiray.bundles.manifest import GateEvidence
from equiray.bundles.serializers import read_schema
from equiray.errors import BadInput
from equiray.policies import load_policy
from equiray.serving.audit import AuditLog, LogUnavailable
from equiray.serving.monitor import Action, Failed, Monitor, OnFail, Settings, settings_for
from equiray.serving.monitor.alerts import Webhook
from equiray.serving.monitor.settings import Gate, Harm
from equiray.specs.serving import ServeSpec

_POLL_S, _PAGE = 0.25, 2000
_SNAPSHOT_S = 60.0
SNAPSHOT = "monitor.json"

_LOG = logging.getLogger(__name__)


def settings_of(spec: ServeSpec) -> Settings:
    """What is watched: a policy's bounds, and that the bundle is not worse than it was on test rows.

    Raises
    ------
    BadInput
        The policy cannot be read.
    """
    if spec.bundle is None:
        return Settings(attributes=())
    path = Path(spec.bundle)
    manifest = read_manifest(path)
    if manifest.parts.serializer is None:
        return Settings(attributes=())
    task = read_schema(path / manifest.parts.serializer.file)
    attributes = tuple(attribute.name for attribute in task.sensitive)
    policy = None if spec.policy is None else load_policy(spec.policy)
    return settings_for(
        attributes,
        policy=policy,
        test=manifest.provenance.test,
        outcomes_for=spec.outcomes_for,
        gates={each.gate: _gate(each) for each in manifest.provenance.gates},
    )


def _gate(of: GateEvidence) -> Gate:
    harm = None if of.d_min is None or of.d_maj is None else Harm(of.d_min, of.d_maj)
    return Gate(vulnerable=of.vulnerable, harm=harm)


def on_fail_of(spec: ServeSpec) -> OnFail:
    """What follows from a FAIL; raises BadInput where it asks for a bundle that is not named."""
    fallback = None if spec.fallback is None or spec.on_fail.do != "fall_back" else version_of(Path(spec.fallback))
    return OnFail(do=spec.on_fail.do, fallback=fallback, webhook=spec.on_fail.webhook)


class Watcher:
    """A monitor that follows a log.

    Parameters
    ----------
    spec : ServeSpec
    log : AuditLog
    state : Path
        Folder for snapshots.
    """

    def __init__(self, spec: ServeSpec, log: AuditLog, state: Path) -> None:
        address = spec.on_fail.webhook
        self._webhook = None if address is None else Webhook(address)
        self.monitor = Monitor(settings_of(spec), on_fail=on_fail_of(spec), on_alarm=self._alarm)
        self._log, self._file = log, state / SNAPSHOT
        self._saved = self._restore()
        self.problem: str | None = None

    async def follow(self) -> None:
        """Read what is new, for ever."""
        loop = asyncio.get_running_loop()
        saved_at = loop.time()
        while True:
            try:
                found = await asyncio.to_thread(self._log.records, after=self.monitor.seq, limit=_PAGE)
                self.monitor.take(found)
                self.problem = None
            except LogUnavailable as error:
                found, self.problem = [], str(error)
            except ValueError as error:  # a record is missing: the log was cut, or an old backup was put back
                found, self.problem = [], f"the log does not go on where it ended: {error}"
                _LOG.exception("the live monitor stopped reading")
            if loop.time() - saved_at > _SNAPSHOT_S and self.monitor.seq != self._saved:
                await asyncio.to_thread(self.save)
                saved_at = loop.time()
            await asyncio.sleep(0 if len(found) == _PAGE else _POLL_S)

    def _alarm(self, failed: Failed) -> None:
        _LOG.error("live bound failed: %s, version %s, at record %d", failed.rule, failed.version, failed.seq)
        if self._webhook is not None:
            self._webhook.send(failed)

    def document(self, serving: str | None) -> dict[str, Any]:
        """``GET /v1/fairness``."""
        problems = [] if self.problem is None else [self.problem]
        return self.monitor.document(serving=serving, audit={"length": self.monitor.seq, "problems": problems})

    def prometheus(self) -> str:
        """``GET /metrics``."""
        return self.monitor.prometheus()

    def action(self, version: str) -> Action:
        """What the gateway must do with requests for a version."""
        return self.monitor.action(version)

    def save(self) -> None:
        """Write a snapshot; it appears whole or not at all."""
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        with contextlib.suppress(OSError):  # without a snapshot it reads the log again: slower, and as right
            made.write_text(json.dumps(self.monitor.snapshot()), encoding="utf-8")
            made.chmod(0o600)
            made.replace(self._file)
            self._saved = self.monitor.seq

    def _restore(self) -> int:
        try:
            snapshot: Mapping[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
            if snapshot["seq"] <= self._log.head().length:
                self.monitor.restore(snapshot)
        except (OSError, ValueError, KeyError, TypeError, BadInput, LogUnavailable):
            _LOG.info("no snapshot is used: the monitor reads the log from its first record")
        return self.monitor.seq
