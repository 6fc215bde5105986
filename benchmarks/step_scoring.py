"""What the two benchmarks of step scoring share: real chains, and the loop that scores one step per forward.

The chains are the embedded model's own, sampled once about BBQ's questions on age, and cut at line ends. The loop is
that of the authors of arXiv 2507.11344: one sequence a forward, no padding, the logit at its last token; it gets the
same weights in the layers that transformers made. Both get the same tokens.
"""

import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from embed_vs_gemm import GEMM_TOKENS, distinct_prefixes, gemm_pass, layers
from harness import Rates, Side, agree, measure_sides, report, start
from rows import embedded_model, plain_model

from equiray.data.cases.record import Case
from equiray.mitigation.reward.inputs import Inputs
from equiray.mitigation.reward.model import RewardModel, fresh_model
from equiray.mitigation.reward.steps import Chain, ReasonedCase, split_steps
from equiray.models.loading import CausalLM, load_causal_lm
from equiray.specs.reward_model import Reading, RewardModelSpec

CASES, CHAINS, TOKENS = 32, 8, 128
QUICK_CASES, QUICK_CHAINS, QUICK_TOKENS = 4, 4, 40
SEED = 0


def bbq_questions(count: int) -> list[Case]:
    """Questions on age, ambiguous and disambiguated, spread over the file."""
    file = Path(os.environ.get("EQUIRAY_DATA", ".")) / "bbq" / "Age.jsonl"
    if not file.is_file():
        raise SystemExit(f"no {file}: EQUIRAY_DATA names a mirror of the public data")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    chosen = rows[:: len(rows) // count][:count]
    return [
        Case(
            case_id=f"age-{row['example_id']}",
            dataset="bbq",
            category="Age",
            text=f"{row['context']} {row['question']}",
            options=(row["ans0"], row["ans1"], row["ans2"]),
            answer=row["label"],
        )
        for row in chosen
    ]


@torch.inference_mode()
def sampled(lm: CausalLM, cases: list[Case], chains: int, tokens: int) -> list[ReasonedCase]:
    """Chains of steps, a line each, as the model writes them at temperature .8."""
    made = []
    torch.manual_seed(SEED)
    for case in cases:
        options = "\n".join(f"{letter}. {option}" for letter, option in zip("ABC", case.options, strict=True))
        question = f"{case.text}\n{options}\nThink step by step, one short sentence a line, then name the answer."
        chat = [{"role": "user", "content": question}]
        prompt = str(lm.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))
        ids = lm.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        length = ids["input_ids"].shape[1]
        written = lm.model.generate(  # pyright: ignore[reportCallIssue]
            **ids.to(lm.model.device),
            do_sample=True,
            temperature=0.8,
            num_return_sequences=chains,
            max_new_tokens=tokens,
        )
        texts = lm.tokenizer.batch_decode(written[:, length:], skip_special_tokens=True)
        steps = [split_steps(text, r"\n+") for text in texts]
        made.append(
            ReasonedCase(
                case=case,
                question=question,
                chains=tuple(
                    Chain(case_id=case.case_id, index=i, steps=of, answer=None, outcome="unparsed")
                    for i, of in enumerate(steps)
                ),
            )
        )
    return made


@torch.inference_mode()
def one_per_forward(lm: CausalLM, head: torch.nn.Linear, inputs: Inputs) -> np.ndarray:
    """Probabilities of all readings, each from a forward of its own over what stands before it."""
    logits = []
    for sequence, ends in zip(inputs.sequences, inputs.ends, strict=True):
        for end in ends:
            ids = torch.tensor([sequence[: end + 1]], device=lm.model.device)
            state = lm.backbone(input_ids=ids, use_cache=False).last_hidden_state[0, -1]
            logits.append(head(state.float()))
    return torch.sigmoid(torch.cat(logits)).double().cpu().numpy()


def packed(model: RewardModel, inputs: Inputs) -> np.ndarray:
    """Probabilities of all readings, as equiray scores them."""
    return model.calibration.probabilities(model.logits(inputs))


def compare(description: str, name: str, reading: Reading, target: float) -> None:
    """Measure, check and report."""
    quick = start(description)
    lm, peer = embedded_model(), plain_model()
    cases, chains, tokens = (QUICK_CASES, QUICK_CHAINS, QUICK_TOKENS) if quick else (CASES, CHAINS, TOKENS)
    began = time.perf_counter()
    asked = sampled(lm, bbq_questions(cases), chains, tokens)
    steps = sum(len(chain.steps) for one in asked for chain in one.chains)
    print(f"{cases} cases x {chains} chains, {steps} steps, sampled in {time.perf_counter() - began:.0f} s")
    spec = RewardModelSpec(reading=reading, dtype="bfloat16")
    _check_float32(asked[:2], reading)
    weights = layers(peer)
    per_token = 2.0 * sum(weight.numel() for weight in weights)
    states = {w.shape[1]: torch.randn(GEMM_TOKENS, w.shape[1], dtype=w.dtype, device=w.device) for w in weights}
    with fresh_model(lm, spec, seed=SEED) as model:
        inputs = [model.inputs([one]) for one in asked]

        def joined(chosen: range) -> Inputs:
            parts = [inputs[i] for i in chosen]
            sequences = tuple(sequence for part in parts for sequence in part.sequences)
            return Inputs(sequences=sequences, ends=tuple(end for part in parts for end in part.ends))

        few = joined(range(min(4, cases)))
        agree("probabilities in bf16", packed(model, few), one_per_forward(peer, model.head, few), 2e-2)
        needed: dict[range, float] = {}

        def ours(chosen: range) -> float:
            batch = joined(chosen)
            packed(model, batch)
            if chosen not in needed:
                needed[chosen] = per_token * distinct_prefixes([*map(list, batch.sequences)]) / batch.first[-1]
            return float(batch.first[-1])

        def single(chosen: range) -> float:
            return float(len(one_per_forward(peer, model.head, joined(chosen))))

        def multiply(_: range) -> float:
            gemm_pass(weights, states)
            return per_token * GEMM_TOKENS

        sides = (Side("equiray", ours), Side("one step per forward", single), Side("GEMM", multiply))
        taken = measure_sides(sides, cases, quick=quick)
    flops = list(needed.values())[-len(taken) :]
    for rates, per_step in zip(taken, flops, strict=False):
        share = rates["equiray"] * per_step / rates["GEMM"]
        print(f"{share:.0%} of the bf16 GEMM rate ({rates['GEMM'] / 1e9:.0f} GFLOP/s)")
    report(
        name,
        [Rates(rates["equiray"], rates["one step per forward"]) for rates in taken],
        unit="times the steps per second",
        peer="transformers, bf16, one step per forward",
        quick=quick,
        target=target,
    )


def _check_float32(asked: list[ReasonedCase], reading: Reading) -> None:
    lm = load_causal_lm("embedded", dtype="float32")
    with fresh_model(lm, RewardModelSpec(reading=reading), seed=SEED) as model:
        inputs = model.inputs(asked)
        agree("probabilities in fp32", packed(model, inputs), one_per_forward(lm, model.head, inputs), 1e-5)
