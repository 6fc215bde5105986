"""ACS rows as folktexts asks about them, and equiray's answer to the same words: shared by the score benchmarks."""

# The peers are installed by `make bench` alone.
# pyright: reportMissingImports=false

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import pandas as pd
from folktexts.acs.acs_tasks import ACSTaskMetadata
from folktexts.prompting import encode_row_prompt
from folktexts.qa_interface import MultipleChoiceQA
from folktexts.task import TaskMetadata

from equiray.data.sources import locate
from equiray.data.tasks.acs import TEST
from equiray.errors import BadInput
from equiray.models.loading import CausalLM
from equiray.models.scoring import Scorer

ROWS = 1024


class Asked(NamedTuple):
    """A row's prompt with the options in one order: which of its letters means employed."""

    text: str
    positive: str
    negative: str


def task() -> TaskMetadata:
    """Employment, multiple choice, as folktexts defines it."""
    return ACSTaskMetadata.get_task("ACSEmployment", use_numeric_qa=False)


def acs_rows() -> pd.DataFrame:
    """The first rows of the mirrored ACS table, in the Census Bureau's codes."""
    found = locate([(TEST,)], download=False)
    if found is None:
        raise BadInput("the ACS rows are not here", place=TEST.name, fix="set EQUIRAY_DATA to the public data's mirror")
    rows = pd.read_parquet(found.paths[0], columns=task().features).head(ROWS)
    parents = rows["ESP"].where(rows["ESP"] != 0)  # folktexts knows "not applicable" as a missing value
    return rows.assign(RAC1P=rows["RAC1P"] + 1, MIG=rows["MIG"].replace(0, 3), ESP=parents)


def prompts(rows: pd.DataFrame) -> list[tuple[Asked, Asked]]:
    """Both orders of the options for every row, in folktexts' own words."""
    question = cast(MultipleChoiceQA, task().question)
    orders = list(MultipleChoiceQA.create_answer_keys_permutations(question))
    letters = []
    for order in orders:
        worth = {key: choice.get_numeric_value() for key, choice in order.key_to_choice.items()}
        letters.append((max(worth, key=worth.__getitem__), min(worth, key=worth.__getitem__)))

    def ask(row: pd.Series, order: int) -> Asked:
        return Asked(encode_row_prompt(row, task=task(), question=orders[order]), *letters[order])

    return [(ask(row, 0), ask(row, 1)) for _, row in rows.iterrows()]


def answer_tokens(lm: CausalLM) -> dict[str, int]:
    """The token of each letter after "Answer:"."""
    return {letter: lm.tokenizer(f" {letter}", add_special_tokens=False)["input_ids"][0] for letter in "AB"}


def equiray_scores(lm: CausalLM, rows: Sequence[tuple[Asked, Asked]]) -> np.ndarray:
    """P(employed), float64 [rows], averaged over both orders."""
    letter = answer_tokens(lm)
    asked = [one for pair in rows for one in pair]
    heads = lm.tokenizer([one.text for one in asked])["input_ids"]
    pairs = [(letter[one.positive], letter[one.negative]) for one in asked]
    sequences = [[*head, answer] for head, pair in zip(heads, pairs, strict=True) for answer in pair]
    first = np.repeat([len(head) for head in heads], 2)
    sums, _ = Scorer(lm=lm).sequence_logprobs(sequences, first)
    positive, negative = sums.reshape(-1, 2).T
    return (1 / (1 + np.exp(negative - positive))).reshape(-1, 2).mean(axis=1)
