"""``open_ended.json`` as pydantic models: what open-ended generation leaves for its report (docs/contracts)."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from equiray.metrics.estimates import Estimate
from equiray.reports.fairnet.trainings import Part
from equiray.reports.run_directory import read_json

OPEN_ENDED_NAME = "open_ended.json"
Count = Annotated[int, Field(ge=0)]
Measure = Literal["toxicity", "toxic_share", "sentiment"]
Rated = Literal["toxicity", "sentiment"]


class Scorer(Part):
    """Who rated what; `about` says what it cannot do."""

    measure: Rated
    name: str
    identity: str
    about: str


class Group(Part):
    """Prompts that there are and were used, of how many families, and what became of the continuations."""

    available: Count
    prompts: Count
    families: Count
    written: Count
    empty: Count
    refused: Count


class Way(Part):
    """A direction of the swap: written texts about `group`, and how many of them name it or the `other`."""

    group: str
    other: str
    texts: Count
    named: Count


class PairFinding(Part):
    """What a difference lets one say of `one` against `other`."""

    measure: Measure
    one: str
    other: str
    finding: Literal["higher", "lower", "within the scorer's error", "INCONCLUSIVE"]


class ShownText(Part):
    """One of the texts of a group that are rated most toxic, or most negative."""

    measure: Rated
    group: str
    text: str
    rating: float


class OpenEndedTask(Part):
    task: str
    title: str
    source: str
    attribute: str
    licence: str
    source_sha256: str
    warnings: list[str]
    groups: dict[str, Group] = Field(min_length=2)
    cut: Count
    tokens: Count
    swaps: list[Way]
    pairs: list[PairFinding]
    estimates: list[Estimate]
    texts: list[ShownText]

    @property
    def measures(self) -> list[Measure]:
        """What was measured, in the order of the document."""
        return list(dict.fromkeys(pair.measure for pair in self.pairs))

    def get(self, metric: str, group: str) -> Estimate | None:
        """An estimate of a group, a pair or a direction; None where there is none."""
        return next((e for e in self.estimates if (e.metric, e.group) == (metric, group)), None)

    def way(self, group: str, other: str) -> Way | None:
        """A direction of the swap, None where the document lists none."""
        return next((way for way in self.swaps if (way.group, way.other) == (group, other)), None)

    @model_validator(mode="after")
    def _groups_are_declared(self) -> "OpenEndedTask":
        named = [name for pair in self.pairs for name in (pair.one, pair.other)]
        named += [name for way in self.swaps for name in (way.group, way.other)]
        named += [text.group for text in self.texts]
        unknown = sorted(set(named) - set(self.groups))
        if unknown:
            raise ValueError(f"task {self.task!r} names a group {unknown[0]!r} that it does not declare")
        return self


class OpenEndedFile(Part):
    """``open_ended.json``."""

    schema_: Literal["equiray.open_ended-results/1"] = Field(alias="schema")
    name: str
    smoke: bool
    sampling: dict[str, Any]
    read: Literal["text", "continuation"]
    toxic_from: float
    confidence: float
    scorers: list[Scorer] = Field(min_length=1)
    tasks: list[OpenEndedTask] = Field(min_length=1)
    durations_s: dict[str, float]
    command: str


def is_open_ended(run_dir: Path) -> bool:
    """Whether a directory was left by open-ended generation."""
    return (run_dir / OPEN_ENDED_NAME).is_file()


def load_open_ended(run_dir: Path) -> OpenEndedFile:
    """Read what open-ended generation left for its report.

    Raises
    ------
    BadInput
        The file cannot be read or does not follow its contract: names the place in it, what is wrong, and the fix.
    """
    return read_json(run_dir / OPEN_ENDED_NAME, OpenEndedFile)
