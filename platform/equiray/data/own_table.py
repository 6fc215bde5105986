"""The YAML file that describes a table: its features, label, sensitive attributes and flips.

The user's own CSV or Parquet is described by such a file (a complete example: docs/contracts/table_schema.yaml), and
so are the built-in tasks (codebooks/*.yaml): one format, one set of checks.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from equiray.data.reading import read_table
from equiray.data.schema import ATTRIBUTE_PREFIX, Feature, Flip, Schema, SensitiveAttribute
from equiray.data.sources import file_sha256
from equiray.data.tasks.raw import RawTable
from equiray.errors import BadInput

RESERVED = ("row_id", "split", "label", "counterfactual")
RESERVED_FOR_PREDICTIONS = ("stage", "model", "score", "prediction", "outcome")
"""Columns of a run's predictions, beside which the sensitive attributes stand."""


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("YAML reads an unquoted yes, no, true or false as a truth value: put it in quotes")
    return str(value) if isinstance(value, int) else value


Text = Annotated[str, BeforeValidator(_as_text)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FeatureSpec(_Part):
    """One column that a model may see."""

    name: str = Field(min_length=1, description="the column's name in the file")
    label: str = Field(min_length=1, description="how a person would name it: 'hours worked per week'")
    kind: Literal["numeric", "categorical"]
    codebook: dict[Text, Text] | None = Field(None, description="code -> readable value; categorical columns only")


class LabelSpec(_Part):
    """What is predicted."""

    column: str
    values: tuple[Text, Text] = Field(description="the two values that the column holds")
    positive: Text = Field(description="the value that counts as 1")


class CutSpec(_Part):
    """Two groups of a numeric column."""

    bound: float
    at_or_below: Text
    above: Text


class SensitiveSpec(_Part):
    """A protected attribute. Its column may be a feature or any other column of the file."""

    name: str = Field(min_length=1)
    column: str
    groups: dict[Text, Text] | None = Field(None, description="readable value -> group; none = each value is a group")
    cut: CutSpec | None = None


class CycleSpec(_Part):
    """All values among which an attribute with more than two groups is flipped."""

    column: str
    values: tuple[Text, ...] = Field(min_length=2)


class FlipSpec(_Part):
    """How a row becomes its counterfactual twin in one attribute, in readable values."""

    attribute: str
    swaps: dict[str, dict[Text, Text]] = Field({}, description="column -> {value -> value}, both ways")
    cycle: CycleSpec | None = None


class TableSpec(_Part):
    """A table and what is asked of it, as the YAML file says it."""

    schema_: Literal["equiray.table/1"] = Field(alias="schema")
    title: str
    features: tuple[FeatureSpec, ...] = Field(min_length=1)
    label: LabelSpec
    question: str = Field(min_length=1)
    answers: tuple[Text, Text] = Field(("Yes", "No"), description="for the positive value, for the other")
    sensitive: tuple[SensitiveSpec, ...] = Field(min_length=1)
    flips: tuple[FlipSpec, ...] = ()
    split: str | None = Field(None, description="column holding train, validation or test; none = 60/20/20 by seed")
    warnings: tuple[str, ...] = ()
    licence: str = ""
    source: str = ""

    @model_validator(mode="after")
    def _hangs_together(self) -> "TableSpec":
        _check_names([f.name for f in self.features], "feature")
        _check_names([a.name for a in self.sensitive], "sensitive attribute", RESERVED_FOR_PREDICTIONS)
        _check_names([flip.attribute for flip in self.flips], "flip of attribute")
        if self.label.positive not in self.label.values or len(set(self.label.values)) < 2:
            raise ValueError(f"label: positive {self.label.positive!r} must be one of two unlike values")
        if self.answers[0] == self.answers[1]:
            raise ValueError(f"answers: both are {self.answers[0]!r}")
        kinds = {f.name: f.kind for f in self.features}
        for column in (self.label.column, self.split):
            if column in kinds:
                raise ValueError(f"{column!r} is the label or the split: it cannot be a feature, too")
        for feature in self.features:
            if feature.kind == "numeric" and feature.codebook is not None:
                raise ValueError(f"feature {feature.name!r} is numeric: it takes no codebook")
        for attribute in self.sensitive:
            if attribute.groups is not None and attribute.cut is not None:
                raise ValueError(f"sensitive attribute {attribute.name!r} has groups and a cut: keep one")
        for flip in self.flips:
            _check_flip(flip, self)
        return self

    def columns(self) -> tuple[str, ...]:
        """Every column of the file that is read, each once."""
        named = [f.name for f in self.features] + [self.label.column] + [a.column for a in self.sensitive]
        return tuple(dict.fromkeys(named + ([self.split] if self.split else [])))

    def to_schema(self, name: str) -> Schema:
        """The task's schema under that name."""
        return Schema(
            name=name,
            title=self.title,
            features=tuple(Feature(**f.model_dump()) for f in self.features),
            label=self.label.column,
            positive=self.label.positive,
            question=self.question,
            answers=self.answers,
            sensitive=tuple(_attribute(a) for a in self.sensitive),
            flips=tuple(_flip(flip) for flip in self.flips),
            warnings=self.warnings,
            licence=self.licence,
            source=self.source,
        )


def load_table_spec(path: Path) -> TableSpec:
    """Read and check the YAML file that describes a table.

    Raises
    ------
    BadInput
        The file is absent or no YAML, a key is unknown or missing, or its parts contradict each other.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"cannot read the table schema: {error.strerror}", place=str(path), fix="name a YAML file"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"not valid YAML: {error}", place=str(path), fix="mend the syntax at that line") from error
    try:
        return TableSpec.model_validate(document)
    except ValidationError as error:
        raise BadInput(
            "the table schema is not valid: " + "; ".join(_shown(item) for item in error.errors()[:5]),
            place=str(path),
            fix="docs/contracts/table_schema.yaml shows every key",
        ) from error


def read_own_table(path: Path, spec: TableSpec) -> RawTable:
    """Read the columns that the schema names from the user's CSV or Parquet; a row's id is its position in the file.

    Raises
    ------
    BadInput
        As `reading.read_table`.
    """
    table = read_table(path, spec.columns())
    return RawTable.numbered(table, place=str(path), sha256=file_sha256(path), origin="given path")


def _check_names(names: list[str], what: str, also_reserved: tuple[str, ...] = ()) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what} {name!r} is declared twice")
        if name in (*RESERVED, *also_reserved) or name.startswith(ATTRIBUTE_PREFIX):
            raise ValueError(f"{what} {name!r}: the name is reserved, choose another")


def _check_flip(flip: FlipSpec, table: TableSpec) -> None:
    if flip.attribute not in {a.name for a in table.sensitive}:
        raise ValueError(f"flip of {flip.attribute!r}: no such sensitive attribute")
    values: Mapping[str, set[str]] = {column: {*swap, *swap.values()} for column, swap in flip.swaps.items()}
    if flip.cycle is not None:
        values = {**values, flip.cycle.column: set(flip.cycle.values)}
    if not values:
        raise ValueError(f"flip of {flip.attribute!r}: give swaps or a cycle")
    for column, swap in flip.swaps.items():
        one_way = [value for value, other in swap.items() if swap.get(other) != value]
        if one_way:
            raise ValueError(f"flip of {flip.attribute!r}: {column!r} swaps {one_way[0]!r} one way only")
    for column, used in values.items():
        feature = next((f for f in table.features if f.name == column and f.kind == "categorical"), None)
        if feature is None:
            raise ValueError(f"flip of {flip.attribute!r}: {column!r} is no categorical feature")
        unknown = used - set(feature.codebook.values()) if feature.codebook else set()
        if unknown:
            raise ValueError(
                f"flip of {flip.attribute!r}: {sorted(unknown)} not among the codebook values of {column!r}"
            )


def _attribute(spec: SensitiveSpec) -> SensitiveAttribute:
    cut = None if spec.cut is None else (spec.cut.bound, spec.cut.at_or_below, spec.cut.above)
    return SensitiveAttribute(name=spec.name, column=spec.column, groups=spec.groups, cut=cut)


def _flip(spec: FlipSpec) -> Flip:
    cycle = None if spec.cycle is None else (spec.cycle.column, spec.cycle.values)
    return Flip(attribute=spec.attribute, swaps=spec.swaps, cycle=cycle)


def _shown(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "document"
    hidden = item["type"] in ("missing", "extra_forbidden") or isinstance(item["input"], dict)
    return f"{where}: {item['msg']}" + ("" if hidden else f" (got {item['input']!r:.80})")
