"""What a weighted vote has to beat, on the same cases and at as many chains."""

import math
from collections.abc import Mapping

import numpy as np

from equiray.errors import BadInput
from equiray.mitigation.voting.deciding import Decisions, decide
from equiray.mitigation.voting.votes import Votes

SINGLE, MAJORITY, PROMPTED, OUTCOME = "single_chain", "majority", "fairness_prompt", "outcome_model"


def baselines(
    votes: Votes, chains: int, *, tau: float, prompted: Votes | None = None, outcome: Votes | None = None
) -> Mapping[str, Decisions]:
    """Decisions of each baseline by name.

    Parameters
    ----------
    votes : Votes
        ``single_chain`` takes the first chain of each case, ``majority`` the first `chains`.
    chains : int
    tau : float
        Of ``outcome_model``.
    prompted : Votes, optional
        Chains asked to be fair: their majority vote is ``fairness_prompt``.
    outcome : Votes, optional
        The same chains with one score each from a model of whole chains: ``outcome_model``.

    Raises
    ------
    BadInput
        Other votes are about other cases.
    """
    for name, other in ((PROMPTED, prompted), (OUTCOME, outcome)):
        if other is not None and (other.case_ids != votes.case_ids or other.split != votes.split):
            raise BadInput("the votes are about other cases", place=name, fix="give the same cases in the same order")
    if outcome is not None and not np.array_equal(outcome.answers, votes.answers):
        raise BadInput("the answers are not those of the same chains", place=OUTCOME, fix="score the same chains")
    found = {SINGLE: decide(votes, math.inf, 1), MAJORITY: decide(votes, math.inf, chains)}
    if prompted is not None:
        found[PROMPTED] = decide(prompted, math.inf, chains)
    if outcome is not None:
        found[OUTCOME] = decide(outcome, tau, chains)
    return found
