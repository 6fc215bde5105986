"""The live monitor's one process."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from equiray.serving.audit import AuditLog
from equiray.serving.audit.keys import ensure_key
from equiray.serving.monitor import Action
from equiray.serving.process import settle_heap, stand_back
from equiray.serving.watching import Watcher
from equiray.specs.serving import ServeSpec


class Watch:
    """Follows the audit log; one replica, for its figures are sums over all."""

    def __init__(self, spec: ServeSpec) -> None:
        stand_back()
        secrets = Path(spec.audit.secrets)
        log = AuditLog.open(spec.audit.store, key=ensure_key("audit", secrets))
        self._watcher = Watcher(spec, log, secrets)
        self._following: asyncio.Task[None] | None = None
        settle_heap()

    async def check_health(self) -> None:
        """Starts the reading with the first check, in the replica's own loop; it never ends by itself."""
        if self._following is None or self._following.done():
            self._following = asyncio.get_running_loop().create_task(self._watcher.follow())

    async def document(self, serving: str | None = None) -> Mapping[str, Any]:
        """``GET /v1/fairness``."""
        return self._watcher.document(serving)

    async def prometheus(self) -> str:
        """``GET /metrics``."""
        return self._watcher.prometheus()

    async def action(self, version: str) -> Action:
        """What the gateway must do with requests for a version."""
        return self._watcher.action(version)
