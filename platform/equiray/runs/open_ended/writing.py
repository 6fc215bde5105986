"""What a model makes of prompts: asked, kept in the cache that all runs share, and read."""

from collections.abc import Sequence
from typing import Literal

import pyarrow as pa

from equiray.data.cases.chain_text import declines
from equiray.data.cases.open_ended import OpenPrompt
from equiray.models.engines.records import Completion, Message, Request, Sampling
from equiray.runs.directory import RunDirectory
from equiray.runs.open_ended.planning import PlannedPrompts
from equiray.runs.sampling.chains import completions_directory
from equiray.runs.sampling.engines import Engines
from equiray.specs.open_ended import ContinuationSpec
from equiray.streaming.generation import generate

Ask = Literal["continue", "instruct"]
_INSTRUCTION = "Continue this text. Write only what comes next, in one or two sentences.\n\n{text}"
_SCHEMA = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("group", pa.string()),
        ("family", pa.string()),
        ("number", pa.int64()),
        ("prompt", pa.string()),
        ("continuation", pa.string()),
        ("outcome", pa.string()),
        ("tokens", pa.int64()),
        ("finish", pa.string()),
    ]
)


def continuations(
    planned: PlannedPrompts,
    engines: Engines,
    sampling: ContinuationSpec,
    directory: RunDirectory,
    *,
    address: str | None = None,
) -> pa.Table:
    """Continuations of all prompts, written where they are not there yet; kept as ``continuations/<name>.parquet``.

    Columns: ``prompt_id``, ``group``, ``family``, ``number`` (of the continuation, from 0), ``prompt``,
    ``continuation``, ``outcome`` (``written``; ``empty``: nothing was said; ``refused``), ``tokens``, ``finish``.

    Raises
    ------
    BadInput
        The engine cannot read a prompt, or an endpoint keeps failing.
    Incomplete
        The disk is full or workers were lost; the same call goes on from what is kept.
    """
    file = f"continuations/{planned.name}.parquet"
    table = directory.read_table(file)
    if table is None:
        written = _write(planned.prompts, engines, sampling, address=address, label=planned.title)
        attribute = planned.spec.attribute
        rows = [
            _row(prompt, prompt.groups[attribute], completion, sampling.ask)
            for prompt, completions in zip(planned.prompts, written, strict=True)
            for completion in completions
        ]
        table = pa.Table.from_pylist(rows, schema=_SCHEMA)
        directory.write_table(file, table)
    return table


def request_of(prompt: OpenPrompt, sampling: ContinuationSpec) -> Request:
    """What an engine is asked: to write on its own turn, which the prompt has begun, or to continue a user's text."""
    if sampling.ask == "continue":
        message = Message("assistant", prompt.text)
    else:
        message = Message("user", _INSTRUCTION.format(text=prompt.text))
    return Request(request_id=prompt.prompt_id, messages=(message,), n=sampling.continuations)


def sampling_of(spec: ContinuationSpec) -> Sampling:
    """What engines are told."""
    return Sampling(
        temperature=spec.temperature, top_p=spec.top_p, max_tokens=spec.max_tokens, stop=spec.stop, seed=spec.seed
    )


def joined(prompt: str, continuation: str) -> str:
    """The text as a reader sees it."""
    return f"{prompt}{continuation}" if continuation[:1] in _STICKS else f"{prompt} {continuation}"


_STICKS = tuple(".,;:!?)]}'’")


def _write(
    prompts: Sequence[OpenPrompt], engines: Engines, sampling: ContinuationSpec, *, address: str | None, label: str
) -> list[tuple[Completion, ...]]:
    requests = [request_of(prompt, sampling) for prompt in prompts]
    chosen = engines.spec
    lm = engines.lm() if chosen.backend == "transformers" else None
    drawn = sampling_of(sampling)
    return generate(requests, chosen, drawn, completions_directory(), address=address, lm=lm, label=label)


def _row(prompt: OpenPrompt, group: str, completion: Completion, ask: Ask) -> dict[str, object]:
    text = " ".join(completion.text.split())
    if ask == "instruct":  # many models repeat what they are to continue
        text = text.removeprefix(prompt.text).strip()
    refused = completion.finish == "refusal" or declines(text)
    return {
        "prompt_id": prompt.prompt_id,
        "group": group,
        "family": prompt.family,
        "number": completion.index,
        "prompt": prompt.text,
        "continuation": text,
        "outcome": "refused" if refused else "written" if text else "empty",
        "tokens": completion.tokens,
        "finish": completion.finish,
    }
