"""A causal language model in this process, on a CPU or a GPU: writes, scores and embeds.

What is notable:

- A prompt is computed once for all its chains, and what prompts share at their beginning once for all of them
  (`equiray.models.prefix_tree`).
- Batching is continuous: a chain that ends gives its slot to the next one at once, so no step is spent on finished
  chains; a step costs one token for each live chain, and no padding.
- Completion k of a request depends on the seed, its messages and k (`equiray.models.engines.drawing`).
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.models.embedding import BATCH_TOKENS, Pooling, embed_texts
from equiray.models.engines.drawing import draw, uniforms
from equiray.models.engines.prompts import encode_conversations, prompts_sha256
from equiray.models.engines.protocol import ContinuationScores, Identity
from equiray.models.engines.records import Completion, Message, Request, Sampling
from equiray.models.engines.slots import KeysValues, Slots, decode, prefill
from equiray.models.engines.stopping import Stopper
from equiray.models.loading import CausalLM
from equiray.models.prefix_tree import tree_batches
from equiray.models.scoring import Scorer, capped_logits
from equiray.models.tree_attention import most_tokens

LIVE_CHAINS = 64


@dataclass(frozen=True, kw_only=True)
class _Prompt:
    """A prompt's keys and values in every layer, and how many tokens may follow it."""

    layers: KeysValues
    room: int


@dataclass(frozen=True, kw_only=True)
class _Chain:
    """A completion that is being written."""

    request_id: str
    index: int
    prompt: _Prompt
    numbers: NDArray[np.float64]
    tokens: list[int] = field(default_factory=list)

    def ended(self, stopper: Stopper) -> Completion | None:
        """The completion, if the last token ended it."""
        ending = stopper.ending(self.tokens, self.prompt.room)
        return ending and Completion(
            request_id=self.request_id,
            index=self.index,
            text=ending.text,
            tokens=len(self.tokens),
            finish=ending.finish,
        )


@dataclass(frozen=True, kw_only=True)
class TransformersEngine:
    """Implements `equiray.models.engines.protocol.Engine`.

    Attributes
    ----------
    lm : CausalLM
        An adapter, if any, is merged into its weights.
    live_chains : int
        Chains written at once; memory grows with it.
    batch_tokens : int
        Prompt tokens a forward pass.
    pooling : {"mean", "last"}
        Of vectors.
    """

    lm: CausalLM
    live_chains: int = LIVE_CHAINS
    batch_tokens: int = BATCH_TOKENS
    pooling: Pooling = "mean"

    @property
    def identity(self) -> Identity:
        """Weights, tokenizer and chat template, dtype."""
        return Identity(
            backend="transformers",
            model=self.lm.identity,
            prompts_sha256=prompts_sha256(self.lm.tokenizer),
            dtype=str(self.lm.model.dtype).removeprefix("torch."),
        )

    @torch.inference_mode()
    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """The wanted completions of all requests, in the order in which they are finished.

        Raises
        ------
        BadInput
            A prompt leaves no room for an answer in what the model reads at once.
        """
        stopper, slots = Stopper(self.lm, sampling), Slots(self.live_chains)
        waiting = self._opened([request for request in requests if request.wanted], sampling)
        live: list[_Chain] = []
        while True:
            while len(live) < self.live_chains and (chain := next(waiting, None)) is not None:
                if (done := chain.ended(stopper)) is not None:
                    yield done
                else:
                    slots.fill(len(live), chain.prompt.layers)
                    live.append(chain)
            if not live:
                return
            self._step(live, slots, sampling)
            for slot in reversed(range(len(live))):
                if (done := live[slot].ended(stopper)) is not None:
                    yield done
                    slots.move(len(live) - 1, slot)
                    live[slot] = live[-1]
                    live.pop()

    def score(
        self, prefixes: Sequence[tuple[Message, ...]], continuations: Sequence[Sequence[str]]
    ) -> list[ContinuationScores]:
        """How likely the model continues each conversation with each of its texts.

        Prefix and continuation are tokenized apart, so a prefix has the same tokens whatever follows.

        Raises
        ------
        BadInput
            A conversation and a continuation are longer than what the model reads at once.
        """
        heads = encode_conversations(self.lm.tokenizer, prefixes)
        sequences, first = [], []
        for head, texts in zip(heads, continuations, strict=True):
            tails = self.lm.tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
            sequences += [head + tail for tail in tails]
            first += [len(head)] * len(tails)
        scorer = Scorer(lm=self.lm, batch_tokens=self.batch_tokens)
        sums, counts = scorer.sequence_logprobs(sequences, np.asarray(first, dtype=np.int64))
        ends = np.cumsum([len(texts) for texts in continuations])[:-1]
        parts = zip(np.split(sums, ends), np.split(counts, ends), strict=True)
        return [ContinuationScores(*part) for part in parts] if prefixes else []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Pooled last hidden states, [texts, hidden]."""
        return embed_texts(self.lm, texts, pooling=self.pooling, batch_tokens=self.batch_tokens)

    @torch.inference_mode()
    def _opened(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[_Chain]:
        """Every wanted completion with its first token, prompts computed as they are come to."""
        prompts = encode_conversations(self.lm.tokenizer, [request.messages for request in requests])
        rooms = [self._room(request, prompt) for request, prompt in zip(requests, prompts, strict=True)]
        for batch in tree_batches(prompts, batch_tokens=self.batch_tokens):
            hidden, layers = prefill(self.lm.model, self.lm.backbone, batch)
            for row, path in zip(batch.sequences.tolist(), batch.paths, strict=True):
                request, nodes = requests[row], torch.as_tensor(path, device=hidden.device)
                own = [(keys[:, nodes], values[:, nodes]) for keys, values in layers]
                prompt = _Prompt(layers=own, room=rooms[row])
                numbers = [uniforms(request, sampling, index) for index in request.wanted]
                logits = self._logits(hidden[nodes[-1:]]).expand(len(numbers), -1)
                drawn = draw(logits, np.array([n[0] for n in numbers]), sampling).tolist()
                for index, number, token in zip(request.wanted, numbers, drawn, strict=True):
                    yield _Chain(
                        request_id=request.request_id, index=index, prompt=prompt, numbers=number, tokens=[token]
                    )

    def _step(self, live: Sequence[_Chain], slots: Slots, sampling: Sampling) -> None:
        """Give every live chain its next token."""
        tokens = torch.tensor([chain.tokens[-1] for chain in live])
        hidden = decode(self.lm.model, self.lm.backbone, slots, tokens)
        numbers = np.array([chain.numbers[len(chain.tokens)] for chain in live])
        for chain, token in zip(live, draw(self._logits(hidden), numbers, sampling).tolist(), strict=True):
            chain.tokens.append(token)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Float32 [rows, vocabulary]."""
        head = cast(torch.nn.Module, self.lm.model.get_output_embeddings())
        return capped_logits(self.lm, head(hidden).float())

    def _room(self, request: Request, prompt: Sequence[int]) -> int:
        most = most_tokens(self.lm.model.config)
        room = sys.maxsize if most is None else most - len(prompt)
        if room < 1 or not prompt:
            raise BadInput(
                f"a prompt of {len(prompt)} tokens, where the model reads {most} at once, its answer included",
                place=f"request {request.request_id!r}",
                fix="shorten the case or the instructions, or take a model that reads more",
            )
        return room
