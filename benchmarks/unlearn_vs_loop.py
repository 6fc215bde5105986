"""Unlearning steps per second against a straightforward loop over padded batches.

    python benchmarks/unlearn_vs_loop.py            # interleaved repeats
    python benchmarks/unlearn_vs_loop.py --quick    # once: a look, not a result

Both train the embedded model in float32 with the same adapters, optimizer, prompts, answers and reference texts, and
must have the same loss terms after the same updates. The peer is what one would write with transformers and PEFT:
every answer is a sequence of its own after its prompt, padded; logits at answer positions only; the original model is
the same one with the adapter switched off, as TRL does it; and as many prompts a forward as is fastest of 1, 4, 16.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from harness import Side, agree, measure, report, start
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence

from equiray.data.reference import load_reference
from equiray.data.templates import build_prompts, load_templates
from equiray.mitigation.unlearning.adapters import trainable
from equiray.mitigation.unlearning.batches import EncodedPrompt
from equiray.mitigation.unlearning.losses import Terms, gap_loss, kl_loss, learn_loss, unlearn_loss
from equiray.mitigation.unlearning.objective import Objective
from equiray.models.loading import load_causal_lm
from equiray.models.tree_attention import tree_attention
from equiray.specs.run import UnlearningSpec

STEPS = 3
PROMPTS_AT_ONCE = (1, 4, 16)
SPEC = UnlearningSpec(templates="equiray", reference="targeted", dtype="float32")


@dataclass(frozen=True, kw_only=True)
class Loop:
    """The peer: padded batches, one sequence per answer."""

    model: PeftModel
    backbone: torch.nn.Module
    pad_id: int
    objective: Objective
    optimizer: torch.optim.Optimizer
    prompts_at_once: int

    def step(self, number: int) -> list[float]:
        """One update; the four terms before it."""
        prompts, texts = self.objective.draw(number)
        totals = torch.zeros(len(Terms._fields))
        parts = [prompts[i : i + self.prompts_at_once] for i in range(0, len(prompts), self.prompts_at_once)]
        for part in parts:
            stereotype, anti = self._answers(part)
            zero = stereotype.new_zeros(())
            bound, form = self.objective.spec.ascent_bound, self.objective.spec.gap_form
            terms = Terms(unlearn_loss(stereotype, bound), learn_loss(anti), gap_loss(stereotype, anti, form), zero)
            totals += self._backward(terms, len(part) / len(prompts))
        zero = torch.zeros(())
        kl = self._divergence([self.objective.texts[i] for i in texts])
        totals += self._backward(Terms(zero, zero, zero, kl), 1.0)
        clip_grad_norm_((p for p in self.model.parameters() if p.requires_grad), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return totals.tolist()

    def _backward(self, terms: Terms, share: float) -> torch.Tensor:
        (self.objective.loss(terms) * share).backward()
        return torch.stack([term.detach() * share for term in terms])

    def _answers(self, prompts: Sequence[EncodedPrompt]) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean log-probabilities [P, A] of both kinds of answer."""
        pairs = [(p.prefix, answer) for p in prompts for answer in (*p.stereotype, *p.anti)]
        ids, mask = self._padded([prefix + answer for prefix, answer in pairs])
        hidden = self.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
        rows = torch.tensor([row for row, (_, answer) in enumerate(pairs) for _ in answer])
        columns = torch.tensor([len(prefix) + i for prefix, answer in pairs for i in range(len(answer))])
        logits = self.objective.head(hidden[rows, columns - 1])
        token = logits.log_softmax(-1).gather(1, ids[rows, columns][:, None])[:, 0]
        mean = torch.zeros(len(pairs)).index_add(0, rows, token) / torch.bincount(rows)
        stereotype, anti = mean.view(len(prompts), 2, -1).unbind(1)
        return stereotype, anti

    def _divergence(self, texts: Sequence[tuple[int, ...]]) -> torch.Tensor:
        ids, mask = self._padded(texts)
        predicts = mask[:, 1:].bool()  # a token that follows is what a position predicts
        logits = self.model(input_ids=ids, attention_mask=mask).logits[:, :-1][predicts]
        with torch.no_grad(), self.model.disable_adapter():
            original = self.model(input_ids=ids, attention_mask=mask).logits[:, :-1][predicts]
        return kl_loss(original, logits)

    def _padded(self, sequences: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
        rows = [torch.tensor(sequence) for sequence in sequences]
        mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        return pad_sequence(rows, batch_first=True, padding_value=self.pad_id), mask


def make_loop(objective: Objective, prompts_at_once: int) -> Loop:
    """The peer on a copy of the model of its own, its adapters drawn from the same seed as ours."""
    lm = load_causal_lm("embedded", dtype=SPEC.dtype)
    torch.manual_seed(0)
    lora = LoraConfig(r=SPEC.lora.rank, lora_alpha=SPEC.lora.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(lm.model, lora)
    moved = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(moved, lr=SPEC.learning_rate, weight_decay=0.0)
    return Loop(
        model=model,
        backbone=lm.backbone,
        pad_id=lm.pad_id,
        objective=objective,
        optimizer=optimizer,
        prompts_at_once=prompts_at_once,
    )


def fastest(objective: Objective) -> int:
    """Prompts a forward with which the peer is fastest."""
    seconds = {}
    for size in PROMPTS_AT_ONCE:
        loop = make_loop(objective, size)
        loop.step(0)
        began = time.perf_counter()
        loop.step(1)
        seconds[size] = time.perf_counter() - began
    print("peer, seconds a step by prompts a forward:", {size: round(s, 2) for size, s in seconds.items()})
    return min(seconds, key=lambda size: seconds[size])


def main() -> None:
    """Measure and report."""
    quick = start(__doc__ or "")
    lm = load_causal_lm("embedded", dtype=SPEC.dtype)
    templates = load_templates(SPEC.templates)
    prompts = build_prompts(templates, "gender")
    texts = load_reference(SPEC.reference).texts
    with trainable(lm, SPEC, 0) as model, tree_attention(model.lm.model):
        objective = Objective.of(model.lm, prompts, templates.fillers, texts, SPEC, (0, 0))
        optimizer = torch.optim.AdamW(model.parameters.values(), lr=SPEC.learning_rate, weight_decay=0.0)

        def step(number: int) -> list[float]:
            terms = objective.terms(model.lm, number)
            objective.loss(terms).backward()
            clip_grad_norm_(model.parameters.values(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            return [term.item() for term in terms]

        loop = make_loop(objective, fastest(objective))
        for number in range(STEPS):
            agree(f"loss terms after {number} updates", step(number), loop.step(number), tolerance=1e-2)
        print(f"{SPEC.batch_prompts} prompts x 18 answers and {SPEC.batch_references} reference texts a step")
        ours = Side("trees", lambda numbers: float(len([step(n) for n in numbers])))
        peer = Side("padded loop", lambda numbers: float(len([loop.step(n) for n in numbers])))
        report(
            "unlearn_vs_loop",
            measure(ours, peer, STEPS, quick=quick),
            unit="ratio of steps per second",
            peer=f"transformers {loop.prompts_at_once} prompts a forward, padded",
            quick=quick,
        )


if __name__ == "__main__":
    main()
