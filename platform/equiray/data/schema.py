"""The words a table is described in: `Feature`, `SensitiveAttribute`, `Flip`, `Schema` and `Task`.

A `Task` is a table and what is asked of it. Its Arrow table is already human-readable: every code was
replaced by the text of its codebook when the table was loaded, so text templates, counterfactuals and
reports never see a code. Layout of `Task.table`, in this order:

- ``row_id``     int64, stable: the row's position in the official source file;
- ``split``      string, one of ``train``, ``validation``, ``test``; fixed and stratified by label x first attribute;
- ``label``      int8, 1 where the label equals the schema's positive value;
- one column per feature, named `Feature.name`: float64 / int64 when numeric, string when categorical;
- one column per sensitive attribute, named ``attribute.<name>``, string, null where it is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from equiray.data.compute import pc

SPLITS = ("train", "validation", "test")
ATTRIBUTE_PREFIX = "attribute."
MISSING_GROUP = "(missing)"


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column that a model may see.

    `label` is how a person would name it ("hours worked per week"); `codebook` maps the source file's codes
    to readable values and is None for numbers and for values that read well as they are.
    """

    name: str
    label: str
    kind: Literal["numeric", "categorical"]
    codebook: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class SensitiveAttribute:
    """A protected attribute, derived from one source column.

    `groups` maps the column's readable values to group names, many to one (None: each value is its own group).
    `cut` instead splits a numeric column at a bound: (bound, name at or below it, name above it).
    """

    name: str
    column: str
    groups: Mapping[str, str] | None = None
    cut: tuple[float, str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Flip:
    """How to turn a row into its counterfactual twin in one attribute, consistently.

    `swaps` maps column -> {value -> value} for every column that states or implies the attribute (Adult: `sex`
    and `relationship`). An attribute with more than two groups lists its values under `cycle` instead, and a row
    has one twin per other value.
    """

    attribute: str
    swaps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cycle: tuple[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, kw_only=True)
class Schema:
    """Everything that is known about a task before its rows are read."""

    name: str
    title: str
    features: tuple[Feature, ...]
    label: str
    positive: str
    question: str
    answers: tuple[str, str]
    sensitive: tuple[SensitiveAttribute, ...]
    flips: tuple[Flip, ...] = ()
    warnings: tuple[str, ...] = ()
    licence: str = ""
    source: str = ""

    def feature(self, name: str) -> Feature:
        """The feature of that name; KeyError if the schema has none."""
        return next(f for f in self.features if f.name == name)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A schema with its rows (layout: the module's docstring) and the sha256 of the bytes they came from."""

    schema: Schema
    table: pa.Table
    source_sha256: str

    def split(self, name: str) -> pa.Table:
        """The rows of one split, in row id order."""
        return self.table.filter(pc.equal(self.table["split"], name))
