"""Who labels steps: the gold rule, a local language model by likelihood, or a model behind an endpoint.

A judge is never truth: humans agreed with the paper's in 75 % of steps (κ .226, arXiv 2507.11344). What a judge is
worth is measured against the gold rule (`equiray.mitigation.reward.agreement`), and so is a change of judges.
"""

from equiray.mitigation.reward.judges.endpoint import EndpointJudge
from equiray.mitigation.reward.judges.judge import Judge
from equiray.mitigation.reward.judges.likelihood import LikelihoodJudge

__all__ = ["EndpointJudge", "Judge", "LikelihoodJudge"]
