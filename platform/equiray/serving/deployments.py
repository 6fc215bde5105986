"""The deployments of the application: `Gateway` answers requests, `Decider` holds the model."""

import asyncio
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from equiray.bundles.bundle import load_bundle
from equiray.serving.audit import AuditLog
from equiray.serving.audit.keys import ensure_key
from equiray.serving.decisions.service import Asked, Decided, DecisionService
from equiray.serving.gateway import make_app
from equiray.serving.guard.keys import KeyStore
from equiray.serving.guard.leases import LeasingLimiter
from equiray.serving.guard.limiter import RayLeases
from equiray.serving.guard.refusals import RETRY_SOON_S, Refused
from equiray.serving.services import Services
from equiray.specs.serving import LiveSpec, ServeSpec


def _rows(together: list[Asked]) -> int:
    return sum(len(asked.rows) for asked in together)


class Decider:
    """One replica's copy of the model; what comes together is decided together."""

    def __init__(self, spec: ServeSpec) -> None:
        import torch

        torch.set_num_threads(max(1, int(spec.decider.cpus)))
        bundle = load_bundle(Path(spec.bundle), source=spec.base)
        self._service = DecisionService(bundle, deterministic=spec.batching.deterministic)
        batched = cast(Any, self._together)
        batched.set_max_batch_size(spec.batching.rows)
        batched.set_batch_wait_timeout_s(spec.batching.wait_ms / 1000)

    def reconfigure(self, live: Mapping[str, Any]) -> None:
        """`user_config`: thresholds, changed without a restart."""
        self._service.configure(LiveSpec.model_validate(dict(live)))

    async def decide(self, asked: Asked) -> Decided | Refused:
        """One request; a refusal is returned, not raised: Ray would wrap it."""
        return await self._together(asked)

    @serve.batch(batch_size_fn=_rows)
    async def _together(self, asked: list[Asked]) -> list[Decided | Refused]:
        return await asyncio.to_thread(self._service.decide, asked)

    async def about(self) -> list[Mapping[str, Any]]:
        """The entries of /v1/models."""
        schema = self._service.schema
        return [
            {
                "id": self._service.model_version,
                "object": "model",
                "owned_by": "equiray",
                "task": schema.name,
                "question": schema.question,
                "columns": {feature.name: feature.kind for feature in schema.features},
                "attributes": [attribute.name for attribute in schema.sensitive],
            }
        ]

    def check_health(self) -> None:
        """The model is loaded as long as the process lives."""


class Gateway:
    """The ingress: the web application of one replica."""

    def __init__(self, spec: ServeSpec, decider: DeploymentHandle) -> None:
        secrets = Path(spec.audit.secrets)
        self._key = ensure_key("audit", secrets)
        self._decider = decider
        self._log = AuditLog.open(
            spec.audit.store,
            key=self._key,
            checkpoints=None if spec.audit.checkpoints is None else Path(spec.audit.checkpoints),
            checkpoint_key=ensure_key("checkpoint", secrets),
        )
        self._keys = KeyStore.open(spec.audit.store)
        self._spec = spec

    def __serve_build_asgi_app__(self) -> Any:
        services = Services(
            log=self._log,
            request_key=hmac.digest(self._key, b"equiray requests", "sha256"),
            keep_rows=self._spec.audit.rows == "plain",
            decide=self._decide,
            models=self._models,
        )
        return make_app(services, self._keys, LeasingLimiter(RayLeases(self._spec.audit.store)), self._spec.limits)

    async def _decide(self, asked: Asked) -> Decided:
        found = await _asked(self._decider.decide.remote(asked))
        if isinstance(found, Refused):
            raise found
        return found

    async def _models(self) -> list[Mapping[str, Any]]:
        return await _asked(self._decider.about.remote())

    async def check_health(self) -> None:
        """Whether the log answers is /readyz's to say: restarting this process would not mend a database."""


async def _asked(response: Any) -> Any:
    """What a deployment says; where it is overloaded, dies or restarts, the client may try again."""
    try:
        return await response
    except (RayError, RayServeException) as error:
        message = "the model cannot be reached now; try again"
        raise Refused(503, "model_unavailable", message, retry_after=RETRY_SOON_S) from error
