"""`CompareSpec`: two sets of predictions, and how their rows are paired (docs/contracts/compare.yaml)."""

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from equiray.metrics.counting import Attribute, Columns, Layout
from equiray.specs.documents import Distinct, as_bad_input, read_mapping

FIRST, SECOND = "A", "B"
"""The stages of the two sides; the paired change is that of ``B-A``."""


class SideSpec(BaseModel):
    """One set of predictions: its files, and what stands in which column."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="what made the predictions")
    files: Distinct[str]
    label: str
    prediction: str
    score: str | None = None
    weight: str | None = None
    outcome: str | None = None
    id: str | None = None
    only: dict[str, str] = Field(default={}, description="column: value; other rows are not compared")
    directory: str | None = Field(default=None, description="the run or audit that says all this")

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


class CompareSpec(BaseModel):
    """One comparison, as the arguments of `equiray compare` say it, kept as spec.yaml beside the results."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal["equiray.compare/1"] = Field(default="equiray.compare/1", alias="schema")
    task: str = Field(description="what the estimates call the task")
    a: SideSpec
    b: SideSpec
    attributes: Distinct[str]
    intersections: int = Field(default=1, ge=1, description="compare combinations of up to that many attributes")
    positive: str | None = Field(default=None, description="the class whose rates are meant; of 0 and 1 it is 1")
    real_valued: bool = Field(default=False, description="label and prediction are numbers, not classes")
    common: bool = Field(default=False, description="compare the rows that both have, and count the others")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of all changes of a family at once")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "CompareSpec":
        if self.intersections > len(self.attributes):
            raise ValueError(f"`intersections` of {self.intersections}, with {len(self.attributes)} attribute(s)")
        sides = (self.a, self.b)
        if self.real_valued and (self.positive or any(side.score or side.outcome for side in sides)):
            raise ValueError("a real-valued target has neither `score` nor `outcome` nor `positive` class")
        for name in ("score", "weight", "id"):
            if len({getattr(side, name) is None for side in sides}) > 1:
                raise ValueError(f"`{name}` is named for one side only")
        if self.common and self.a.id is None:
            raise ValueError("`common` needs an `id`: without one nothing says which rows both have")
        for side in sides:
            used = [side.label, side.prediction, side.score, side.weight, side.outcome, side.id, *self.attributes]
            named = [name for name in used if name is not None]
            for name in named:
                if named.count(name) > 1:
                    raise ValueError(f"column {name!r} is named twice")
        return self

    @property
    def layout(self) -> Layout:
        """What is counted of either side; raises BadInput for names that cannot be."""
        return Layout(
            attributes=tuple(Attribute(name=name) for name in self.attributes),
            real_valued=self.real_valued,
            scores=self.a.score is not None,
            weights=self.a.weight is not None,
        )

    def sha256(self) -> str:
        """Content hash of the spec."""
        canonical = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def load_compare_spec(path: Path) -> CompareSpec:
    """Read the spec.yaml of a comparison; raises BadInput where it is none."""
    try:
        return CompareSpec.model_validate(read_mapping(path, "spec"))
    except ValidationError as error:
        raise as_bad_input(error, str(path), "spec") from error
