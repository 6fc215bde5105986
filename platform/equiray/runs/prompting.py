"""Zero-shot decisions in a run: a language model is asked about each test row, here or behind an endpoint.

A prompt model is not trained, so CDA acts when it is asked: the probability of a row is averaged with those of its
counterfactual twins (`equiray.models.answers.average_with_twins`). Where an endpoint refused, or said something that
cannot be read, the predictions hold no decision and say which it was: counted by `runs.decisions`, never dropped.
"""

import pyarrow as pa

from equiray.data.counterfactuals import twins
from equiray.data.text import Serializer
from equiray.models.answers import Answers, average_with_twins, score_answers
from equiray.models.endpoint import Endpoint, ask
from equiray.models.loading import CausalLM
from equiray.runs.directory import RunDirectory
from equiray.specs.run import LanguageModelSpec


def prompt_answers(
    rows: pa.Table,
    flipped: tuple[str, ...] | None,
    serializer: Serializer,
    lm: CausalLM | LanguageModelSpec,
    directory: RunDirectory,
) -> Answers:
    """What a model answers about each row.

    Parameters
    ----------
    rows : pyarrow.Table
    flipped : tuple of str, optional
        Attributes whose twins are asked about too and averaged in (the CDA stages); None asks about rows alone.
    serializer : Serializer
    lm : CausalLM or LanguageModelSpec
        A model in this process, or the spec of an endpoint.
    directory : RunDirectory
        Keeps an endpoint's answers: no question is sent twice.
    """
    own = _ask(rows, serializer, lm, directory)
    if flipped is None:
        return own
    flips = twins(rows, serializer.schema, flipped).table
    place = {row_id: position for position, row_id in enumerate(rows["row_id"].to_pylist())}
    twin_of = [place[row_id] for row_id in flips["row_id"].to_pylist()]
    return average_with_twins(own, _ask(flips, serializer, lm, directory), twin_of)


def _ask(rows: pa.Table, serializer: Serializer, lm: CausalLM | LanguageModelSpec, directory: RunDirectory) -> Answers:
    prompts = serializer.prompts(rows)
    if isinstance(lm, CausalLM):
        return Answers.complete(score_answers(lm, prompts))
    endpoint = Endpoint(
        base_url=lm.source,
        model=lm.name or "default",
        logprobs=lm.prompt_logprobs,
        cache=directory.path / "endpoint",
    )
    answers, asked, cached = ask(endpoint, prompts)
    refused, unparsed = (answers.outcomes.count(outcome) for outcome in ("refused", "unparsed"))
    directory.say(
        f"endpoint: {asked} asked, {cached} kept from before; of {len(rows)} rows {refused} refused, "
        f"{unparsed} answered in words that could not be read"
    )
    return answers
