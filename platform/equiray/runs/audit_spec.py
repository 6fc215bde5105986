"""`AuditSpec`: what an audit of somebody's predictions reads and how (docs/contracts/audit.yaml)."""

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from equiray.metrics.counting import Attribute, Columns, Layout
from equiray.specs.documents import Distinct, as_bad_input, read_mapping

STAGE = "audit"
VALIDATION, TEST = "validation", "test"
"""What a column of splits says of rows on which rules are chosen, and of those that are audited."""


class AuditSpec(BaseModel):
    """One audit: its files, the columns that matter in them, and which groups are compared.

    It is what the options of `equiray audit` say, kept as spec.yaml beside the results.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal["equiray.audit/1"] = Field(default="equiray.audit/1", alias="schema")
    files: Distinct[str]
    label: str
    prediction: str
    score: str | None = None
    weight: str | None = None
    outcome: str | None = Field(default=None, description="why a prediction is empty: refused, unparsed")
    split: str | None = Field(default=None, description="only rows that say `test` here are audited")
    id: str | None = Field(default=None, description="names each row; an id that repeats is refused")
    attributes: Distinct[str]
    intersections: int = Field(default=1, ge=1, description="compare combinations of up to that many attributes")
    classes: tuple[str, ...] = Field(
        default=(), description="values of label and prediction, any other is refused; empty = those that occur"
    )
    positive: str | None = Field(default=None, description="the class whose rates are meant; of 0 and 1 it is 1")
    real_valued: bool = Field(default=False, description="label and prediction are numbers, not classes")
    model: str = Field(default="predictions", description="what made the predictions")
    seed: int = Field(default=0, description="draws of what a disparity would be if all groups were alike")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "AuditSpec":
        if self.intersections > len(self.attributes):
            raise ValueError(f"`intersections` of {self.intersections}, with {len(self.attributes)} attribute(s)")
        if self.real_valued and (self.score or self.outcome or self.positive or self.classes):
            raise ValueError("a real-valued target has neither `score` nor `outcome` nor `positive` or other `classes`")
        if self.classes and self.positive is not None and self.positive not in self.classes:
            raise ValueError(f"`positive` class {self.positive!r} is none of `classes`: {', '.join(self.classes)}")
        columns = [self.label, self.prediction, self.score, self.weight, self.outcome, self.split, self.id]
        columns += self.attributes
        named = [name for name in columns if name is not None]
        for name in named:
            if named.count(name) > 1:
                raise ValueError(f"column {name!r} is named twice")
        return self

    @property
    def task(self) -> str:
        """What the estimates call the task: the label is what is asked."""
        return self.label

    @property
    def layout(self) -> Layout:
        """What is counted, splits like one more attribute; raises BadInput for names that cannot be."""
        counted = self.attributes if self.split is None else (*self.attributes, self.split)
        return Layout(
            attributes=tuple(Attribute(name=name) for name in counted),
            classes=self.classes or None,
            real_valued=self.real_valued,
            scores=self.score is not None,
            weights=self.weight is not None,
        )

    @property
    def columns(self) -> Columns:
        """Where it stands in the files."""
        return Columns(
            label=self.label,
            prediction=self.prediction,
            score=self.score,
            weight=self.weight,
            outcome=self.outcome,
        )

    @property
    def read(self) -> list[str]:
        """All columns that are read, those that are counted first."""
        return [*self.columns.wanted(self.layout), *(() if self.id is None else (self.id,))]

    def sha256(self) -> str:
        """Content hash of the spec."""
        canonical = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def load_audit_spec(path: Path) -> AuditSpec:
    """Read the spec.yaml of an audit; raises BadInput where it is none."""
    try:
        return AuditSpec.model_validate(read_mapping(path, "spec"))
    except ValidationError as error:
        raise as_bad_input(error, str(path), "spec") from error
