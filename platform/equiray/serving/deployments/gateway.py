"""The ingress: the web application of one replica, and what stands between it and the models."""

import asyncio
import contextlib
import hmac
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.serve.handle import DeploymentHandle

from equiray.serving.audit import AuditLog, Entry, LogUnavailable
from equiray.serving.audit.keys import ensure_key
from equiray.serving.chat.records import Answered, Rejected
from equiray.serving.chat.records import Asked as Question
from equiray.serving.chat.routes import ChatModel
from equiray.serving.decisions.records import Asked, Decided
from equiray.serving.deployments.calling import asked_of
from equiray.serving.guard.keys import KeyStore
from equiray.serving.guard.leases import LeasingLimiter
from equiray.serving.guard.limiter import RayLeases
from equiray.serving.guard.refusals import Refused
from equiray.serving.guard.start_modes import check_start_modes
from equiray.serving.monitor import Action
from equiray.serving.process import settle_heap
from equiray.serving.services import ChatLink, Services
from equiray.serving.web import make_app
from equiray.specs.serving import ChatSpec, ServeSpec

_ACTION_S = 1.0
"""How often the monitor is asked what to do: a FAIL takes effect within that time."""
_SHADOWED_AT_ONCE = 32  # further requests go by unshadowed: a slow shadow must not pile up

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Handles:
    """The other deployments; None where the spec does not ask for them."""

    watch: DeploymentHandle
    decider: DeploymentHandle | None = None
    shadow: DeploymentHandle | None = None
    fallback: DeploymentHandle | None = None
    chat: DeploymentHandle | None = None


class Gateway:
    """Answers requests."""

    def __init__(self, spec: ServeSpec, **handles: DeploymentHandle) -> None:
        check_start_modes(os.environ, None)  # of this node; another's may differ
        secrets = Path(spec.audit.secrets)
        self._spec, self._to = spec, Handles(**handles)
        self._key = ensure_key("audit", secrets)
        self._log = AuditLog.open(
            spec.audit.store,
            key=self._key,
            checkpoints=None if spec.audit.checkpoints is None else Path(spec.audit.checkpoints),
            checkpoint_key=ensure_key("checkpoint", secrets),
        )
        self._keys = KeyStore.open(spec.audit.store)
        self._version: str | None = None
        self._action: Action | None = None
        self._background: set[asyncio.Task[None]] = set()

    def __serve_build_asgi_app__(self) -> Any:
        leases = RayLeases(self._spec.audit.store)
        services = Services(
            log=self._log,
            request_key=hmac.digest(self._key, b"equiray requests", "sha256"),
            keep_rows=self._spec.audit.rows == "plain",
            decide=None if self._to.decider is None else self._decide,
            chat=None if self._spec.chat is None else self._chat(self._spec.chat),
            models=self._models,
            monitor=self,
            check_limits=leases.check,
            shadow=None if self._to.shadow is None else self._shadow,
        )
        self._start(self._follow_action())
        app = make_app(services, self._keys, LeasingLimiter(leases), self._spec.limits)
        settle_heap()
        return app

    async def document(self) -> Mapping[str, Any]:
        """``GET /v1/fairness``."""
        return await asked_of(self._to.watch.document.remote(self._version))

    async def prometheus(self) -> str:
        """``GET /metrics``."""
        return await asked_of(self._to.watch.prometheus.remote())

    async def _decide(self, asked: Asked) -> Decided:
        """By the bundle, by the earlier one, or by nobody: as the monitor's verdicts demand."""
        decider, doing = self._to.decider, "answer" if self._action is None else self._action.do
        assert decider is not None, "the route is there where something decides"
        if doing == "refuse":
            return _refused(asked, self._version or "")
        if doing == "fall_back" and self._to.fallback is not None:
            return await asked_of(self._to.fallback.decide.remote(asked))
        found: Decided = await asked_of(decider.decide.remote(asked))
        self._version = found.model_version
        return found

    async def _answer(self, asked: Question) -> Answered | Rejected:
        assert self._to.chat is not None
        return await asked_of(self._to.chat.answer.remote(asked))

    def _chat(self, spec: ChatSpec) -> ChatLink:
        return ChatLink(answer=self._answer, model=ChatModel.of(Path(spec.bundle)))

    async def _models(self) -> list[Mapping[str, Any]]:
        handles = [handle for handle in (self._to.decider, self._to.chat) if handle is not None]
        return [await asked_of(handle.about.remote()) for handle in handles]

    def _shadow(self, asked: Asked, key_id: str, record_id: str) -> None:
        """Ask the second bundle the same; the caller has its answer and hears nothing of this one."""
        if len(self._background) <= _SHADOWED_AT_ONCE:
            self._start(self._shadowed(asked, key_id, record_id))

    async def _shadowed(self, asked: Asked, key_id: str, record_id: str) -> None:
        assert self._to.shadow is not None
        with contextlib.suppress(Refused, LogUnavailable):
            found: Decided = await asked_of(self._to.shadow.decide.remote(asked))
            decisions = [{"id": f"{record_id}-{place}"} | said for place, said in enumerate(found.decisions)]
            entry = Entry(
                kind="shadow",
                key_id=key_id,
                model_version=found.model_version,
                body={"task": asked.task, "shadow_of": record_id, "decisions": decisions},
            )
            await asyncio.wrap_future(self._log.append(entry))

    async def _follow_action(self) -> None:
        """Ask the monitor what to do, for ever; while it does not answer, what it said last holds."""
        while True:
            try:
                if self._to.decider is not None:  # live settings may have changed it while nothing was decided
                    self._version = (await asked_of(self._to.decider.about.remote()))["id"]
                if self._version is not None:
                    self._action = await asked_of(self._to.watch.action.remote(self._version))
            except Refused:
                _LOG.warning("the live monitor does not answer")
            await asyncio.sleep(_ACTION_S)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(self._background.discard)


def _refused(asked: Asked, version: str) -> Decided:
    nothing = {"decision": None, "probability": None, "gates": {}, "refused": True}
    return Decided(model_version=version, decisions=[dict(nothing) for _ in asked.rows], groups=[{}] * len(asked.rows))
