"""`ChatAnswerer`: questions in, answers with their votes out; no Ray, no HTTP, no log."""

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from equiray.bundles.bundle import Bundle
from equiray.bundles.checking import no_reward, version_of
from equiray.errors import BadInput
from equiray.models.engines.records import Sampling
from equiray.serving.chat.choosing import decided
from equiray.serving.chat.engines import ChatEngine
from equiray.serving.chat.grouping import Reader
from equiray.serving.chat.records import Answered, Asked, Rejected, Words
from equiray.serving.chat.rounds import OpenQuestion, Rounds
from equiray.serving.chat.settings import ChatSettings

_SEEDS = 2**31


class ChatAnswerer:
    """Answers with one bundle; calls from several threads take turns.

    Attributes
    ----------
    model, version : str
        The bundle's name, and that name with the hash of its manifest.
    settings : ChatSettings
        May be replaced at any time; questions that are asked afterwards are answered by it.

    Parameters
    ----------
    bundle : Bundle
        With a language model and a reward model.
    engine : ChatEngine, optional
        Default: the bundle's language model in this process.
    settings : ChatSettings, optional
    clock : callable
        Seconds, ever rising.

    Raises
    ------
    BadInput
        The bundle has no reward model.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        engine: ChatEngine | None = None,
        settings: ChatSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if bundle.reward is None or bundle.language_model is None:
            raise no_reward(bundle.path)
        self.model = bundle.manifest.name
        self.version = version_of(bundle.path)
        self.settings = settings or ChatSettings()
        self._part = bundle.reward.part
        self._engine = engine or ChatEngine.of(bundle.language_model)
        self._lock = threading.Lock()
        self._open = ExitStack()
        reward = self._open.enter_context(bundle.reward.opened())
        self._rounds = Rounds(engine=self._engine, reward=reward, part=self._part, clock=clock)

    def close(self) -> None:
        """Let the reward model go."""
        with self._lock:
            self._open.close()

    def answer(self, asked: Sequence[Asked]) -> list[Answered | Rejected]:
        """Answer questions, those that are sampled alike together; what is wrong with one is its answer alone.

        Raises
        ------
        BadInput
            The engine cannot write: an endpoint keeps failing.
        """
        with self._lock:
            settings, seed = self.settings, secrets.randbelow(_SEEDS)
            opened = [self._opened(each, settings, seed) for each in asked]
            self._rounds.fill([each for each in opened if isinstance(each, OpenQuestion)], settings)
            return [each if isinstance(each, Rejected) else self._answered(each) for each in opened]

    def _opened(self, asked: Asked, settings: ChatSettings, seed: int) -> OpenQuestion | Rejected:
        if (refused := self._refused(asked, settings)) is not None:
            return refused
        try:
            tokens = self._engine.prompt_tokens(asked.messages, plain=asked.plain)
        except BadInput as error:
            return _rejected(error, asked)
        limit = self._engine.most_tokens
        if not tokens:
            return Rejected(message="the prompt is empty: write one", param=_prompt(asked), code="empty_prompt")
        if limit is not None and tokens >= limit:
            said = (
                f"the prompt has {tokens} tokens, and the model reads {limit} at once, its answer included: shorten it"
            )
            return Rejected(message=said, param=_prompt(asked), code="context_length_exceeded")
        question = next(each.content for each in reversed(asked.messages) if each.role == "user")
        sampling = self._sampling(asked, seed)
        return OpenQuestion(
            asked=asked,
            reader=Reader.of(question, self._part.separator),
            sampling=sampling,
            tau=self._part.tau if settings.tau is None else settings.tau,
            most=1 if sampling.temperature == 0 else self._part.chains,
            prompt_tokens=tokens,
        )

    def _refused(self, asked: Asked, settings: ChatSettings) -> Rejected | None:
        if asked.choices > self._part.chains:
            said = f"n is {asked.choices}, and this model draws {self._part.chains} chains: ask for no more answers"
            return Rejected(message=said, param="n")
        if asked.max_tokens is not None and asked.max_tokens > settings.most_tokens:
            said = f"{asked.max_tokens} tokens: ask for at most {settings.most_tokens}"
            return Rejected(message=said, param="max_tokens")
        if asked.likeliest is not None and self._engine.scorer is None:
            return Rejected(message="this model's engine tells no log-probabilities: leave them out", param="logprobs")
        if asked.plain and self._engine.plain is None:
            said = "this model's engine reads conversations alone: post them to /v1/chat/completions"
            return Rejected(message=said, param="prompt")
        return None

    def _sampling(self, asked: Asked, seed: int) -> Sampling:
        evaluated = self._part.sampling
        return Sampling(
            temperature=evaluated.temperature if asked.temperature is None else asked.temperature,
            top_p=evaluated.top_p if asked.top_p is None else asked.top_p,
            max_tokens=evaluated.max_tokens if asked.max_tokens is None else asked.max_tokens,
            stop=evaluated.stop if asked.stop is None else asked.stop,
            seed=seed if asked.seed is None else asked.seed,
        )

    def _answered(self, question: OpenQuestion) -> Answered | Rejected:
        if question.unreadable is not None:
            return _rejected(question.unreadable, question.asked)
        vote, words = decided(question, self._rounds.ballot(question), self._part)
        return Answered(model=self.model, version=self.version, vote=vote, words=self._scored(question.asked, words))

    def _scored(self, asked: Asked, words: Words) -> Words:
        """With log-probabilities, where they are asked for."""
        if asked.likeliest is None:
            return words
        assert self._engine.scorer is not None, "a question for log-probabilities of an engine without is refused"
        tokens = tuple(
            tuple(self._engine.scorer(asked.messages, text, plain=asked.plain, likeliest=asked.likeliest))
            for text in words.texts
        )
        return replace(words, tokens=tokens)


def _rejected(error: BadInput, asked: Asked) -> Rejected:
    return Rejected(message=f"{error.problem}; {error.fix}", param=_prompt(asked), code="invalid_prompt")


def _prompt(asked: Asked) -> str:
    return "prompt" if asked.plain else "messages"
