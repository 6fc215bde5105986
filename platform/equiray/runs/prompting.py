"""Zero-shot decisions in a run: a language model is asked about each test row, here or behind an endpoint.

A prompt model is not trained, so CDA acts when it is asked: the probability of a row is averaged with those of its
counterfactual twins (`equiray.models.answers.average_with_twins`). An endpoint's refusals and unparsable answers are
NaN here and null in the predictions: counted by `equiray.runs.results`, never dropped.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.counterfactuals import twins
from equiray.data.text import Serializer
from equiray.models.answers import average_with_twins, score_answers
from equiray.models.endpoint import Endpoint, ask
from equiray.models.loading import CausalLM
from equiray.runs.directory import RunDirectory
from equiray.specs import LanguageModelSpec


def prompt_scores(
    rows: pa.Table,
    flipped: tuple[str, ...] | None,
    serializer: Serializer,
    lm: CausalLM | LanguageModelSpec,
    directory: RunDirectory,
) -> NDArray[np.float64]:
    """Probability of the positive answer for each row, NaN where an endpoint gave none.

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


def _ask(
    rows: pa.Table, serializer: Serializer, lm: CausalLM | LanguageModelSpec, directory: RunDirectory
) -> NDArray[np.float64]:
    prompts = serializer.prompts(rows)
    if isinstance(lm, CausalLM):
        return score_answers(lm, prompts)
    endpoint = Endpoint(
        base_url=lm.source,
        model=lm.name or "default",
        logprobs=lm.prompt_logprobs,
        cache=directory.path / "endpoint",
    )
    answers = ask(endpoint, prompts)
    lost = sum(outcome != "scored" for outcome in answers.outcomes)
    directory.say(f"endpoint: {answers.asked} asked, {answers.cached} kept from before, {lost} rows without an answer")
    return answers.probabilities
