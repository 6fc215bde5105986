"""Rows as text: `The {feature} is {value}.`, most important feature first, within a token budget.

What is notable:

- The budget drops whole features, the least important first; it never cuts a sentence and never drops the question.
- Each distinct sentence is tokenized once. Token counts are near additive over sentences, so a row's length is a sum,
  corrected by what `Serializer.fit` measured; only rows whose sum comes close to the budget are tokenized whole.
- Which features a row keeps is decided on its longest declared twin, so a row and its counterfactuals always keep the
  same ones, and the decision needs no memory: it holds in any process, for any batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.schema import Schema, Task
from equiray.data.wording import Template, Value, item_in_row, item_text, plain, row_text
from equiray.errors import BadInput

CountTokens = Callable[[Sequence[str]], list[int]]

TASK_PREFIX = "Read the description and answer the question about it.\n\n"

_CALIBRATION_ROWS = 64
_CHARACTERS_PER_TOKEN = 64  # no tokenizer reads prose in longer tokens: a longer sentence is over budget uncounted
_NEVER_FITS = 1 << 24


class Dropped(NamedTuple):
    """A feature that the budget kept out of `rows` of the task's rows."""

    feature: str
    rows: int


class Prompts(NamedTuple):
    """Prompts of a table's rows, split where they can be shared: prompt i is task_prefix + row_bodies[i] + suffix.

    `answers` are the schema's two answers as continuations of a prompt, each with its leading space; `answered_in` says
    whether a model answers in these words or by the letter of its choice.
    """

    task_prefix: str
    row_bodies: list[str]
    suffix: str
    answers: tuple[str, str]
    answered_in: Literal["letters", "words"] = "letters"


class _Column(NamedTuple):
    """One feature of a table: row i reads `items[codes[i]]`, and no declared twin of it is longer than `longest`."""

    codes: NDArray[np.int64]
    items: list[str]
    longest: list[str]
    tokens: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Serializer:
    """Turns rows of one task into text; made by `Serializer.fit`.

    Attributes
    ----------
    order : tuple of str
        Every feature of the schema, most important first.
    max_tokens : int
        Longest prompt allowed: row text with task prefix and question, special tokens included.
    base, margin : int
        Tokens that a prompt has beside its sentences, and how far a sum of sentences may be off, both measured.
    dropped : tuple of Dropped
        What the budget kept out of the task's rows, in feature order; empty where everything fits.
    """

    schema: Schema
    template: Template
    order: tuple[str, ...]
    max_tokens: int
    count_tokens: CountTokens
    base: int = 0
    margin: int = 0
    dropped: tuple[Dropped, ...] = ()

    @classmethod
    def fit(
        cls, task: Task, *, template: Template, order: Sequence[str], max_tokens: int, count_tokens: CountTokens
    ) -> "Serializer":
        """Measure the tokenizer on training rows and find what the budget drops from the task.

        Parameters
        ----------
        task : Task
            Token counts are calibrated on its training split; `dropped` covers all its rows.
        template : {"text", "list", "json"}
            ``The age is 39. The sex is Male.``, ``- age: 39`` in lines, or one JSON object.
        order : sequence of str
            Features, most important first (`equiray.data.importance.feature_importance`).
        max_tokens : int
            Token budget of a prompt.
        count_tokens : callable
            Token counts of texts, as the model will read them. Must not depend on the other texts of the call.

        Raises
        ------
        BadInput
            Unknown template, an order that is no permutation of the features, or a budget too small for the
            question or for the most important feature of some row.
        """
        _check(task.schema, template, order)
        unmeasured = cls(
            schema=task.schema, template=template, order=tuple(order), max_tokens=max_tokens, count_tokens=count_tokens
        )
        serializer = unmeasured._calibrated(task.split("train"))
        kept = serializer._kept(task.table, serializer._columns(task.table))
        rows = [int(np.sum(kept <= position)) for position in range(len(order))]
        dropped = tuple(Dropped(name, n) for name, n in zip(order, rows, strict=True) if n)
        return replace(serializer, dropped=dropped)

    def texts(self, table: pa.Table) -> list[str]:
        """The text of each row, in row order: what an embedding model reads.

        Raises
        ------
        BadInput
            A row whose most important feature alone is over the budget.
        """
        columns = self._columns(table)
        kept = self._kept(table, columns)
        items = [np.array(column.items, dtype=object)[column.codes] for column in columns]
        return [row_text(self.template, row[:k]) for row, k in zip(zip(*items, strict=True), kept, strict=True)]

    def prompts(self, table: pa.Table) -> Prompts:
        """The prompt of each row, in its shareable parts: what a language model answers.

        The question is the schema's, after the row as in TabLLM (arXiv 2210.10723).
        """
        return self.prompts_of(self.texts(table))

    def prompts_of(self, texts: list[str]) -> Prompts:
        """The prompts of rows whose texts are known."""
        first, second = self.schema.answers
        return Prompts(TASK_PREFIX, texts, _suffix(self.schema), (f" {first}", f" {second}"))

    def _prompt(self, items: Sequence[str]) -> str:
        return TASK_PREFIX + row_text(self.template, items) + _suffix(self.schema)

    def _columns(self, table: pa.Table) -> list[_Column]:
        return [self._column(table, name) for name in self.order]

    def _column(self, table: pa.Table, name: str) -> _Column:
        encoded = table[name].combine_chunks().dictionary_encode(null_encoding="encode")
        values = encoded.dictionary.to_pylist()
        twins = _reachable(self.schema, name)
        known = list(dict.fromkeys([*values, *(twin for value in values for twin in twins.get(value, ()))]))
        label = self.schema.feature(name).label
        item = {value: item_text(self.template, label, value) for value in known}
        tokens = dict(zip(known, self._item_tokens(list(item.values())), strict=True))
        longest = [max(twins.get(v, (v,)), key=lambda twin: (tokens[twin], len(item[twin]))) for v in values]
        return _Column(
            codes=encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64),
            items=[item[value] for value in values],
            longest=[item[value] for value in longest],
            tokens=np.array([tokens[value] for value in longest], dtype=np.int64),
        )

    def _item_tokens(self, items: list[str]) -> list[int]:
        """Tokens that each item adds to a row, counted with its separator and without special tokens."""
        too_long = _CHARACTERS_PER_TOKEN * self.max_tokens
        short = [item_in_row(self.template, item) for item in items if len(item) <= too_long]
        special, *counts = self.count_tokens(["", *short])
        counted = iter(counts)
        return [next(counted) - special if len(item) <= too_long else _NEVER_FITS for item in items]

    def _calibrated(self, train: pa.Table) -> "Serializer":
        """Set `base` and `margin` from whole prompts of training rows, with all, half and one of their features."""
        (frame,) = self.count_tokens([self._prompt([])])
        if frame >= self.max_tokens:
            raise BadInput(
                f"the question alone takes {frame} of {self.max_tokens} tokens",
                place=f"serialization.max_tokens, task {self.schema.name!r}",
                fix=f"raise max_tokens; {frame + 150} leave room for most rows",
            )
        rows = np.linspace(0, len(train) - 1, min(len(train), _CALIBRATION_ROWS)).astype(int)
        columns = self._columns(train.take(rows))
        sums = _sums(columns)
        sizes = sorted({1, (len(columns) + 1) // 2, len(columns)})
        known = [(row, k) for row in range(len(sums)) for k in sizes if sums[row, k - 1] < _NEVER_FITS]
        whole = self.count_tokens([self._prompt(_longest(columns, row, k)) for row, k in known])
        beside = np.array([n - sums[row, k - 1] for n, (row, k) in zip(whole, known, strict=True)] or [frame])
        base = int(np.median(beside))
        return replace(self, base=base, margin=int(np.abs(beside - base).max()) + 1)

    def _kept(self, table: pa.Table, columns: list[_Column]) -> NDArray[np.int64]:
        """How many features, counted from the most important, each row keeps."""
        tokens = self.base + _sums(columns)
        kept = np.sum(tokens <= self.max_tokens + self.margin, axis=1)
        unsure = np.arange(len(table))
        while True:
            sure = tokens[unsure, kept[unsure] - 1] <= self.max_tokens - self.margin
            unsure = unsure[(kept[unsure] > 0) & ~sure]
            if not len(unsure):
                break
            counts = self.count_tokens([self._prompt(_longest(columns, row, kept[row])) for row in unsure])
            unsure = unsure[np.array(counts) > self.max_tokens]
            kept[unsure] -= 1
        if (kept == 0).any():
            raise self._nothing_fits(table, int(np.flatnonzero(kept == 0)[0]))
        return kept

    def _nothing_fits(self, table: pa.Table, row: int) -> BadInput:
        name = self.order[0]
        return BadInput(
            f"{name} {plain(table[name][row].as_py())[:60]!r} and the question take over {self.max_tokens} tokens",
            place=f"task {self.schema.name!r}, row_id {table['row_id'][row]}, column {name}",
            fix="raise serialization.max_tokens, or shorten the value",
        )


def question_frame(schema: Schema) -> str:
    """What every prompt of a task holds beside its row: the task prefix and the question."""
    return TASK_PREFIX + _suffix(schema)


def _suffix(schema: Schema) -> str:
    return f"\n{schema.question}\nAnswer:"


def _check(schema: Schema, template: str, order: Sequence[str]) -> None:
    place = f"serialization of task {schema.name!r}"
    if template not in get_args(Template):
        raise BadInput(f"unknown template {template!r}", place=place, fix=f"one of: {', '.join(get_args(Template))}")
    names = sorted(f.name for f in schema.features)
    if sorted(order) != names:
        odd = sorted(set(order) ^ set(names)) or "one is named twice"
        raise BadInput(f"the order differs from the features: {odd}", place=place, fix="name every feature once")


def _reachable(schema: Schema, column: str) -> dict[Value, tuple[str, ...]]:
    """For each value of a column that some flip changes: all values that flips, also several, can turn it into."""
    groups: dict[str, set[str]] = {}
    for flip in schema.flips:
        pairs = list(flip.swaps.get(column, {}).items())
        if flip.cycle is not None and flip.cycle[0] == column:
            pairs += [(flip.cycle[1][0], other) for other in flip.cycle[1]]
        for value, other in pairs:
            joined = groups.get(value, {value}) | groups.get(other, {other})
            groups.update(dict.fromkeys(joined, joined))
    return {value: tuple(sorted(group)) for value, group in groups.items()}


def _sums(columns: list[_Column]) -> NDArray[np.int64]:
    """Tokens of the first 1, 2, ... features of each row, `[rows, features]`."""
    return np.cumsum(np.stack([column.tokens[column.codes] for column in columns], axis=1), axis=1)


def _longest(columns: list[_Column], row: int, k: int) -> list[str]:
    return [column.longest[column.codes[row]] for column in columns[:k]]
