"""Completions by vLLM, through Ray Data's own processor.

What is notable:

- Every completion is a row with a seed of its own, so completion k depends on the seed, the request and k; vLLM's
  prefix cache computes a prompt once for its rows, which stand side by side.
- Prompts are tokenized here, as for the transformers engine: both read the same tokens.
- The processor hands rows on by the batch; a run that is killed loses the batches in flight, no more.
"""

import importlib.util
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from equiray.errors import BadInput
from equiray.models.engines.cache import CompletionCache
from equiray.models.engines.prompts import encode_conversations, prompts_sha256
from equiray.models.engines.protocol import Identity
from equiray.models.engines.records import Completion, Finish, Sampling, completion_key
from equiray.models.engines.stopping import end_tokens
from equiray.models.loading import load_causal_lm, locate
from equiray.models.merged import merged_directory
from equiray.models.sources import hub_answers, loading_from
from equiray.models.tree_attention import most_tokens
from equiray.specs.generation import EngineSpec
from equiray.streaming.generation_job import GenerationJob, adapter_of
from equiray.streaming.language_model import unlearned

_SEED_BITS = 63
_CACHE_GIB = "VLLM_CPU_KVCACHE_SPACE"  # of keys and values, on a CPU
_ENVIRONMENT = {_CACHE_GIB: os.environ.get(_CACHE_GIB, "2"), "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True, kw_only=True)
class VllmRecipe:
    """Which weights vLLM loads, and how it is set.

    Attributes
    ----------
    spec : EngineSpec
    directory : str
        Of the weights, an adapter merged in; or a hub id.
    identity : Identity
    """

    spec: EngineSpec
    directory: str
    identity: Identity

    @classmethod
    def of(cls, spec: EngineSpec) -> "VllmRecipe":
        """Find the weights, merged with the adapter if there is one.

        Raises
        ------
        BadInput
            vLLM is not installed, or there is no such model or adapter.
        """
        if importlib.util.find_spec("vllm") is None:
            raise BadInput(
                "vLLM is not installed",
                place="engine.backend: vllm",
                fix="make vllm; on a CUDA machine pip install 'equiray[vllm]'; or name the backend transformers",
            )
        adapter = adapter_of(spec)
        if adapter is None:
            directory, _, identity = locate(spec.source)
            model = identity or _hub_commit(directory)
        else:
            lm = unlearned(load_causal_lm(spec.source, dtype=spec.dtype), adapter)
            directory, model = str(merged_directory(lm)), lm.identity
        with loading_from(spec.source):
            tokenizer = AutoTokenizer.from_pretrained(directory)
        words = prompts_sha256(tokenizer)
        identity = Identity(backend="vllm", model=model, prompts_sha256=words, dtype=spec.dtype)
        return cls(spec=spec, directory=directory, identity=identity)

    def drive(self, job: GenerationJob) -> None:
        """Write a job's completions; runs in a Ray task.

        Raises
        ------
        BadInput
            A prompt leaves no room for an answer in what the model reads at once.
        """
        import ray
        from ray.data.llm import build_processor

        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(self.directory)
        prompts = encode_conversations(tokenizer, [request.messages for request in job.requests])
        context = self._context(job, prompts)
        rows = [(place, index) for place, request in enumerate(job.requests) for index in request.wanted]
        parameters = _parameters(job.sampling)
        items = [
            {
                "place": place,
                "index": index,
                "tokenized_prompt": prompts[place],
                "seed": completion_key(job.requests[place].messages, job.sampling.seed, index) % 2**_SEED_BITS,
            }
            for place, index in rows
        ]
        batch = max(1, self.spec.batch_chains // 4)  # several batches at once keep the engine full
        processor = build_processor(
            self._config(context, batch),
            preprocess=lambda row: {"sampling_params": parameters | {"seed": row["seed"]}},
            postprocess=lambda row: {
                name: row[name] for name in ("place", "index", "generated_text", "generated_tokens")
            },
        )
        dataset = ray.data.from_items(items, override_num_blocks=math.ceil(len(items) / batch))
        cache = CompletionCache(job.directory, job.identity)
        ends = end_tokens(tokenizer, _generation_config(self.directory))
        for row in processor(dataset).iter_rows():
            request, tokens = job.requests[row["place"]], list(row["generated_tokens"])
            said = tokenizer.decode(tokens, skip_special_tokens=True)
            completion = Completion(
                request_id=request.request_id,
                index=row["index"],
                text=row["generated_text"],
                tokens=len(tokens),
                finish=_finish(tokens, str(said), ends, job.sampling, context - len(prompts[row["place"]])),
            )
            cache.add(request, job.sampling, completion)

    def engine_kwargs(self, context: int) -> dict[str, Any]:
        """How vLLM is set.

        Without a GPU nothing is compiled, which would take longer than it saves, and prompts are read whole: after a
        part of one, vLLM sets a request's own random generator back, which generators on a CPU cannot.
        """
        return {
            "dtype": self.spec.dtype,
            "max_model_len": context,
            "max_num_seqs": self.spec.batch_chains,
            "enforce_eager": not self.spec.gpus_per_actor,
            "enable_chunked_prefill": bool(self.spec.gpus_per_actor),
        }

    def _config(self, context: int, batch: int) -> Any:
        from ray.data.llm import vLLMEngineProcessorConfig

        gpus = self.spec.gpus_per_actor
        bundle = {"CPU": max(1.0, self.spec.cpus_per_actor)} | ({"GPU": gpus} if gpus else {})
        return vLLMEngineProcessorConfig(
            model_source=self.directory,
            engine_kwargs=self.engine_kwargs(context),
            placement_group_config={"bundles": [bundle]},
            concurrency=(self.spec.actors, self.spec.actors),
            batch_size=batch,
            max_concurrent_batches=8,
            # strings that another package's stage would write differently, and processes that take memory
            chat_template_stage=False,
            tokenize_stage=False,
            detokenize_stage=False,
            log_engine_metrics=False,
            runtime_env={"env_vars": _ENVIRONMENT},
        )

    def _context(self, job: GenerationJob, prompts: Sequence[Sequence[int]]) -> int:
        """Tokens of the longest prompt with its answer, as far as the model reads."""
        with loading_from(self.directory):
            most = most_tokens(AutoConfig.from_pretrained(self.directory)) or sys.maxsize
        for request, prompt in zip(job.requests, prompts, strict=True):
            if len(prompt) >= most:
                raise BadInput(
                    f"a prompt of {len(prompt)} tokens, where the model reads {most} at once, its answer included",
                    place=f"request {request.request_id!r}",
                    fix="shorten the case or the instructions, or take a model that reads more",
                )
        return min(most, max(map(len, prompts)) + job.sampling.max_tokens)


def _parameters(sampling: Sampling) -> dict[str, Any]:
    """What `vllm.SamplingParams` takes, but for the seed."""
    parameters: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
    }
    return parameters | ({"stop": list(sampling.stop)} if sampling.stop else {})


def _finish(tokens: Sequence[int], said: str, ends: frozenset[int], sampling: Sampling, room: int) -> Finish:
    """Why a completion ended, which the processor does not hand on."""
    if (tokens and tokens[-1] in ends) or any(stop in said for stop in sampling.stop):
        return "stop"
    return "length" if len(tokens) >= min(sampling.max_tokens, room) else "stop"


def _generation_config(directory: str) -> GenerationConfig | None:
    try:
        return GenerationConfig.from_pretrained(directory)
    except OSError:  # the file is no part of every model
        return None


def _hub_commit(source: str) -> str:
    offline = not hub_answers(source)
    with loading_from(source):
        config = AutoConfig.from_pretrained(source, local_files_only=offline)
    return str(getattr(config, "_commit_hash", None) or source)
