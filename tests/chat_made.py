"""A tiny bundle that answers chats, engines that say what a test wants, and a server around them."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from equiray.bundles.bundle import Bundle, load_bundle
from equiray.bundles.manifest import (
    ChainSampling,
    LanguageModelPart,
    Parts,
    Provenance,
    RewardBase,
    RewardPart,
)
from equiray.bundles.writing import Content, write_bundle
from equiray.mitigation.reward.calibration import Calibration
from equiray.mitigation.reward.model import fresh_model
from equiray.mitigation.reward.store import save_reward_model
from equiray.models.engines.protocol import Identity
from equiray.models.engines.records import Completion, Request, Sampling
from equiray.models.loading import load_causal_lm
from equiray.serving.audit import AuditLog
from equiray.serving.chat.answering import ChatAnswerer
from equiray.serving.chat.engines import ChatEngine
from equiray.serving.chat.routes import ChatModel, chat_router
from equiray.serving.guard.admission import RequestLimits, guarded, protect
from equiray.serving.guard.keys import KeyStore
from equiray.specs.reward_model import RewardModelSpec
from equiray.specs.run import LoraSpec
from tiny_models import save, tiny

PROVENANCE = Provenance(origin="run", name="n", point="bbq", pick="bbq", spec_sha256="b" * 64, spec={})
SAMPLING = ChainSampling(temperature=1.0, top_p=1.0, max_tokens=12)
KEY = b"k" * 32


def reward_folder(folder: Path, model: Path, *, steepness: float = 3.0) -> RewardModelSpec:
    """A reward model of random weights whose scores differ clearly."""
    spec = RewardModelSpec(source=str(model), lora=LoraSpec(rank=2), dtype="float32", reading="in_context")
    base = load_causal_lm(str(model), dtype="float32")
    with fresh_model(base, spec, seed=1) as made:
        save_reward_model(folder, made, made.weights(), Calibration(slope=steepness), spec, {})
    return spec


def chat_bundle(folder: Path, **changes: Any) -> Path:
    """A bundle of a tiny random language model; `changes` are of its reward part."""
    model = save(tiny("llama", chat=True), folder / "model")
    lm = load_causal_lm(str(model), dtype="float32")
    reward_folder(folder / "reward", model)
    base = LanguageModelPart(
        kind="language_model", source=str(model), name="tiny", identity=lm.identity, pooling="mean", dtype="float32"
    )
    settings: dict[str, Any] = {
        "folder": "reward",
        "base": RewardBase(source=str(model), name="tiny", identity=lm.identity),
        "sampling": SAMPLING,
        "chains": 6,
        "tau": 0.2,
        "separator": "\n\n",
    }
    parts = Parts(base=base, reward=RewardPart(**settings | changes))
    write_bundle(folder / "tiny", "tiny", Content(parts=parts, folders={"reward": folder / "reward"}), PROVENANCE)
    return folder / "tiny"


@dataclass(kw_only=True)
class Scripted:
    """A generator that says what it is told: text k of a question is completion k, whatever round it is drawn in."""

    texts: Callable[[str], Sequence[str]]
    drawn: list[tuple[str, int]] = field(default_factory=list)

    identity = Identity(backend="scripted", model="scripted", prompts_sha256="", dtype="")

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Last index first: the order of arrival says nothing."""
        for request in requests:
            texts = self.texts(request.messages[-1].content)
            for index in reversed(request.wanted):
                self.drawn.append((request.messages[-1].content, index))
                finish = "refusal" if texts[index] == "(declined)" else "stop"
                yield Completion(
                    request_id=request.request_id,
                    index=index,
                    text=texts[index],
                    tokens=len(texts[index].split()),
                    finish=finish,
                )


def scripted(bundle: Bundle, texts: Sequence[str] | Callable[[str], Sequence[str]]) -> ChatEngine:
    """An engine with the bundle's tokenizer that says these texts."""
    assert bundle.language_model is not None
    of = texts if callable(texts) else lambda _: texts
    return ChatEngine(chat=Scripted(texts=of), tokenizer=bundle.language_model.tokenizer)


@dataclass
class CountingLimiter:
    """Takes whatever is asked for, and remembers how much."""

    tokens: int = 0
    taken: int = 0

    async def take(self, key: Any, **amounts: Any) -> None:
        self.tokens += amounts.get("tokens", 0)
        self.taken += amounts.get("tokens", 0)

    def give_back(self, key: Any, **amounts: Any) -> None:
        self.tokens -= amounts.get("tokens", 0)


@dataclass
class Served:
    """A running server."""

    url: str
    secret: str
    log: AuditLog
    limiter: CountingLimiter
    store: KeyStore


@contextlib.contextmanager
def served(answerer: ChatAnswerer, bundle: Path, folder: Path, **changes: Any) -> Iterator[Served]:
    """The two endpoints behind the real guard, a real log and uvicorn, on a free port of this machine."""
    store = KeyStore.open(f"sqlite:///{folder}/keys.db")
    _, secret = store.create(name="tests", scopes=["chat"])
    log = AuditLog.open(f"sqlite:///{folder}/audit.db", key=KEY)
    limiter = CountingLimiter()
    app = FastAPI()
    app.state.keys, app.state.limiter, app.state.request_limits = store, limiter, RequestLimits()

    async def answer(asked: Any) -> Any:
        (found,) = await asyncio.to_thread(answerer.answer, [asked])
        return found

    settings = {"guard": guarded("chat"), "log": log, "model": ChatModel.of(bundle), "request_key": KEY} | changes
    app.include_router(chat_router(answer, **settings))
    protect(app, open_paths=["/openapi.json"])
    with _running(app) as url:
        yield Served(url, secret, log, limiter, store)
    log.close()


@contextlib.contextmanager
def _running(app: FastAPI) -> Iterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        server.should_exit = True
        thread.join()


def loaded(folder: Path, **changes: Any) -> Bundle:
    """`chat_bundle`, loaded."""
    return load_bundle(chat_bundle(folder, **changes))
