"""``POST /v1/chat/completions`` and ``POST /v1/completions``: asked, answered, recorded, and only then sent."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response, StreamingResponse

from equiray.bundles.checking import no_reward, read_manifest, version_of
from equiray.serving.audit.records import Record
from equiray.serving.chat.bodies import ChatCompletionRequest, CompletionRequest
from equiray.serving.chat.chunks import chat_chunks, text_chunks
from equiray.serving.chat.recording import Endpoint, Origin, answered_of, entry_of, request_sha256
from equiray.serving.chat.records import Answered, Asked, Rejected
from equiray.serving.chat.refusing import ChatRoute
from equiray.serving.chat.replies import ChatCompletion, TextCompletion
from equiray.serving.chat.replying import chat_completion, text_completion
from equiray.serving.guard.admission import Caller
from equiray.serving.guard.errors import REFUSALS, ErrorDocument
from equiray.serving.guard.refusals import Refused
from equiray.serving.recorder import IdempotencyKey, Log, Recorder

_CHARACTERS_A_TOKEN = 3
"""Of a prompt that nobody has counted yet: no text has many fewer."""

Answer = Callable[[Asked], Awaitable[Answered | Rejected]]


@dataclass(frozen=True, kw_only=True)
class ChatModel:
    """What the router knows of the model behind it.

    Attributes
    ----------
    name, version : str
        Either is what a client may ask for.
    chains, max_tokens : int
        That are drawn at most, and tokens of each where nobody asks for another number.
    """

    name: str
    version: str
    chains: int
    max_tokens: int

    @classmethod
    def of(cls, bundle: Path) -> "ChatModel":
        """Of a bundle, by its manifest alone.

        Raises
        ------
        BadInput
            There is no bundle, or one without a reward model.
        """
        manifest = read_manifest(bundle)
        part = manifest.parts.reward
        if part is None:
            raise no_reward(bundle)
        return cls(
            name=manifest.name, version=version_of(bundle), chains=part.chains, max_tokens=part.sampling.max_tokens
        )


@dataclass(frozen=True, kw_only=True)
class _Service:
    """What both endpoints do."""

    answer: Answer
    model: ChatModel
    recorder: Recorder
    request_key: bytes
    plain_prompts: bool

    async def recorded(
        self, body: ChatCompletionRequest | CompletionRequest, endpoint: Endpoint, caller: Caller, key: str | None
    ) -> tuple[Answered, Record]:
        """An answer and its record: a new one, or the one that was written under the idempotency key."""
        model = self.model
        if body.model not in (model.name, model.version):
            message = f"there is no model {body.model!r}; ask for {model.name!r}"
            raise Refused(404, "model_not_found", message, param="model")
        asked = body.asked
        origin = Origin(
            key_id=caller.key.key_id,
            endpoint=endpoint,
            asked=asked,
            idempotency_key=key,
            request_sha256="" if key is None else request_sha256(endpoint, asked, body.model, key=self.request_key),
        )
        earlier = await self.recorder.earlier(origin.key_id, key, origin.request_sha256)
        record = earlier or await self._new(origin, caller)
        answered = answered_of(record)
        if answered is None:
            message = "the answer under this idempotency key was erased; send the request under another key"
            raise Refused(409, "answer_erased", message)
        return answered, record

    async def _new(self, origin: Origin, caller: Caller) -> Record:
        most = _most_tokens(origin.asked, self.model)
        await caller.take(tokens=most)
        try:
            answered = await self.answer(origin.asked)
        except Refused:  # there is nobody who answers now
            caller.give_back(tokens=most)
            raise
        if isinstance(answered, Rejected):
            caller.give_back(tokens=most)
            raise Refused(400, answered.code or "invalid_value", answered.message, param=answered.param)
        usage = answered.vote.usage
        caller.give_back(tokens=max(0, most - usage.prompt_tokens - usage.completion_tokens))
        return await self.recorder.recorded(entry_of(answered, origin, plain_prompts=self.plain_prompts))


def chat_router(
    answer: Answer,
    *,
    guard: Callable[..., Awaitable[Caller]],
    log: Log,
    model: ChatModel,
    request_key: bytes,
    plain_prompts: bool = False,
) -> APIRouter:
    """The two endpoints.

    Parameters
    ----------
    answer : async callable
        `ChatAnswerer.answer` of one question, wherever it runs.
    guard : dependency
        ``guarded("chat")``: the caller, or a refusal.
    log : Log
        Of this process.
    model : ChatModel
    request_key : bytes
        Names requests in records, so that what they held cannot be guessed from the name.
    plain_prompts : bool
        Whether records keep prompts themselves; else a hash of each.
    """
    service = _Service(
        answer=answer,
        model=model,
        recorder=Recorder(log=log),
        request_key=request_key,
        plain_prompts=plain_prompts,
    )
    router = APIRouter(route_class=ChatRoute, tags=["chat"], responses=_refusals())

    @router.post("/v1/chat/completions", response_model=ChatCompletion, responses=_streamed())
    async def chat_completions(
        body: ChatCompletionRequest, caller: Annotated[Caller, Depends(guard)], key: IdempotencyKey = None
    ) -> Response:
        """Answer a conversation by the weighted vote of its chains; `fairness` says how the vote went."""
        reply = chat_completion(*await service.recorded(body, "chat", caller, key))
        if body.streamed:
            return _stream(chat_chunks(reply, usage=body.usage_at_end))
        return JSONResponse(reply.model_dump(mode="json"))

    @router.post("/v1/completions", response_model=TextCompletion, responses=_streamed())
    async def completions(
        body: CompletionRequest, caller: Annotated[Caller, Depends(guard)], key: IdempotencyKey = None
    ) -> Response:
        """Continue a prompt as it stands by the weighted vote of its chains; `fairness` says how the vote went."""
        reply = text_completion(*await service.recorded(body, "text", caller, key))
        if body.streamed:
            return _stream(text_chunks(reply, usage=body.usage_at_end))
        return JSONResponse(reply.model_dump(mode="json"))

    return router


def _most_tokens(asked: Asked, model: ChatModel) -> int:
    """What an answer may cost: counted ahead, the rest is given back."""
    prompt = sum(len(message.content) for message in asked.messages) // _CHARACTERS_A_TOKEN + 1
    chains = 1 if asked.temperature == 0 else model.chains
    return prompt + chains * (model.max_tokens if asked.max_tokens is None else asked.max_tokens)


def _stream(events: AsyncIterator[str]) -> StreamingResponse:
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def _streamed() -> dict[int | str, dict[str, Any]]:
    said = "The answer; with `stream`, the same one as server-sent events."
    return {200: {"description": said, "content": {"text/event-stream": {"schema": {"type": "string"}}}}}


def _refusals() -> dict[int | str, dict[str, Any]]:
    meant = {
        400: "A parameter is not supported, or has no such value: `param` names it.",
        404: "There is no such model.",
        409: "The idempotency key was used for another request, or its answer was erased.",
    }
    own = {status: {"model": ErrorDocument, "description": said} for status, said in meant.items()}
    return {**REFUSALS, **own}
