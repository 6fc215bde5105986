"""`RunContext`: what every part of a run needs to know."""

from dataclasses import dataclass

from equiray.metrics.clusters import Resampling
from equiray.runs.directory import RunDirectory
from equiray.runs.models import LanguageModels
from equiray.specs.run import RunSpec


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """The spec, where its parts are kept, its language models, and the Ray cluster that embeds rows (None: here)."""

    spec: RunSpec
    directory: RunDirectory
    models: LanguageModels
    address: str | None

    @property
    def resampling(self) -> Resampling:
        """How intervals are made."""
        chosen = self.spec.statistics
        return Resampling(confidence=chosen.confidence, replicates=chosen.replicates, seed=self.spec.seed)
