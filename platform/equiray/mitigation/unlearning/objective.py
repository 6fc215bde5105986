"""What a step is trained on, and its loss: which prompts and texts are drawn, and the four terms of them."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from equiray.data.templates import Fillers, Prompt
from equiray.mitigation.unlearning.batches import (
    EncodedPrompt,
    StepBatch,
    Tokens,
    encode_prompts,
    head_of,
    hidden_states,
    next_token_logits,
    read_answers,
    step_batch,
)
from equiray.mitigation.unlearning.losses import Terms, gap_loss, kl_loss, learn_loss, unlearn_loss
from equiray.models.embedding import tokenize
from equiray.models.loading import CausalLM
from equiray.specs.run import UnlearningSpec

Originals = dict[Tokens, torch.Tensor]
"""By text, the original model's last hidden states on it, float [len(text) - 1, hidden]."""

_TEXTS_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The loss of every step of one training.

    Attributes
    ----------
    families : tuple of tuples of EncodedPrompt
        The prompts of each template family.
    texts : tuple of Tokens
        Reference texts of the divergence term.
    originals : tuple of float [len(text) - 1, hidden]
        The original model's last hidden states on them: its predictions are one product with `head` away.
    head : torch.nn.Module
        The original model's head.
    spec : UnlearningSpec
    seeds : (seed, fold)
    """

    families: tuple[tuple[EncodedPrompt, ...], ...]
    texts: tuple[Tokens, ...]
    originals: tuple[torch.Tensor, ...]
    head: torch.nn.Module
    spec: UnlearningSpec
    seeds: tuple[int, int]

    @classmethod
    def of(
        cls,
        lm: CausalLM,
        prompts: Sequence[Prompt],
        fillers: Fillers,
        texts: Sequence[str],
        spec: UnlearningSpec,
        seeds: tuple[int, int],
        known: Originals | None = None,
    ) -> "Objective":
        """Tokenize, and record what `lm`, still the original model, predicts on the reference texts it will see.

        `known` is what earlier trainings of the same model have recorded; it is added to.
        """
        families: dict[str, list[EncodedPrompt]] = {}
        for prompt, encoded in zip(prompts, encode_prompts(lm, prompts, fillers), strict=True):
            families.setdefault(prompt.family, []).append(encoded)
        tokens = [tuple(ids) for ids in tokenize(lm, texts) if len(ids) > 1]
        needed = min(len(tokens), spec.kl_texts, spec.steps * spec.batch_references)
        chosen = [tokens[i] for i in np.random.default_rng(seeds).permutation(len(tokens))[:needed]]
        head = head_of(lm)
        if any(parameter.requires_grad for parameter in head.parameters()):
            head = copy.deepcopy(head).requires_grad_(False)
        return cls(
            families=tuple(tuple(members) for members in families.values()),
            texts=tuple(chosen),
            originals=tuple(_recalled(lm, chosen, {} if known is None else known)),
            head=head,
            spec=spec,
            seeds=seeds,
        )

    def draw(self, step: int) -> tuple[list[EncodedPrompt], list[int]]:
        """The prompts of a step, and the numbers of its reference texts.

        As many families as there are places, and one prompt of each: families differ in size, and the many wordings
        of one must not outweigh the few of another. Targets are drawn, so no side is favoured.
        """
        rng = np.random.default_rng([*self.seeds, step])
        places = self.spec.batch_prompts
        rounds = [rng.permutation(len(self.families)) for _ in range(-(-places // len(self.families)))]
        drawn = [self.families[number] for number in np.concatenate(rounds)[:places]]
        count = min(self.spec.batch_references, len(self.texts))
        numbers = rng.choice(len(self.texts), count, replace=False).tolist()
        return [prompts[rng.integers(len(prompts))] for prompts in drawn], numbers

    def terms(self, lm: CausalLM, step: int) -> Terms:
        """The four terms of a step, with their graph; dropout of the adapters is drawn from (seed, fold, step)."""
        prompts, numbers = self.draw(step)
        batch = step_batch(prompts, [self.texts[i] for i in numbers])
        with torch.random.fork_rng(enabled=self.spec.lora.dropout > 0):
            if self.spec.lora.dropout > 0:
                torch.manual_seed(int(np.random.SeedSequence([*self.seeds, step]).generate_state(1)[0]))
            hidden = hidden_states(lm, batch)
        return self._read(lm, hidden, batch, numbers)

    def _read(self, lm: CausalLM, hidden: torch.Tensor, batch: StepBatch, numbers: Sequence[int]) -> Terms:
        answers = read_answers(lm, hidden, batch)
        logits = next_token_logits(lm, hidden[torch.as_tensor(batch.reference, device=hidden.device)])
        with torch.no_grad():
            original = next_token_logits(lm, torch.cat([self.originals[i] for i in numbers]), self.head)
        return Terms(
            unlearn=unlearn_loss(answers.stereotype[answers.sided], self.spec.ascent_bound),
            learn=learn_loss(answers.anti[answers.sided]),
            gap=gap_loss(answers.stereotype, answers.anti, self.spec.gap_form),
            kl=kl_loss(original, logits),
        )

    def loss(self, terms: Terms) -> torch.Tensor:
        """The terms, weighted by the spec's lambdas."""
        return terms.weighted({name: getattr(self.spec, f"lambda_{name}") for name in Terms._fields})


def gradient_cosine(terms: Terms, parameters: Sequence[torch.nn.Parameter]) -> float | None:
    """Cosine between the gradients of the learn and the unlearn term; below 0 they pull against each other.

    None where one gradient is 0 (every stereotyped answer beyond the bound). Keeps the graph.
    """
    one, other = (
        torch.cat(
            [g.flatten() for g in torch.autograd.grad(term, parameters, retain_graph=True, materialize_grads=True)]
        )
        for term in (terms.learn, terms.unlearn)
    )
    norms = (one.norm() * other.norm()).item()
    return float(one @ other) / norms if norms > 0 else None


def _recalled(lm: CausalLM, texts: Sequence[Tokens], known: Originals) -> list[torch.Tensor]:
    new = [text for text in dict.fromkeys(texts) if text not in known]
    known.update(zip(new, _original_states(lm, new), strict=True))
    return [known[text] for text in texts]


@torch.no_grad()
def _original_states(lm: CausalLM, texts: Sequence[Tokens]) -> list[torch.Tensor]:
    states: list[torch.Tensor] = []
    for first in range(0, len(texts), _TEXTS_AT_ONCE):
        part = texts[first : first + _TEXTS_AT_ONCE]
        batch = step_batch([], part)
        nodes = torch.as_tensor(batch.reference)
        hidden = hidden_states(lm, batch)
        states += hidden[nodes.to(hidden.device)].split([len(text) - 1 for text in part])
    return states
