"""`Sampler`: from cases to chains that are written, kept, and read.

What an engine wrote is kept in a cache that all runs of a user share (``EQUIRAY_CACHE``, else ``~/.cache/equiray``;
`equiray.models.engines.cache`), under all that it depends on: a resumed run, another run about the same cases, and the
same run on another number of workers sample nothing twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from equiray.data.cases.asking import Asking, Question, Variant, ask
from equiray.data.cases.chain_text import read_chain_or_answer
from equiray.data.cases.record import Case
from equiray.mitigation.reward.steps import Chain, ReasonedCase
from equiray.models.engines.asked import messages_of
from equiray.models.engines.records import Completion, Request, Sampling
from equiray.models.gguf import cache_directory
from equiray.runs.directory import RunDirectory
from equiray.runs.sampling.engines import Engines
from equiray.specs.generation import SamplingSpec
from equiray.streaming.generation import generate

_SCHEMA = pa.schema(
    [
        ("case_id", pa.string()),
        ("category", pa.string()),
        ("chain", pa.int64()),
        ("outcome", pa.string()),
        ("answer", pa.int64()),
        ("steps", pa.list_(pa.string())),
        ("only_answer", pa.bool_()),
        ("text", pa.string()),
        ("tokens", pa.int64()),
        ("finish", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """How chains of cases are made.

    Attributes
    ----------
    engines : Engines
    sampling : SamplingSpec
    separator : str
        Between the steps of a chain.
    order_seed : int
        Of the order in which options are shown.
    address : str or None
        Ray cluster that writes; None: this machine.
    """

    engines: Engines
    sampling: SamplingSpec
    separator: str
    order_seed: int
    address: str | None = None

    def questions(self, cases: Sequence[Case], variant: Variant = "reason") -> dict[str, Question]:
        """How each case is asked, by case id."""
        asking = Asking(variant=variant, order_seed=self.order_seed, examples=self.sampling.examples)
        return {case.case_id: ask(case, asking) for case in cases}

    def chains(
        self, cases: Sequence[Case], name: str, directory: RunDirectory, variant: Variant = "reason"
    ) -> pa.Table:
        """Chains of all cases, written where they are not there yet; kept as ``chains/<name>.parquet``.

        Columns: ``case_id``, ``category``, ``chain`` (its place, from 0), ``outcome``, ``answer`` (place among the
        case's options, null without one), ``steps``, ``only_answer`` (the one step is the line that answers), ``text``,
        ``tokens``, ``finish``.

        Raises
        ------
        BadInput
            The engine cannot read a question, or an endpoint keeps failing.
        Incomplete
            The disk is full; the same call goes on from what is kept.
        """
        file = f"chains/{name}.parquet"
        table = directory.read_table(file)
        if table is None:
            questions = self.questions(cases, variant)
            written = self.write(questions, name)
            table = _table(cases, questions, written, self.separator)
            directory.write_table(file, table)
        return table

    def ahead(self, sets: Mapping[str, Sequence[Case]], directory: RunDirectory, variant: Variant = "reason") -> None:
        """Write what `chains` will read of several sets, by name, at once: vLLM takes half a minute to start.

        Raises
        ------
        BadInput, Incomplete
            As `chains`.
        """
        lacking = [name for name in sets if not (directory.path / f"chains/{name}.parquet").is_file()]
        cases = [case for name in lacking for case in sets[name]]
        if cases:
            with directory.step(f"{', '.join(lacking)}: sample chains"):
                self.write(self.questions(cases, variant), "chains")

    def write(self, questions: Mapping[str, Question], label: str) -> list[tuple[Completion, ...]]:
        """Completions of all questions; those that are kept already are read."""
        chosen = self.engines.spec
        requests = [
            Request(request_id=name, messages=messages_of(one), n=self.sampling.chains)
            for name, one in questions.items()
        ]
        lm = self.engines.lm() if chosen.backend == "transformers" else None
        sampling = sampling_of(self.sampling)
        return generate(requests, chosen, sampling, completions_directory(), address=self.address, lm=lm, label=label)


def sampling_of(spec: SamplingSpec) -> Sampling:
    """What engines are told."""
    return Sampling(
        temperature=spec.temperature, top_p=spec.top_p, max_tokens=spec.max_tokens, stop=spec.stop, seed=spec.seed
    )


def completions_directory() -> Path:
    """Where what engines wrote is kept."""
    return cache_directory() / "completions"


def reasoned_cases(cases: Sequence[Case], questions: Mapping[str, Question], table: pa.Table) -> list[ReasonedCase]:
    """Cases with their chains, in the order of `cases`."""
    columns = table.select(["case_id", "chain", "outcome", "answer", "steps"]).to_pydict()
    chains: dict[str, list[Chain]] = {case.case_id: [] for case in cases}
    for case_id, index, outcome, answer, steps in zip(*columns.values(), strict=True):
        if case_id in chains:
            chain = Chain(case_id=case_id, index=index, steps=tuple(steps), answer=answer, outcome=outcome)
            chains[case_id].append(chain)
    return [
        ReasonedCase(case=case, question=questions[case.case_id].text, chains=tuple(chains[case.case_id]))
        for case in cases
    ]


def _table(
    cases: Sequence[Case],
    questions: Mapping[str, Question],
    written: Sequence[tuple[Completion, ...]],
    separator: str,
) -> pa.Table:
    rows = []
    for case, completions in zip(cases, written, strict=True):
        for completion in completions:
            declined = completion.finish == "refusal"
            question = questions[case.case_id]
            read, only_answer = read_chain_or_answer(completion.text, question, separator=separator, declined=declined)
            rows.append(
                {
                    "case_id": case.case_id,
                    "category": case.category,
                    "chain": completion.index,
                    "outcome": read.outcome,
                    "answer": read.answer,
                    "steps": list(read.steps),
                    "only_answer": only_answer,
                    "text": completion.text,
                    "tokens": completion.tokens,
                    "finish": completion.finish,
                }
            )
    return pa.Table.from_pylist(rows, schema=_SCHEMA)
