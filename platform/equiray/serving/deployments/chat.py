"""Answers in words: one replica's engine and reward model; questions that come together are sampled together."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import serve

from equiray.bundles.bundle import load_bundle
from equiray.serving.chat.answering import ChatAnswerer
from equiray.serving.chat.records import Answered, Asked, Rejected
from equiray.serving.chat.settings import ChatSettings
from equiray.serving.process import settle_heap
from equiray.specs.serving import ChatSpec, LiveChatSpec


class Chat:
    """Answers with the bundle of a chat spec."""

    def __init__(self, spec: ChatSpec) -> None:
        import torch

        torch.set_num_threads(max(1, int(spec.replicas.cpus)))
        bundle = load_bundle(Path(spec.bundle), source=spec.base)
        settings = ChatSettings(
            round_chains=spec.round_chains,
            risk=spec.risk,
            latency_budget_s=spec.latency_budget_s,
            most_tokens=spec.most_tokens,
        )
        self._answerer = ChatAnswerer(bundle, settings=settings)
        settle_heap()

    def reconfigure(self, live: Mapping[str, Any]) -> None:
        """`user_config`: the vote's temperature, changed without a restart."""
        tau = LiveChatSpec.model_validate(dict(live)).tau
        self._answerer.settings = replace(self._answerer.settings, tau=tau)

    async def answer(self, asked: Asked) -> Answered | Rejected:
        """Answer one question."""
        return await self._together(asked)

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.01)
    async def _together(self, asked: list[Asked]) -> list[Answered | Rejected]:
        return await asyncio.to_thread(self._answerer.answer, asked)

    async def about(self) -> Mapping[str, Any]:
        """Its entry of /v1/models."""
        return {"id": self._answerer.model, "version": self._answerer.version, "object": "model", "owned_by": "equiray"}
