"""A model behind an OpenAI-compatible endpoint as a judge; replies are kept on disk, so a rerun asks nothing twice."""

from collections.abc import Sequence
from dataclasses import dataclass

from equiray.mitigation.reward.judges.judge import as_labels, questions
from equiray.mitigation.reward.labels import StepLabel
from equiray.mitigation.reward.steps import ReasonedCase
from equiray.models.endpoint import Endpoint, ask


@dataclass(frozen=True, kw_only=True)
class EndpointJudge:
    """See `equiray.mitigation.reward.judges.judge.Judge`."""

    endpoint: Endpoint

    @property
    def name(self) -> str:
        """See `Judge`; without the URL: a model is the same wherever it is served."""
        return f"endpoint({self.endpoint.model})"

    def label(self, cases: Sequence[ReasonedCase]) -> list[StepLabel]:
        """See `Judge`; raises BadInput where the endpoint keeps failing, as `equiray.models.endpoint.ask`."""
        return as_labels(cases, ask(self.endpoint, questions(cases)).answers, self.name)
