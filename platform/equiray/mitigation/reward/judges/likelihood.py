"""A local language model as a judge: how likely it finds "Yes" and "No", both orders averaged."""

from collections.abc import Sequence
from dataclasses import dataclass

from equiray.mitigation.reward.judges.judge import as_labels, questions
from equiray.mitigation.reward.labels import StepLabel
from equiray.mitigation.reward.steps import ReasonedCase
from equiray.models.answers import Answers, score_answers
from equiray.models.loading import CausalLM


@dataclass(frozen=True, kw_only=True)
class LikelihoodJudge:
    """See `equiray.mitigation.reward.judges.judge.Judge`."""

    lm: CausalLM

    @property
    def name(self) -> str:
        """See `Judge`."""
        return f"likelihood({self.lm.name}:{self.lm.identity[:12]})"

    def label(self, cases: Sequence[ReasonedCase]) -> list[StepLabel]:
        """See `Judge`."""
        return as_labels(cases, Answers.complete(score_answers(self.lm, questions(cases))), self.name)
