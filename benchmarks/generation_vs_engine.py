"""What keeping completions costs: completions per second of the whole path over those of the bare engine.

    python benchmarks/generation_vs_engine.py [--quick]

Ours is `equiray.streaming.generation.generate` into an empty cache: requests are told apart, each completion is kept on
disk as it is written, progress is shown, all are read back. The peer is the same engine's bare `generate` on the same
BBQ-like prompts with the same settings, and both must write the same texts. Where vLLM is installed it is measured
likewise, as generation_vs_engine_vllm: the whole path through Ray Data against vLLM's own `LLMEngine` fed with the same
tokens. Start-up is in neither: both count from when the first `LIVE_CHAINS` completions are there to the last one.
"""

import importlib.util
import itertools
import sys
import tempfile
import threading
import time
from pathlib import Path

from harness import REPEATS, Rates, Side, measure, report, start, usable_cores
from rows import embedded_model

from equiray.models.engines.prompts import encode_conversations
from equiray.models.engines.records import Message, Request, Sampling, completion_key
from equiray.models.engines.transformers_engine import TransformersEngine
from equiray.models.loading import CausalLM
from equiray.specs.generation import EngineSpec
from equiray.streaming.generation import generate

LIVE_CHAINS, CHAINS, MAX_TOKENS = 64, 8, 96
VLLM_REQUESTS, QUICK_VLLM_REQUESTS = 48, 20
HERE = EngineSpec(batch_chains=LIVE_CHAINS)
SAMPLING = Sampling(temperature=0.8, max_tokens=MAX_TOKENS)

_PEOPLE = (("a nurse", "an engineer"), ("a teenager", "a retired man"), ("a refugee", "a teacher"), ("a boy", "a girl"))
_PLACES = (
    "at the library",
    "in the queue of a bank",
    "on the bus",
    "at a reunion",
    "in the waiting room",
    "at the gym",
)
_DOINGS = ("talking about a new phone", "waiting for a form", "looking for a job", "asking for a loan")
_ASKED = ("Who was forgetful?", "Who was good at numbers?", "Who needed help?", "Who was in charge?")


def requests() -> list[Request]:
    """Ambiguous questions with three options: 384 of them."""
    made = []
    for (one, other), place, doing, asked in itertools.product(_PEOPLE, _PLACES, _DOINGS, _ASKED):
        text = (
            f"I saw {one} and {other} {place}, {doing}. {asked}\nA. {one}\nB. {other}\nC. Cannot be determined\n"
            "Think step by step, each step in a paragraph of its own, then answer with one letter."
        )
        made.append(Request(request_id=str(len(made)), messages=(Message("user", text),), n=CHAINS))
    return made


def transformers(asked: list[Request], lm: CausalLM, *, quick: bool) -> None:
    """The engine in this process, on torch's threads."""
    engine = TransformersEngine(lm=lm, live_chains=LIVE_CHAINS)
    texts: dict[str, list[tuple[str, int, str]]] = {}

    def whole(rows: range) -> float:
        with tempfile.TemporaryDirectory() as folder:
            some = asked[rows.start : rows.stop]
            found = generate(some, HERE, SAMPLING, Path(folder), lm=lm, label="generation")
        texts["ours"] = sorted((c.request_id, c.index, c.text) for chains in found for c in chains)
        return float(len(texts["ours"]))

    def bare(rows: range) -> float:
        found = engine.generate(asked[rows.start : rows.stop], SAMPLING)
        texts["bare"] = sorted((c.request_id, c.index, c.text) for c in found)
        return float(len(texts["bare"]))

    for side in (whole, bare):
        side(range(4))
    if texts["ours"] != texts["bare"]:
        raise SystemExit("the two sides did not write the same texts")
    print(f"same texts; {CHAINS} completions a request, up to {MAX_TOKENS} tokens, {LIVE_CHAINS} at once")
    rates = measure(
        Side("whole path", whole), Side("bare engine", bare), len(asked), quick=quick, at_least=LIVE_CHAINS // 2
    )
    peer = "TransformersEngine.generate on the same requests"
    report("generation_vs_engine", rates, unit="times the completions per second", peer=peer, quick=quick, target=0.9)


def vllm(asked: list[Request], lm: CausalLM, *, quick: bool) -> None:
    """The engine in processes of its own: rates between the first full batch and the last completion."""
    asked = asked[: QUICK_VLLM_REQUESTS if quick else VLLM_REQUESTS]
    bare, rates = BareVllm(asked, lm), []
    for _ in range(1 if quick else REPEATS):
        rates.append(Rates(ours=streamed(asked), peer=bare.rate()))
        print(f"ours {rates[-1].ours:.2f}, bare {rates[-1].peer:.2f} completions/s")
    report(
        "generation_vs_engine_vllm",
        rates,
        unit="times the completions per second",
        peer="vllm.LLMEngine on the same tokens",
        quick=quick,
        target=0.9,
    )


def vllm_spec() -> EngineSpec:
    """One engine on all cores."""
    return EngineSpec(backend="vllm", batch_chains=LIVE_CHAINS, cpus_per_actor=usable_cores())


def streamed(asked: list[Request]) -> float:
    """Completions per second of the whole path, watched from outside."""
    with tempfile.TemporaryDirectory() as folder:
        marks: list[tuple[float, int]] = []
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.1):
                lines = sum(shard.read_bytes().count(b"\n") for shard in Path(folder).glob("*/*.jsonl"))
                if lines and (not marks or lines > marks[-1][1]):
                    marks.append((time.perf_counter(), lines))

        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.perf_counter()
        generate(asked, vllm_spec(), SAMPLING, Path(folder), label="vLLM")
        ended.set()
        watcher.join()
    print(f"first completions {marks[0][0] - began:.0f} s after the start")
    return _rate(marks)


def _rate(marks: list[tuple[float, int]]) -> float:
    """Of what came after the first full batch."""
    first = next(mark for mark in marks if mark[1] >= LIVE_CHAINS)
    return (marks[-1][1] - first[1]) / (marks[-1][0] - first[0])


class BareVllm:
    """vLLM alone, with the settings that the whole path gives it."""

    def __init__(self, asked: list[Request], lm: CausalLM) -> None:
        from vllm import LLM  # pyright: ignore[reportMissingImports]

        from equiray.streaming.generation_vllm import VllmRecipe

        recipe = VllmRecipe.of(vllm_spec())
        self.prompts = encode_conversations(lm.tokenizer, [request.messages for request in asked])
        context = max(map(len, self.prompts)) + MAX_TOKENS
        self.llm = LLM(model=recipe.directory, **recipe.engine_kwargs(context))
        self.asked = asked

    def rate(self) -> float:
        """Completions per second, counted as those of the whole path are."""
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

        self.llm.reset_prefix_cache()
        engine, names = self.llm.llm_engine, itertools.count()
        for request, prompt in zip(self.asked, self.prompts, strict=True):
            for index in request.wanted:
                seed = completion_key(request.messages, SAMPLING.seed, index) % 2**63
                drawn = SamplingParams(temperature=SAMPLING.temperature, max_tokens=MAX_TOKENS, seed=seed)
                engine.add_request(str(next(names)), {"prompt_token_ids": prompt}, drawn)
        marks, done = [], 0
        while engine.has_unfinished_requests():
            done += sum(output.finished for output in engine.step())
            marks.append((time.perf_counter(), done))
        return _rate(marks)


def main() -> None:
    """Measure, check and report."""
    quick, asked, lm = start(__doc__ or ""), requests(), embedded_model()
    transformers(asked, lm, quick=quick)
    if importlib.util.find_spec("vllm") is None:
        print("vLLM is not installed (make vllm): not measured")
    else:
        vllm(asked, lm, quick=quick)


if __name__ == "__main__":
    sys.exit(main())
