"""Decisions: one replica's copy of the model; what comes together is decided together."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ray import serve

from equiray.bundles.bundle import load_bundle
from equiray.serving.decisions.records import Asked, Decided
from equiray.serving.decisions.service import DecisionService
from equiray.serving.guard.refusals import Refused
from equiray.serving.process import settle_heap
from equiray.specs.serving import LiveSpec, ServeSpec


def _rows(together: list[Asked]) -> int:
    return sum(len(asked.rows) for asked in together)


class Decider:
    """Decides with the bundle in a directory.

    Parameters
    ----------
    spec : ServeSpec
    bundle : str
        The spec's bundle, its shadow or its fallback.
    """

    def __init__(self, spec: ServeSpec, bundle: str) -> None:
        import torch

        torch.set_num_threads(max(1, int(spec.decider.cpus)))
        loaded = load_bundle(Path(bundle), source=spec.base)
        self._service = DecisionService(loaded, deterministic=spec.batching.deterministic)
        batched = cast(Any, self._together)
        batched.set_max_batch_size(spec.batching.rows)
        batched.set_batch_wait_timeout_s(spec.batching.wait_ms / 1000)
        settle_heap()

    def reconfigure(self, live: Mapping[str, Any]) -> None:
        """`user_config`: thresholds, changed without a restart."""
        self._service.configure(LiveSpec.model_validate(dict(live)))

    async def decide(self, asked: Asked) -> Decided | Refused:
        """Decide one request's rows."""
        return await self._together(asked)

    @serve.batch(batch_size_fn=_rows)
    async def _together(self, asked: list[Asked]) -> list[Decided | Refused]:
        return await asyncio.to_thread(self._service.decide, asked)

    async def about(self) -> Mapping[str, Any]:
        """Its entry of /v1/models."""
        schema = self._service.schema
        return {
            "id": self._service.model_version,
            "object": "model",
            "owned_by": "equiray",
            "task": schema.name,
            "question": schema.question,
            "columns": {feature.name: feature.kind for feature in schema.features},
            "attributes": [attribute.name for attribute in schema.sensitive],
        }
