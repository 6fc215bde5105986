"""``likelihood.json`` as pydantic models: what a run of preferences leaves for its report."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from equiray.metrics.estimates import Estimate
from equiray.reports.chains.parts import Part
from equiray.reports.run_directory import read_json

LIKELIHOOD_NAME = "likelihood.json"


class ScoredModel(Part):
    """Whose likelihoods they are; `begins_with` is the token that stands before every text."""

    name: str
    source: str
    adapter: str | None
    identity: str
    parameters: int
    dtype: str
    begins_with: str


class ScoredSet(Part):
    """A data set: `choices` of its `whole` were scored, which are of so many `families`."""

    name: str
    title: str
    licence: str
    source_sha256: str
    compared: str
    choices: int = Field(ge=1)
    whole: int = Field(ge=1)
    families: int = Field(ge=1)
    categories: dict[str, int]
    warnings: list[str]


class LikelihoodFile(Part):
    """``likelihood.json``."""

    schema_: Literal["equiray.likelihood-results/1"] = Field(alias="schema")
    name: str
    smoke: bool
    model: ScoredModel
    datasets: list[ScoredSet]
    estimates: list[Estimate]
    durations_s: dict[str, float]
    command: str

    def get(self, task: str, metric: str, attribute: str | None, group: str | None = None) -> Estimate | None:
        """The estimate of a figure, None where there is none."""
        wanted = (task, metric, attribute, group)
        return next((e for e in self.estimates if (e.task, e.metric, e.attribute, e.group) == wanted), None)


def is_likelihood(run_dir: Path) -> bool:
    """Whether a directory was left by a run of preferences."""
    return (run_dir / LIKELIHOOD_NAME).is_file()


def load_likelihood(run_dir: Path) -> LikelihoodFile:
    """Read what a run of preferences left for its report.

    Raises
    ------
    BadInput
        The file cannot be read or does not follow its contract: names the place in it, what is wrong, and the fix.
    """
    return read_json(run_dir / LIKELIHOOD_NAME, LikelihoodFile)
